// Batch normalisation on the GPU (norm.h has the formulas): a warp takes a channel and reads it twice, first for the
// mean, then for the squared deviations from it; lanes behind the batch's last sample do not count.
#pragma once

#include "kernels/finish_cuda.h"
#include "kernels/update_cuda.h"
#include "kernels/window_cuda.h"

namespace shoal::cuda {

// What a normalisation knows about the batch, by channel, and where its weights lie.
struct NormPass {
  const Grid& image;
  int rows;  // samples of the batch
  float epsilon, momentum;
  float *weight, *bias, *running_mean, *running_var;
  float *mean, *inverse, *scale;        // 1 / sqrt(var + epsilon), weight / sqrt(var + epsilon)
  float *mean_dy, *mean_dy_xhat, *var;  // training only

  __device__ int groups() const { return (rows + kLanes - 1) / kLanes; }
  __device__ float count() const { return static_cast<float>(rows) * static_cast<float>(image.pixels()); }
};

// The sum of body(place) over the pixels and samples of a channel, on all lanes.
template <class Body>
SHOAL_DEVICE float channel_sum(const NormPass& f, int channel, const Body& body) {
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  float sum = 0;
  for (int group = 0; group < f.groups(); ++group) {
    if (group * kLanes + lane >= f.rows) continue;
    float part = 0;  // by group, so that fewer values are added one after the other
    for (int pixel = 0; pixel < f.image.pixels(); ++pixel)
      part += body(place(group, f.image.features(), pixel * f.image.channels + channel) + lane);
    sum += part;
  }
  return warp_sum(sum);
}

// mean, var and the running ones from the batch.
SHOAL_OP void norm_statistics(const Team& team, const NormPass& f, const float* x) {
  for (int c = team.warp(); c < f.image.channels; c += team.warps()) {
    const float count = f.count();
    const float mean = channel_sum(f, c, [&](std::int64_t at) { return x[at]; }) / count;
    const float squares = channel_sum(f, c, [&](std::int64_t at) { return (x[at] - mean) * (x[at] - mean); });
    if (threadIdx.x % kWarp != 0) continue;
    const float inverse = 1 / sqrtf(squares / count + f.epsilon);
    f.mean[c] = mean;
    f.var[c] = squares / fmaxf(count - 1, 1);  // unbiased
    f.inverse[c] = inverse;
    f.scale[c] = f.weight[c] * inverse;
  }
}

// In evaluation the running ones take their place.
SHOAL_OP void norm_running(const Team& team, const NormPass& f) {
  for (int c = team.thread(); c < f.image.channels; c += team.threads()) {
    f.mean[c] = f.running_mean[c];
    f.scale[c] = f.weight[c] / sqrtf(f.running_var[c] + f.epsilon);
  }
}

SHOAL_OP void norm_forward(const Team& team, const NormPass& f, const Finisher& finisher, const float* x, float* y) {
  const int features = f.image.features();
  for_values(team, f.groups(), features, [&](int group, int feature, int lane) {
    const std::int64_t at = place(group, features, feature) + lane;
    const int c = f.image.by_channels.rest(feature, f.image.by_channels.quotient(feature));
    y[at] = finisher.forward(group * kLanes + lane, feature, fmaf(x[at] - f.mean[c], f.scale[c], f.bias[c]));
  });
}

// The means for the data's gradient; the weights and running statistics take their step.
SHOAL_OP void norm_backward_sums(const Team& team, const NormPass& f, const Update& rule, std::int64_t slot_stride,
                                 const float* x, const float* dy) {
  for (int c = team.warp(); c < f.image.channels; c += team.warps()) {
    const float mean = f.mean[c], inverse = f.inverse[c], count = f.count();
    const float sum_dy = channel_sum(f, c, [&](std::int64_t at) { return dy[at]; });
    const float sum_dy_xhat = channel_sum(f, c, [&](std::int64_t at) { return dy[at] * ((x[at] - mean) * inverse); });
    if (threadIdx.x % kWarp != 0) continue;
    f.mean_dy[c] = sum_dy / count;
    f.mean_dy_xhat[c] = sum_dy_xhat / count;
    f.running_mean[c] = (1 - f.momentum) * f.running_mean[c] + f.momentum * mean;
    f.running_var[c] = (1 - f.momentum) * f.running_var[c] + f.momentum * f.var[c];
    update(rule, sum_dy_xhat, f.weight + c, slot_stride);
    update(rule, sum_dy, f.bias + c, slot_stride);
  }
}

SHOAL_OP void norm_backward_data(const Team& team, const NormPass& f, const float* x, const float* dy, bool add,
                                 float* dx) {
  const int features = f.image.features();
  for_values(team, f.groups(), features, [&](int group, int feature, int lane) {
    const std::int64_t at = place(group, features, feature) + lane;
    const int c = f.image.by_channels.rest(feature, f.image.by_channels.quotient(feature));
    const float xhat = (x[at] - f.mean[c]) * f.inverse[c];
    const bool inside = group * kLanes + lane < f.rows;
    const float gradient = inside ? f.scale[c] * (dy[at] - f.mean_dy[c] - xhat * f.mean_dy_xhat[c]) : 0.0f;
    dx[at] = add ? dx[at] + gradient : gradient;
  });
}

}  // namespace shoal::cuda
