// Initial weights on the GPU, all layers of any number of members in a launch: a core of the processor draws some two
// hundred million a second, and would send them all.
#pragma once

#include "kernels/device.h"
#include "kernels/initial.h"

namespace shoal::cuda {

struct InitialLaunch {
  const InitialWeights* layers;
  std::int64_t count;
};

inline constexpr int kInitialShares = 8;  // of a layer, a block's work each

__global__ void __launch_bounds__(kThreads) initial_kernel(const __grid_constant__ InitialLaunch launch) {
  for (std::int64_t i = blockIdx.x; i < launch.count * kInitialShares; i += gridDim.x) {
    const InitialWeights layer = launch.layers[i / kInitialShares];
    const std::int64_t pairs = layer.pairs(), first = i % kInitialShares * kThreads + threadIdx.x;
    for (std::int64_t at = first; at < layer.outputs * pairs; at += kInitialShares * kThreads)
      initial_pair(layer, at / pairs, at % pairs);
  }
}

}  // namespace shoal::cuda
