// Activation and dropout of one value, and their derivative (finish.h has the formulas and which word is drawn).
#pragma once

#include "kernels/device.h"
#include "kernels/finish.h"

namespace shoal::cuda {

SHOAL_DEVICE float activate(Activation kind, float slope, float x) {
  switch (kind) {
    case Activation::identity: break;
    case Activation::relu: return x > 0 ? x : x == x ? 0 : x;  // NaN stays NaN
    case Activation::leaky_relu: return x > 0 ? x : slope * x;
    case Activation::sigmoid: return 1 / (1 + expf(-x));
    case Activation::tanh: return tanhf(x);
  }
  return x;
}

// dy f'(x) by y = f(x).
SHOAL_DEVICE float differentiate(Activation kind, float slope, float y, float dy) {
  switch (kind) {
    case Activation::identity: break;
    case Activation::relu: return y > 0 ? dy : 0;
    case Activation::leaky_relu: return y > 0 ? dy : slope * dy;
    case Activation::sigmoid: return dy * fmaf(-y, y, y);
    case Activation::tanh: return dy * fmaf(-y, y, 1.0f);
  }
  return dy;
}

// What follows an op in the same pass.
struct Finisher {
  Activation activation;
  float slope;
  Dropout dropout;

  __device__ bool kept(int row, int column) const {
    const auto element = static_cast<std::uint32_t>(column / 64 * 16 + column % 16);
    const auto words = philox(
        {element, static_cast<std::uint32_t>(row), dropout.step, stream(Purpose::dropout, dropout.layer)}, dropout.key);
    const int which = column % 64 / 16;  // chosen by comparing: an index would send the words through memory
    const std::uint32_t word = which == 0 ? words[0] : which == 1 ? words[1] : which == 2 ? words[2] : words[3];
    return word >= drop_below(dropout.rate);
  }

  __device__ float forward(int row, int column, float x) const {
    const float y = activate(activation, slope, x);
    if (dropout.rate <= 0) return y;
    return kept(row, column) ? y * (1 / (1 - dropout.rate)) : 0;
  }

  __device__ float backward(int row, int column, float y, float dy) const {
    if (dropout.rate > 0) {
      dy = kept(row, column) ? dy * (1 / (1 - dropout.rate)) : 0;
      y *= 1 - dropout.rate;
    }
    return differentiate(activation, slope, y, dy);
  }
};

}  // namespace shoal::cuda
