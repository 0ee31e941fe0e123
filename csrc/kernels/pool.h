// The largest value, or the mean, of each window of an image; samples in the lanes (image.h). Padding never counts.
// The gradient of a maximum goes to the first place that has it.
#pragma once

#include "kernels/conv.h"

namespace shoal {

struct PoolForward {
  ConvShape shape;  // x.channels == y.channels
  Pooling pooling;
  std::int64_t groups;
  const float* x;
  float* y;
};

struct PoolBackward {
  ConvShape shape;
  Pooling pooling;
  std::int64_t groups;
  const float *x, *y, *dy;  // x and y: for max
  bool add;                 // to dx
  float* dx;
};

}  // namespace shoal
