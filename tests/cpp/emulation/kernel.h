// What kernels use of CUDA C++.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#include "blocks.h"

#define __global__ inline  // kernels in headers may come into several files
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__

struct alignas(16) float4 {
  float x, y, z, w;
};

#define threadIdx (::emulation::self().index)
#define blockIdx (::emulation::self().block->index)

inline void __syncthreads(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  emulation::leave(emulation::Wait::block, {file, line});
}
inline void __syncwarp(unsigned = ~0u, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  emulation::leave(emulation::Wait::warp, {file, line});
}
inline void __threadfence() {}

namespace emulation {

// What the thread `from` of the block gives, as all of the warp come here.
template <class T>
T exchange(T value, unsigned from) {
  static_assert(sizeof(T) <= sizeof(std::uint64_t));
  Thread& mine = self();
  std::memcpy(&mine.exchange, &value, sizeof(T));
  __syncwarp();
  T theirs;
  std::memcpy(&theirs, &mine.block->threads[from].exchange, sizeof(T));
  __syncwarp();
  return theirs;
}

}  // namespace emulation

template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return emulation::exchange(value, threadIdx.x ^ static_cast<unsigned>(mask));
}

template <class T>
T __shfl_sync(unsigned, T value, int lane) {
  return emulation::exchange(value,
                             threadIdx.x / emulation::kWarpSize * emulation::kWarpSize + static_cast<unsigned>(lane));
}

inline unsigned __ballot_sync(unsigned, bool vote) {
  emulation::Thread& mine = emulation::self();
  mine.exchange = vote;
  __syncwarp();
  const unsigned first = static_cast<unsigned>(mine.index.x) / emulation::kWarpSize * emulation::kWarpSize;
  unsigned votes = 0;
  for (unsigned lane = 0; lane < emulation::kWarpSize; ++lane)
    votes |= static_cast<unsigned>(mine.block->threads[first + lane].exchange) << lane;
  __syncwarp();
  return votes;
}

inline int __ffs(int bits) { return bits == 0 ? 0 : std::countr_zero(static_cast<unsigned>(bits)) + 1; }

template <class T>
T atomicAdd(T* to, T value) {
  return std::exchange(*to, *to + value);
}

inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(static_cast<std::uint64_t>(a) * b >> 32);
}

inline float __uint_as_float(unsigned bits) { return std::bit_cast<float>(bits); }
inline unsigned __float_as_uint(float value) { return std::bit_cast<unsigned>(value); }

using std::isfinite;
using std::max;
using std::min;
