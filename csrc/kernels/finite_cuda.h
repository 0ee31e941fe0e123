// Looks through values on the GPU.
#pragma once

#include <limits>

#include "kernels/device.h"

namespace shoal::cuda {

template <class T>
struct FiniteLaunch {
  const T* values;
  std::int64_t count;
  bool allow_nan;
  int* broken;  // set to 1 where a value is not finite
};

template <class T>
__global__ void __launch_bounds__(kThreads) finite_kernel(const __grid_constant__ FiniteLaunch<T> launch) {
  for (std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; i < launch.count;
       i += std::int64_t{gridDim.x} * kThreads) {
    const T value = launch.values[i];
    const bool is_nan = value != value;
    const bool is_finite = fabs(value) < std::numeric_limits<T>::infinity();
    if (!is_finite && !(is_nan && launch.allow_nan)) *launch.broken = 1;
  }
}

}  // namespace shoal::cuda
