// Members recombined on the GPU (rows.h has the formulas): one launch for all of them.
#pragma once

#include "kernels/device.h"
#include "kernels/rows.h"

namespace shoal::cuda {

struct CrossLaunch {
  const CrossRows* rows;
  std::int64_t count, pieces;  // pieces of the largest row, a block takes one at a time
};

inline constexpr std::int64_t kCrossPiece = 4 * 4 * kThreads;  // weights

// Memory bound: it reads one float of two and writes one.
__global__ void __launch_bounds__(kThreads) cross_kernel(const __grid_constant__ CrossLaunch launch) {
  for (std::int64_t item = blockIdx.x; item < launch.count * launch.pieces; item += gridDim.x) {
    const CrossRows& row = launch.rows[item / launch.pieces];
    const std::int64_t first = item % launch.pieces * kCrossPiece;
    for (std::int64_t at = first + 4 * static_cast<std::int64_t>(threadIdx.x);
         at < first + kCrossPiece && at < row.parameters; at += 4 * kThreads)
      cross_quad(row, at / 4);
  }
}

struct MutateLaunch {
  const MutateLayer* layers;
  std::int64_t count;
};

inline constexpr std::size_t kMutateBytes = kMutateParts * sizeof(double);
static_assert(kMutateParts == kThreads);

// A block takes a layer.
__global__ void __launch_bounds__(kThreads) mutate_kernel(const __grid_constant__ MutateLaunch launch) {
  auto* const sums = reinterpret_cast<double*>(shared_memory());
  const auto thread = static_cast<int>(threadIdx.x);
  for (std::int64_t i = blockIdx.x; i < launch.count; i += gridDim.x) {
    const MutateLayer& layer = launch.layers[i];
    sums[thread] = squares_of_part(layer, thread);
    __syncthreads();
    for (int width = kThreads / 2; width > 0; width /= 2) {
      if (thread < width) sums[thread] += sums[thread + width];
      __syncthreads();
    }
    const double width = layer.scale * sqrt(sums[0] / static_cast<double>(layer.weights()));
    for (std::int64_t pair = thread; 2 * pair < layer.weights(); pair += kThreads)
      mutate_pair(layer, false, pair, width);
    for (std::int64_t pair = thread; 2 * pair < layer.biases; pair += kThreads) mutate_pair(layer, true, pair, width);
    __syncthreads();  // all have read the sum
  }
}

}  // namespace shoal::cuda
