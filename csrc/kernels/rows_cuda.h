// Members recombined on the GPU (rows.h has the formulas): one launch for all of them.
#pragma once

#include "kernels/device.h"
#include "kernels/rows.h"

namespace shoal::cuda {

// Parents that are heirs too are copied first, all of them before any heir is written.
struct CrossLaunch {
  const CrossRows* rows;
  std::int64_t saves, count;  // the first rows are such copies; all rows
  std::int64_t pieces;        // of the largest row, a block takes one at a time
  unsigned* arrivals;         // where there are copies: of the blocks, 0 before
};

inline constexpr int kCrossQuads = 4;                                // of a thread, in flight together
inline constexpr std::int64_t kCrossPiece = kCrossQuads * kThreads;  // quads of weights

// Of a row whose length is a multiple of four, as those of members are.
SHOAL_DEVICE void cross_piece(const CrossRows& row, std::int64_t piece) {
  const std::int64_t first = piece * kCrossPiece + threadIdx.x, quads = row.parameters / 4;
  std::array<std::uint32_t, 4> draws[kCrossQuads]{};
  for (int j = 0; j < kCrossQuads && row.share > 0; ++j) draws[j] = cross_draws(row, first + j * kThreads);
  for (std::int64_t s = 0; s < row.arrays; ++s) {
    const auto* const one = reinterpret_cast<const float4*>(row.first) + s * quads;
    const auto* const two = reinterpret_cast<const float4*>(row.second) + s * quads;
    float4 taken[kCrossQuads]{};
#pragma unroll
    for (int j = 0; j < kCrossQuads; ++j) {
      if (first + j * kThreads < quads) taken[j] = one[first + j * kThreads];
    }
#pragma unroll
    for (int j = 0; j < kCrossQuads && row.share > 0; ++j) {
      if (first + j * kThreads >= quads) continue;
      const float4 other = two[first + j * kThreads];
      if (draws[j][0] < row.share) taken[j].x = other.x;
      if (draws[j][1] < row.share) taken[j].y = other.y;
      if (draws[j][2] < row.share) taken[j].z = other.z;
      if (draws[j][3] < row.share) taken[j].w = other.w;
    }
    auto* const heir = reinterpret_cast<float4*>(row.heir) + s * quads;
#pragma unroll
    for (int j = 0; j < kCrossQuads; ++j) {
      if (first + j * kThreads < quads) heir[first + j * kThreads] = taken[j];
    }
  }
}

SHOAL_DEVICE void cross_rows(const CrossLaunch& launch, std::int64_t begin, std::int64_t end) {
  for (std::int64_t item = begin * launch.pieces + blockIdx.x; item < end * launch.pieces; item += gridDim.x)
    cross_piece(launch.rows[item / launch.pieces], item % launch.pieces);
}

// Memory bound: 8 bytes a float of a copy, 12 of a crossover.
__global__ void __launch_bounds__(kThreads) cross_kernel(const __grid_constant__ CrossLaunch launch) {
  cross_rows(launch, 0, launch.saves);
  if (launch.saves > 0) {
    Team all{static_cast<int>(blockIdx.x), static_cast<int>(gridDim.x), false, launch.arrivals};
    all.sync();
  }
  cross_rows(launch, launch.saves, launch.count);
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
