// The three products of a dense layer, y = x W^T, for one member. Weights are (outputs, inputs) row-major. Rows of
// every array start on a 64-byte boundary: strides are multiples of kPad floats and the padding holds zeros, so
// that lanes run along the inputs and any batch size and number of outputs fills them.
//
// `rank` of `size` threads computes its share of the output tiles; each sum has one owner and one order, so the
// result does not depend on `size`.
#pragma once

#include <cstdint>

#include "kernels/update.h"

namespace shoal {

inline constexpr std::int64_t kPad = 16;

inline std::int64_t padded(std::int64_t n) { return (n + kPad - 1) / kPad * kPad; }

struct DenseShape {
  std::int64_t rows;     // B, >= 1
  std::int64_t inputs;   // without padding; rows of x and W are padded(inputs) apart
  std::int64_t outputs;  // without padding; rows of y are padded(outputs) apart
};

// y = x W^T. Padding of y is left alone.
struct DenseForward {
  DenseShape shape;
  const float* x;       // (B, inputs)
  const float* weight;  // (outputs, inputs)
  float* y;             // (B, outputs)
};

// The same with each sum taken in the order of the inputs, as members in lanes take it (lanes.h): a tiny network
// gives the same bits by itself.
struct DenseForwardInOrder {
  DenseForward forward;
  float* transposed;  // (inputs, padded(outputs)), scratch
};

// dx = dy W, or is added to.
struct DenseBackwardData {
  DenseShape shape;
  const float* dy;      // (B, outputs)
  const float* weight;  // (outputs, inputs)
  bool add;
  float* dx;  // (B, inputs), padding becomes zero
};

// A batch that is worked off in slices leaves the sum of their gradients in memory until the last one.
struct SliceSum {
  float* gradient = nullptr;  // where the weight's would be, from `origin` on; null: the batch is one slice
  const float* origin = nullptr;
  bool first = true, last = true;
};

// W and b take one optimiser step with the gradients dy^T x and sum_B dy, which never reach memory where the batch is
// one slice. Optimiser slots lie slot_stride, 2 slot_stride floats after their weights.
struct DenseBackwardWeights {
  DenseShape shape;
  const float* x;   // (B, inputs)
  const float* dy;  // (B, outputs)
  float* weight;    // (outputs, inputs) in/out
  float* bias;      // (outputs,) in/out, or null
  std::int64_t slot_stride;
  Update update;
  SliceSum sum;
};

}  // namespace shoal
