// The three products of a convolution (shoal/network.h has the formula) over images with the samples in the lanes:
// a weight is one number for all lanes. Weights are (filters, kernel height, kernel width, channels), each filter
// padded to kPad like a row of a dense layer.
//
// `rank` of `size` threads computes its share of the outputs; each sum has one owner and one order, so the result
// does not depend on `size`.
#pragma once

#include <cstdint>

#include "kernels/finish.h"
#include "kernels/image.h"

namespace shoal {

struct ConvShape {
  Image x, y;  // y.channels: filters
  std::int64_t kernel_height = 1, kernel_width = 1;
  std::int64_t stride_height = 1, stride_width = 1;
  std::int64_t top = 0, left = 0;  // zeros before the first row and column
  bool operator==(const ConvShape&) const = default;

  std::int64_t taps() const { return kernel_height * kernel_width; }
  std::int64_t inputs() const { return taps() * x.channels; }  // of one filter
};

// Weights in the order in which the kernels read them, once a step: for each tile of outputs, (inputs, outputs of the
// tile), where the outputs are the filters forward and the channels backward.
struct ConvPack {
  ConvShape shape;
  const float* weight;
  float* forward;   // inputs() * filters floats
  float* backward;  // as many, or null: not wanted
};

// y = activation(x * W + b).
struct ConvForward {
  ConvShape shape;
  std::int64_t groups;
  const float* x;
  const float* packed;
  const float* bias;  // (filters,) or null
  Activation activation;
  float slope;
  float* y;
};

// dx = the sum over every output that read it; or is added to.
struct ConvBackwardData {
  ConvShape shape;
  std::int64_t groups;
  const float* dy;
  const float* packed;
  bool add;
  float* dx;
};

// Adds to the gradients of the weights, and of the biases unless null.
struct ConvBackwardWeights {
  ConvShape shape;
  std::int64_t groups;
  const float *x, *dy;
  float *weight, *bias;
};

}  // namespace shoal
