// Batches on the CPU. Bound by the reads of scattered samples; conversion and normalisation are hidden behind them.
#pragma once

#include "kernels/batch.h"
#include "kernels/dense.h"
#include "kernels/simd.h"

namespace shoal::SHOAL_ISA {

static void batch_order(const BatchOrder& f) {
  const Shuffle s = *f.shuffle;
  for (std::uint32_t i = 0; i < f.count; i += W) {
    const vu places = reinterpret_cast<vu>(lane_index()) + (f.first + i);
    const vu samples = shuffle_pass(s, places);
    const std::uint32_t lanes = f.count - i < W ? f.count - i : W;
    __builtin_memcpy(f.index + i, &samples, lanes * sizeof(std::uint32_t));
    for (std::uint32_t l = i; l < i + lanes; ++l) {
      if (f.index[l] >= s.n) f.index[l] = shuffled(s, f.index[l]);
    }
  }
}

SHOAL_INLINE vf to_float(const std::uint8_t* p) { return __builtin_convertvector(widen(p), vf); }
SHOAL_INLINE vf to_float(const float* p) { return load_unaligned(p); }

template <class T>
static void gather_row(const T* from, std::int64_t features, const float* scale, const float* shift, float* to) {
  std::int64_t i = 0;
  for (; i + W <= features; i += W) store(to + i, fma(to_float(from + i), load(scale + i), load(shift + i)));
  if (i < features) {
    T rest[W] = {};
    __builtin_memcpy(rest, from + i, static_cast<std::size_t>(features - i) * sizeof(T));
    store(to + i, fma(to_float(rest), load(scale + i), load(shift + i)));
    i += W;
  }
  for (; i < padded(features); i += W) store(to + i, vf{});
}

// Samples lie anywhere in the dataset, where the hardware cannot foresee them.
constexpr std::int64_t kAhead = 4;

SHOAL_INLINE void prefetch_sample(const Dataset& d, std::int64_t sample, std::int64_t features) {
  const std::int64_t bytes = features * (d.x_u8 ? 1 : 4);
  const char* from =
      (d.x_u8 ? reinterpret_cast<const char*>(d.x_u8) : reinterpret_cast<const char*>(d.x_f32)) + sample * bytes;
  for (std::int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(from + i, 0, 2);
}

static void batch_gather(const BatchGather& f, int rank, int size) {
  const Dataset& d = *f.data;
  const std::int64_t stride = padded(f.features), target_stride = padded(d.outputs);
  const Range mine = share(f.rows, rank, size);
  for (std::int64_t row = mine.begin; row < mine.end; ++row) {
    const std::int64_t sample = f.index[row];
    if (f.x && row + kAhead < mine.end) prefetch_sample(d, f.index[row + kAhead], f.features);
    if (!f.x) {
      // goals only
    } else if (d.x_u8) {
      gather_row(d.x_u8 + sample * f.features, f.features, f.scale, f.shift, f.x + row * stride);
    } else {
      gather_row(d.x_f32 + sample * f.features, f.features, f.scale, f.shift, f.x + row * stride);
    }
    if (f.labels) f.labels[row] = d.labels[sample];
    if (f.targets) {
      for (std::int64_t i = 0; i < target_stride; ++i) {
        f.targets[row * target_stride + i] = i < d.outputs ? d.targets[sample * d.outputs + i] : 0.0f;
      }
    }
  }
}

// W features of one sample; what lies beyond its last one is not used, but must not be read past the end of the data.
template <class T>
SHOAL_INLINE vf some_features(const T* data, std::int64_t at, std::int64_t end) {
  if (at + W <= end) return to_float(data + at);
  T rest[W] = {};
  __builtin_memcpy(rest, data + at, static_cast<std::size_t>(end - at) * sizeof(T));
  return to_float(rest);
}

template <class T>
static void lane_gather_row(const T* data, const LaneGather& f, std::int64_t row, float* x) {
  for (std::int64_t i = 0; i < f.features; i += W) {
    vf block[W];
    for (int l = 0; l < W; ++l) {
      const std::int64_t at = std::int64_t{f.index[l * f.rows + row]} * f.features + i;
      const vf v = some_features(data, at, f.data->samples * f.features);
      block[l] = fma(v, load(f.scale + i), load(f.shift + i));
    }
    transpose(block);
    for (std::int64_t j = 0; j < W && i + j < f.features; ++j) store(x + (i + j) * W, block[j]);
  }
}

static void lane_gather(const LaneGather& f) {
  const Dataset& d = *f.data;
  for (std::int64_t row = 0; row < f.rows; ++row) {
    float* x = f.x + row * f.features * W;
    d.x_u8 ? lane_gather_row(d.x_u8, f, row, x) : lane_gather_row(d.x_f32, f, row, x);
    for (int l = 0; l < W; ++l) {
      const std::int64_t sample = f.index[l * f.rows + row];
      if (f.labels) f.labels[row * W + l] = d.labels[sample];
      for (std::int64_t i = 0; f.targets && i < d.outputs; ++i) {
        f.targets[(row * d.outputs + i) * W + l] = d.targets[sample * d.outputs + i];
      }
    }
  }
}

}  // namespace shoal::SHOAL_ISA
