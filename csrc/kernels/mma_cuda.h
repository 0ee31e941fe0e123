// Tensor cores: a warp's product of small matrices, D (16 x 8) += A B, and the roundings of its factors. The only file
// with their instructions; under emulation each is a twin, lane for lane (tests/cpp/emulation/tensor_cores.h).
//
// Each lane holds some words of 32 bits of A and B and some sums of D (PTX ISA, "Matrix Fragments for mma.m16n8k8" and
// "mma.m16n8k16"). A word is one number of TF32, or two of BF16 that are neighbours in k, the first one in the lower
// half. Counted in words, A is 16 x 8 and B 8 x 8, and both formats lie alike. With g = lane / 4 and t = lane % 4:
//   a[0] (g, t)   a[1] (g + 8, t)    a[2] (g, t + 4)    a[3] (g + 8, t + 4)
//   b[0] (t, g)   b[1] (t + 4, g)
//   d[0] (g, 2t)  d[1] (g, 2t + 1)   d[2] (g + 8, 2t)   d[3] (g + 8, 2t + 1)
// Products are exact and sums those of fp32; in which order the eight or sixteen products of one instruction are added
// up, and how that rounds, is up to the card, but the same every time.
#pragma once

#include "kernels/device.h"

namespace shoal::cuda {

inline constexpr int kFragmentRows = 16, kFragmentColumns = 8, kFragmentWords = 8;  // of A; of B; along k

// To the nearest number with 10 bits of fraction, ties away from zero; the lower 13 bits are zero.
SHOAL_DEVICE unsigned round_to_tf32(float x) {
#ifdef __CUDACC__
  unsigned word;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(word) : "f"(x));
  return word;
#else
  return emulation::round_to_tf32(x);
#endif
}

// To the nearest number with 7 bits of fraction, ties to even.
SHOAL_DEVICE std::uint16_t round_to_bf16(float x) {
#ifdef __CUDACC__
  std::uint16_t half;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(half) : "f"(x));
  return half;
#else
  return emulation::round_to_bf16(x);
#endif
}

SHOAL_DEVICE void multiply_add_tf32(const unsigned (&a)[4], const unsigned (&b)[2], float (&d)[4]) {
#ifdef __CUDACC__
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  emulation::mma_m16n8k8_tf32(a, b, d);
#endif
}

SHOAL_DEVICE void multiply_add_bf16(const unsigned (&a)[4], const unsigned (&b)[2], float (&d)[4]) {
#ifdef __CUDACC__
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  emulation::mma_m16n8k16_bf16(a, b, d);
#endif
}

// ---- what a product's factors may be: how they are put into words of shared memory, and multiplied

struct Fp32 {};  // as they are, and not on tensor cores

struct Tf32 {
  static constexpr int kPerWord = 1;
  static __device__ void put(float* word, int, float x) { *word = __uint_as_float(round_to_tf32(x)); }
  static __device__ void multiply_add(const unsigned (&a)[4], const unsigned (&b)[2], float (&d)[4]) {
    multiply_add_tf32(a, b, d);
  }
};

struct Bf16 {
  static constexpr int kPerWord = 2;
  static __device__ void put(float* word, int place, float x) {
    using Half = std::uint16_t __attribute__((may_alias));
    reinterpret_cast<Half*>(word)[place] = round_to_bf16(x);
  }
  static __device__ void multiply_add(const unsigned (&a)[4], const unsigned (&b)[2], float (&d)[4]) {
    multiply_add_bf16(a, b, d);
  }
};

// fp32 numbers as sums of two of TF32, which leaves out 2^-22 of them at most; of the four products the one of both
// small parts, as little again. The instructions' sums may truncate, so those of one slice of k are added up by
// themselves (Ootomo and Yokota 2022, arXiv:2203.03341).
struct SplitTf32 {
  static constexpr int kPerWord = 1;
  static __device__ void put(float* word, int, float x) { *word = x; }
  static __device__ void multiply_add(const unsigned (&a)[4], const unsigned (&b)[2], float (&d)[4]) {
    unsigned large_a[4], small_a[4], large_b[2], small_b[2];
    split(a, large_a, small_a);
    split(b, large_b, small_b);
    float sum[4] = {};
    multiply_add_tf32(small_a, large_b, sum);
    multiply_add_tf32(large_a, small_b, sum);
    multiply_add_tf32(large_a, large_b, sum);
#pragma unroll
    for (int i = 0; i < 4; ++i) d[i] += sum[i];
  }

 private:
  template <int count>
  static __device__ void split(const unsigned (&x)[count], unsigned (&large)[count], unsigned (&small)[count]) {
#pragma unroll
    for (int i = 0; i < count; ++i) {
      large[i] = round_to_tf32(__uint_as_float(x[i]));
      small[i] = round_to_tf32(__uint_as_float(x[i]) - __uint_as_float(large[i]));
    }
  }
};

}  // namespace shoal::cuda
