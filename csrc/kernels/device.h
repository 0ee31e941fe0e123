// CUDA C++ as the kernels use it. nvcc brings the real thing; the C++ tests compile the same kernels with g++ against
// tests/cpp/emulation/cuda_runtime.h, where every CUDA thread is a fiber.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#define SHOAL_DEVICE static __device__ __forceinline__
// An op: called, so that the registers of one are not counted with those of another.
#define SHOAL_OP inline __device__ __attribute__((noinline))

namespace shoal::cuda {

inline constexpr int kThreads = 256;  // of a block, unless it is said
inline constexpr int kWarp = 32;

// The block's dynamic shared memory.
SHOAL_DEVICE float* shared_memory() {
#ifdef __CUDACC__
  extern __shared__ __align__(16) float memory[];
  return memory;
#else
  return emulation::shared_memory();
#endif
}

// Lets other blocks go on while this thread looks again and again.
SHOAL_DEVICE void pause() {
#ifdef __CUDACC__
  __nanosleep(20);
#else
  emulation::yield();
#endif
}

// All threads of a cluster's blocks come here, and see what the others wrote before (PTX ISA, barrier.cluster).
SHOAL_DEVICE void cluster_sync() {
#ifndef __CUDACC__
  emulation::cluster_sync();
#elif __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.release.aligned;\n\tbarrier.cluster.wait.acquire.aligned;" ::: "memory");
#endif
}

// Blocks that share one member. Each takes every size-th piece of an op; a sum has one owner and one order, so that no
// result depends on `size`.
struct Team {
  int rank, size;
  bool cluster = false;          // the team is one
  unsigned* arrivals = nullptr;  // of all its blocks since the launch; global memory, zero at first. Not for clusters
  unsigned awaited = 0;

  __device__ int thread() const { return static_cast<int>(static_cast<unsigned>(rank) * blockDim.x + threadIdx.x); }
  __device__ int threads() const { return static_cast<int>(static_cast<unsigned>(size) * blockDim.x); }
  __device__ int warp() const { return thread() / kWarp; }
  __device__ int warps() const { return threads() / kWarp; }

  // Every thread of the team must come; what they wrote before, all see behind it.
  __device__ void sync() {
    if (cluster) return cluster_sync();
    __syncthreads();
    if (size == 1) return;
    awaited += static_cast<unsigned>(size);
    if (threadIdx.x == 0) {
      __threadfence();
      atomicAdd(arrivals, 1u);
      while (static_cast<int>(*static_cast<volatile unsigned*>(arrivals) - awaited) < 0) pause();
      __threadfence();
    }
    __syncthreads();
  }
};

// The sum over a warp's lanes, in one order, on all of them.
template <class T>
SHOAL_DEVICE T warp_sum(T value) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2) value += __shfl_xor_sync(0xFFFFFFFFu, value, distance);
  return value;
}

// Division by a number known before the launch: a product and a shift (Granlund and Montgomery 1994). n < 2^31.
struct Divider {
  unsigned divisor = 1, multiplier = 1, shift = 0;

  Divider() = default;
  explicit Divider(std::int64_t by) : divisor(static_cast<unsigned>(by)) {
    while (std::uint64_t{1} << shift < divisor) ++shift;
    multiplier = static_cast<unsigned>((((std::uint64_t{1} << shift) - divisor) << 32) / divisor + 1);
  }
  __device__ int quotient(int n) const {
    const auto u = static_cast<unsigned>(n);
    return static_cast<int>((__umulhi(u, multiplier) + u) >> shift);
  }
  __device__ int rest(int n, int quotient) const { return n - quotient * static_cast<int>(divisor); }
};

}  // namespace shoal::cuda
