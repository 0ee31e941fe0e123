// Vectors of the instruction set this translation unit is compiled for, by the compiler's vector extensions.
// Included by cpu_<isa>.cpp alone; everything in it and in the *_cpu.h files lives in namespace shoal::<isa> and is
// forced inline or static, so that no wide code can be linked into a narrow path.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <cstdint>
#include <utility>

#include "core/normal.h"
#include "core/rng.h"
#include "core/share.h"

namespace shoal::SHOAL_ISA {

// Register tiles live in arrays that become registers only where the loops over them vanish.
#define SHOAL_UNROLL _Pragma("GCC unroll 32")

// A vector register, and how many of them a register tile may hold (of 32 with AVX-512, else of 16).
#if defined(__AVX512F__)
inline constexpr int W = 16, kAccumulators = 24;
#elif defined(__AVX2__)
inline constexpr int W = 8, kAccumulators = 12;
#else
inline constexpr int W = 4, kAccumulators = 12;
#endif

using vf = float __attribute__((vector_size(4 * W)));
using vi = std::int32_t __attribute__((vector_size(4 * W)));
using vu = std::uint32_t __attribute__((vector_size(4 * W)));

SHOAL_INLINE vf load(const float* p) { return *reinterpret_cast<const vf*>(p); }  // p on a vector boundary
SHOAL_INLINE void store(float* p, vf v) { *reinterpret_cast<vf*>(p) = v; }
SHOAL_INLINE vf load_unaligned(const float* p) {
  vf v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

SHOAL_INLINE vf splat(float x) { return x - vf{}; }  // not x + vf{}: -0 must stay -0
// A value that is used several times stays in a register: the compiler would rather load it anew for each use.
SHOAL_INLINE vf in_register(vf v) {
#if defined(__x86_64__)
  asm("" : "+v"(v));
#endif
  return v;
}

SHOAL_INLINE vf select(vi mask, vf yes, vf no) { return mask ? yes : no; }
SHOAL_INLINE vf vmax(vf a, vf b) { return a > b ? a : b; }  // b where one is NaN

SHOAL_INLINE vi lane_index() {
  vi v{};
  for (int l = 0; l < W; ++l) v[l] = l;
  return v;
}

// a b + c, rounded once where the processor can. The compiler fuses nothing by itself: then the same formula gives
// the same bits wherever it is inlined.
#if defined(__AVX512F__)
SHOAL_INLINE vf fma(vf a, vf b, vf c) {
  return reinterpret_cast<vf>(
      _mm512_fmadd_ps(reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b), reinterpret_cast<__m512>(c)));
}
SHOAL_INLINE float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
#elif defined(__AVX2__)
SHOAL_INLINE vf fma(vf a, vf b, vf c) {
  return reinterpret_cast<vf>(
      _mm256_fmadd_ps(reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b), reinterpret_cast<__m256>(c)));
}
SHOAL_INLINE float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
#else
SHOAL_INLINE vf fma(vf a, vf b, vf c) { return a * b + c; }
SHOAL_INLINE float fma(float a, float b, float c) { return a * b + c; }
#endif

// 2^x for integer-valued x in [-126, 127].
SHOAL_INLINE vf exp2_integer(vi x) {
  const vi bits = (x + 127) << 23;
  return reinterpret_cast<vf>(bits);
}

// x = k ln 2 + r with an integer k, |r| <= 0.35 and ln 2 in two parts (Cody and Waite 1980); x is clamped so that 2^k is
// neither 0 nor infinite. NaN stays NaN, in r.
struct Reduced {
  vf power;  // 2^k
  vf r;
};

SHOAL_INLINE Reduced reduce(vf x) {
  const vf clamped = select(x < -87.0f, splat(-87.0f), select(x > 88.0f, splat(88.0f), x));
  const vf shifted = fma(clamped, splat(1.44269504f), splat(12582912.0f));  // 1.5 * 2^23: low bits are round(x / ln 2)
  const vf k = shifted - 12582912.0f;
  const vf r = fma(k, splat(2.12194440e-4f), fma(k, splat(-0.693359375f), clamped));
  return {exp2_integer(reinterpret_cast<vi>(shifted) - 0x4B400000), r};
}

// (e^r - 1) / r for |r| <= 0.35, by its Taylor polynomial.
SHOAL_INLINE vf expm1_over(vf r) {
  vf p = splat(1.0f / 720);
  p = fma(p, r, splat(1.0f / 120));
  p = fma(p, r, splat(1.0f / 24));
  p = fma(p, r, splat(1.0f / 6));
  p = fma(p, r, splat(0.5f));
  return fma(p, r, splat(1.0f));
}

// Within 2 ulp.
SHOAL_INLINE vf vexp(vf x) {
  const Reduced e = reduce(x);
  return e.power * fma(expm1_over(e.r), e.r, splat(1.0f));
}

// ln x for finite x > 0: x = 2^k m with m in [sqrt(1/2), sqrt(2)), ln m = 2 atanh((m - 1) / (m + 1)) as a series.
SHOAL_INLINE vf vlog(vf x) {
  const vi bits = reinterpret_cast<vi>(x);
  const vi k = (bits - 0x3F3504F3) >> 23;
  const vf m = reinterpret_cast<vf>(bits - (k << 23));
  const vf z = (m - 1.0f) / (m + 1.0f);
  const vf z2 = z * z;
  vf p = splat(2.0f / 9);
  p = fma(p, z2, splat(2.0f / 7));
  p = fma(p, z2, splat(2.0f / 5));
  p = fma(p, z2, splat(2.0f / 3));
  p = fma(p, z2, splat(2.0f));
  return fma(__builtin_convertvector(k, vf), splat(0.693147181f), p * z);
}

SHOAL_INLINE vf vsigmoid(vf x) { return 1.0f / (1.0f + vexp(-x)); }

// tanh x = t / (t + 2) with t = e^(2x) - 1 = 2^k (e^r - 1) + (2^k - 1), which cancels nowhere: near zero 2^k = 1.
SHOAL_INLINE vf vtanh(vf x) {
  const Reduced e = reduce(2.0f * x);
  const vf t = fma(expm1_over(e.r) * e.r, e.power, e.power - 1.0f);
  return t / (t + 2.0f);
}

// Two things that the compiler makes poor code of: square roots, and W bytes to integers. (The unmasked AVX-512
// forms draw a false warning from gcc 12.)
#if defined(__AVX512F__)
SHOAL_INLINE vf vsqrt(vf x) { return reinterpret_cast<vf>(_mm512_maskz_sqrt_ps(0xFFFF, reinterpret_cast<__m512>(x))); }
SHOAL_INLINE vi widen(const std::uint8_t* p) {
  return reinterpret_cast<vi>(_mm512_maskz_cvtepu8_epi32(0xFFFF, _mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
#elif defined(__AVX2__)
SHOAL_INLINE vf vsqrt(vf x) { return reinterpret_cast<vf>(_mm256_sqrt_ps(reinterpret_cast<__m256>(x))); }
SHOAL_INLINE vi widen(const std::uint8_t* p) {
  return reinterpret_cast<vi>(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
#else
SHOAL_INLINE vf vsqrt(vf x) {
  vf y{};
  for (int l = 0; l < W; ++l) y[l] = __builtin_sqrtf(x[l]);
  return y;
}
SHOAL_INLINE vi widen(const std::uint8_t* p) {
  vi v{};
  for (int l = 0; l < W; ++l) v[l] = p[l];
  return v;
}
#endif

// Doubles, as many as half a vector has lanes: one register again. For core/normal.h.
struct Doubles {
  using Number = double __attribute__((vector_size(4 * W)));
  using Bits = std::uint64_t __attribute__((vector_size(4 * W)));
  using Word = std::uint32_t __attribute__((vector_size(2 * W)));
  using Floats = float __attribute__((vector_size(2 * W)));

  // As signed integers, of which more processors make doubles.
  SHOAL_INLINE Number of_word(Word word) {
    using Signed = std::int32_t __attribute__((vector_size(2 * W)));
    return __builtin_convertvector(reinterpret_cast<Signed>(word), Number);
  }
  SHOAL_INLINE Bits bits(Number x) { return reinterpret_cast<Bits>(x); }
  SHOAL_INLINE Number of_bits(Bits b) { return reinterpret_cast<Number>(b); }
  SHOAL_INLINE Number root(Number x) {
    Number y{};
    for (int l = 0; l < W / 2; ++l) y[l] = __builtin_sqrt(x[l]);
    return y;
  }
};

template <int h, int... lane>
SHOAL_INLINE Doubles::Word half(vu v, std::integer_sequence<int, lane...>) {
  return __builtin_shufflevector(v, v, (h * W / 2 + lane)...);
}

// Half h of the lanes, 0 or 1.
template <int h>
SHOAL_INLINE Doubles::Word half(vu v) {
  return half<h>(v, std::make_integer_sequence<int, W / 2>());
}

template <int... lane>
SHOAL_INLINE vf side_by_side(Doubles::Floats a, Doubles::Floats b, std::integer_sequence<int, lane...>) {
  return __builtin_shufflevector(a, b, (lane % 2 * W / 2 + lane / 2)...);
}

// a[0], b[0], a[1], b[1], ..., rounded.
SHOAL_INLINE vf side_by_side(Doubles::Number a, Doubles::Number b) {
  return side_by_side(__builtin_convertvector(a, Doubles::Floats), __builtin_convertvector(b, Doubles::Floats),
                      std::make_integer_sequence<int, W>());
}

// Exchanges the second half of every 2 block lanes of a with the first half of b's.
template <int block, int... lane>
SHOAL_INLINE void exchange(vf& a, vf& b, std::integer_sequence<int, lane...>) {
  const vf upper = __builtin_shufflevector(a, b, ((lane & block) ? W + lane - block : lane)...);
  b = __builtin_shufflevector(a, b, ((lane & block) ? W + lane : lane + block)...);
  a = upper;
}

// m[i][j] <-> m[j][i], in log2 W rounds that each exchange blocks of rows with blocks of lanes.
template <int block = W / 2>
SHOAL_INLINE void transpose(vf (&m)[W]) {
  SHOAL_UNROLL
  for (int i = 0; i < W; ++i) {
    if (!(i & block)) exchange<block>(m[i], m[i + block], std::make_integer_sequence<int, W>());
  }
  if constexpr (block > 1) transpose<block / 2>(m);
}

// Sum of the lanes in a fixed order.
SHOAL_INLINE float sum_lanes(vf v) {
  float part[W];
  __builtin_memcpy(part, &v, sizeof v);
  for (int width = W / 2; width > 0; width /= 2) {
    for (int l = 0; l < width; ++l) part[l] += part[l + width];
  }
  return part[0];
}

// Adds neighbouring halves of two vectors of partial sums: where each holds groups of G lanes, the result holds groups of
// G / 2, those of u first.
template <int G, int... lane>
SHOAL_INLINE vf fold_lanes(vf u, vf v, std::integer_sequence<int, lane...>) {
  constexpr auto first = [](int l) { return (l < W / 2 ? 0 : W) + l % (W / 2) / (G / 2) * G + l % (W / 2) % (G / 2); };
  return __builtin_shufflevector(u, v, first(lane)...) + __builtin_shufflevector(u, v, first(lane) + G / 2 ...);
}

template <int G>
SHOAL_INLINE vf fold(vf u, vf v) {
  return fold_lanes<G>(u, v, std::make_integer_sequence<int, W>());
}

// The lane sums of sums[0..count), count a power of two and at most W, in the first `count` lanes.
template <int G, int count>
SHOAL_INLINE vf lane_sums(vf* sums) {
  if constexpr (G == 1) {
    return sums[0];
  } else if constexpr (count == 1) {
    vf once[1] = {fold<G>(sums[0], sums[0])};
    return lane_sums<G / 2, 1>(once);
  } else {
    SHOAL_UNROLL
    for (int i = 0; i < count / 2; ++i) sums[i] = fold<G>(sums[2 * i], sums[2 * i + 1]);
    return lane_sums<G / 2, count / 2>(sums);
  }
}

// The next one.
constexpr int power_of_two(int n) { return n <= 1 ? 1 : 2 * power_of_two((n + 1) / 2); }

SHOAL_INLINE float max_lanes(vf v) {
  float best = v[0];
  for (int l = 1; l < W; ++l) best = v[l] > best ? v[l] : best;
  return best;
}

// Philox for W counters at once; the key may differ by lane.
struct Words {
  vu w[4];
};

SHOAL_INLINE void multiply_wide(vu a, std::uint32_t b, vu& high, vu& low) {
  using vl = std::uint64_t __attribute__((vector_size(4 * W)));
  const vl even = (reinterpret_cast<vl>(a) & 0xFFFFFFFFu) * std::uint64_t{b};
  const vl odd = (reinterpret_cast<vl>(a) >> 32) * std::uint64_t{b};
  high = reinterpret_cast<vu>((even >> 32) | (odd & ~std::uint64_t{0xFFFFFFFFu}));
  low = a * b;
}

SHOAL_INLINE Words philox(vu c0, vu c1, vu c2, vu c3, vu key0, vu key1) {
  for (int round = 0; round < kPhiloxRounds; ++round) {
    vu high0, low0, high1, low1;
    multiply_wide(c0, kPhiloxM0, high0, low0);
    multiply_wide(c2, kPhiloxM1, high1, low1);
    c0 = high1 ^ c1 ^ key0;
    c1 = low1;
    c2 = high0 ^ c3 ^ key1;
    c3 = low0;
    key0 += kPhiloxW0;
    key1 += kPhiloxW1;
  }
  return {{c0, c1, c2, c3}};
}

}  // namespace shoal::SHOAL_ISA
