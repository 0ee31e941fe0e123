// Batch normalisation (shoal/network.h has the formula) over samples in slices: first the statistics of all slices,
// then y; backward first the sums of all slices, then dx. Channels are those of images (image.h), or the features of
// rows; arrays by channel are padded(channels) long.
//
//   xhat = (x - mean) / sqrt(var + epsilon)            y = activation(weight xhat + bias)
//   dx = weight / sqrt(var + epsilon) (dy - mean(dy) - xhat mean(dy xhat))
#pragma once

#include "kernels/image.h"

namespace shoal {

// What is normalised: images, or rows of image.channels features (padded apart) where there are no pixels.
struct NormShape {
  Image image;
  bool rows = false;  // the layout
  bool operator==(const NormShape&) const = default;
};

// Merges a slice into the mean and the sum of squared deviations of the samples before it (Chan, Golub and LeVeque
// 1979): two passes over the slice, so that no difference of large sums is taken.
struct NormStatistics {
  NormShape shape;
  std::int64_t samples, before;
  const float* x;
  float *mean, *squares;
};

struct NormForward {
  NormShape shape;
  std::int64_t samples;
  const float* x;
  const float *mean, *scale, *bias;  // scale: weight / sqrt(var + epsilon)
  Activation activation;
  float slope;
  float* y;
};

// dy <- dy f'(y), and adds the slice to sum_dy and sum_dy_xhat.
struct NormBackwardSums {
  NormShape shape;
  std::int64_t samples;
  const float *x, *y;
  const float *mean, *inverse;  // 1 / sqrt(var + epsilon)
  Activation activation;
  float slope;
  float *dy, *sum_dy, *sum_dy_xhat;
};

struct NormBackwardData {
  NormShape shape;
  std::int64_t samples;
  const float *x, *dy;
  const float *mean, *inverse, *scale;
  const float *mean_dy, *mean_dy_xhat;  // sums over all slices, divided by their count
  bool add;
  float* dx;
};

}  // namespace shoal
