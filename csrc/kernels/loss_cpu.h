#pragma once

#include "kernels/dense.h"
#include "kernels/loss.h"
#include "kernels/simd.h"

namespace shoal::SHOAL_ISA {

SHOAL_INLINE vi inside(std::int64_t column, std::int64_t columns) {
  return lane_index() < static_cast<std::int32_t>(columns - column);
}

// y <- e^(y - max y), padding zero; returns max y and the sum. NaN and infinite outputs end as a sum that is not
// finite.
struct Exponentials {
  float max, sum;
};

SHOAL_INLINE Exponentials exponentiate_row(float* y, std::int64_t outputs) {
  vf top = splat(-__builtin_inff());
  for (std::int64_t i = 0; i < outputs; i += W) top = vmax(select(inside(i, outputs), load(y + i), top), top);
  const float max = max_lanes(top);
  vf sum{};
  for (std::int64_t i = 0; i < padded(outputs); i += W) {
    const vf z = load(y + i) - max;
    const vf e = select(inside(i, outputs), vexp(z), vf{});
    store(y + i, e);
    sum += e;
  }
  return {max, sum_lanes(sum)};
}

static void softmax(const Softmax& f) {
  for (std::int64_t row = 0; row < f.rows; ++row) {
    float* y = f.y + row * padded(f.outputs);
    const float scale = 1 / exponentiate_row(y, f.outputs).sum;
    for (std::int64_t i = 0; i < padded(f.outputs); i += W) store(y + i, load(y + i) * scale);
  }
}

SHOAL_INLINE float cross_entropy_row(const LossStep& f, std::int64_t row) {
  float* y = f.y + row * padded(f.outputs);
  const std::int32_t label = f.labels[row];
  const float chosen = y[label];
  const Exponentials e = exponentiate_row(y, f.outputs);
  const float share = 1 / static_cast<float>(f.batch);
  const float scale = share / e.sum;
  for (std::int64_t i = 0; i < padded(f.outputs); i += W) store(y + i, load(y + i) * scale);
  y[label] -= share;
  return vlog(splat(e.sum))[0] - (chosen - e.max) +
         (e.sum - e.sum);  // the last term is 0, or NaN if the sum is not finite
}

SHOAL_INLINE float squared_error_row(const LossStep& f, std::int64_t row) {
  const std::int64_t stride = padded(f.outputs);
  const auto count = static_cast<float>(f.outputs);
  const float scale = 2 / (count * static_cast<float>(f.batch));
  vf sum{};
  for (std::int64_t i = 0; i < stride; i += W) {
    const vf difference = load(f.y + row * stride + i) - load(f.targets + row * stride + i);
    sum = fma(difference, difference, sum);
    store(f.y + row * stride + i, difference * scale);
  }
  return sum_lanes(sum) / count;
}

static void loss_step(const LossStep& f, int rank, int size) {
  const Range mine = share(f.rows, rank, size);
  for (std::int64_t row = mine.begin; row < mine.end; ++row) {
    f.losses[row] = f.loss == Loss::cross_entropy ? cross_entropy_row(f, row) : squared_error_row(f, row);
  }
}

// ---- members in lanes: the same sums in the same order, a lane of the row's vectors being an entry of `part`
// ----------

SHOAL_INLINE vf sum_parts(vf* part) {
  for (int width = W / 2; width > 0; width /= 2) {
    for (int l = 0; l < width; ++l) part[l] += part[l + width];
  }
  return part[0];
}

SHOAL_INLINE vf lane_cross_entropy_row(const LaneLoss& f, std::int64_t row) {
  float* y = f.y + row * f.outputs * W;
  vi label;
  __builtin_memcpy(&label, f.labels + row * W, sizeof label);
  vf max = load(y);
  for (std::int64_t i = 1; i < f.outputs; ++i) max = vmax(load(y + i * W), max);
  vf part[W] = {}, chosen{};
  for (std::int64_t i = 0; i < f.outputs; ++i) {
    const vf z = load(y + i * W) - max;
    chosen = select(label == static_cast<std::int32_t>(i), z, chosen);
    const vf e = vexp(z);
    part[i % W] += e;
    store(y + i * W, e);
  }
  const vf sum = sum_parts(part);
  const float share = 1 / static_cast<float>(f.batch);
  const vf scale = share / sum;
  for (std::int64_t i = 0; i < f.outputs; ++i) {
    const vf hit = select(label == static_cast<std::int32_t>(i), splat(share), vf{});
    store(y + i * W, load(y + i * W) * scale - hit);
  }
  return vlog(sum) - chosen + (sum - sum);
}

SHOAL_INLINE vf lane_squared_error_row(const LaneLoss& f, std::int64_t row) {
  const auto count = static_cast<float>(f.outputs);
  const float scale = 2 / (count * static_cast<float>(f.batch));
  vf part[W] = {};
  for (std::int64_t i = 0; i < f.outputs; ++i) {
    const std::int64_t at = (row * f.outputs + i) * W;
    const vf difference = load(f.y + at) - load(f.targets + at);
    part[i % W] = fma(difference, difference, part[i % W]);
    store(f.y + at, difference * scale);
  }
  return sum_parts(part) / count;
}

static void lane_loss(const LaneLoss& f) {
  for (std::int64_t row = 0; row < f.rows; ++row) {
    const bool classes = f.loss == Loss::cross_entropy;
    store(f.losses + row * W, classes ? lane_cross_entropy_row(f, row) : lane_squared_error_row(f, row));
  }
}

}  // namespace shoal::SHOAL_ISA
