// Tiny networks: W members of one structure in the lanes, every array with a last axis of W. One kind of product
// serves forward, backward by data and backward by weights, because all its operands are vectors:
//   c[m][n] = sum_k a[m][k] b[n][k], each axis with its own stride, in vectors.
#pragma once

#include <cstdint>

#include "kernels/update.h"

namespace shoal {

struct LaneProduct {
  std::int64_t m, n, k;
  const float* a;
  std::int64_t a_m, a_k;
  const float* b;
  std::int64_t b_n, b_k;
  float* c;  // (m, n, W), contiguous
};

// One optimiser step of `weights` weights and their slots, slot_stride vectors apart.
struct LaneUpdate {
  const Update* update;  // (W,); the optimiser is the same in all
  std::int64_t weights, slot_stride;
  const float* gradient;  // (weights, W)
  float* weight;          // (weights, W) in/out
};

// gradient[o] = sum over rows of dy[row][o].
struct LaneSum {
  std::int64_t rows, columns;
  const float* dy;
  float* sum;
};

}  // namespace shoal
