// Standard normal numbers in plain arithmetic of doubles: every machine rounds + - * / and the square root alike, but not
// the logarithms and sines of its libraries. So they have the same bits everywhere.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "core/share.h"

namespace shoal {

// What the formulas need of a number. This is one double; kernels/simd.h has vectors of them.
struct OneDouble {
  using Number = double;
  using Bits = std::uint64_t;
  using Word = std::uint32_t;

  SHOAL_HD static Number of_word(Word word) { return word; }  // < 2^31
  SHOAL_HD static Bits bits(Number x) {
    Bits b;
    memcpy(&b, &x, sizeof b);
    return b;
  }
  SHOAL_HD static Number of_bits(Bits b) {
    Number x;
    memcpy(&x, &b, sizeof x);
    return x;
  }
  SHOAL_HD static Number root(Number x) { return sqrt(x); }
};

// ln x for x in (0, 1], not denormal: x = 2^k m with m in [sqrt(1/2), sqrt(2)), ln m = 2 atanh((m - 1) / (m + 1)) as a
// series. k becomes a double as the low bits of one.
template <class V>
SHOAL_HD SHOAL_INLINE typename V::Number exact_log(typename V::Number x) {
  constexpr std::uint64_t kRootHalf = 0x3FE6A09E667F3BCDu, kBias = 1024, kTwo52 = 0x4330000000000000u;
  constexpr double kSeries[] = {2.0 / 19, 2.0 / 17, 2.0 / 15, 2.0 / 13, 2.0 / 11,
                                2.0 / 9,  2.0 / 7,  2.0 / 5,  2.0 / 3,  2.0};
  const typename V::Bits biased = (V::bits(x) + ((kBias << 52) - kRootHalf)) >> 52;  // k + kBias
  const typename V::Number k = V::of_bits(biased + kTwo52) - (4503599627370496.0 + kBias);
  const typename V::Number m = V::of_bits(V::bits(x) + (kBias << 52) - (biased << 52));
  const typename V::Number z = (m - 1.0) / (m + 1.0), z2 = z * z;
  typename V::Number p{};
  for (const double factor : kSeries) p = p * z2 + factor;
  return k * 0.69314718055994530942 + p * z;
}

// cos and sin of 2 pi u, u in [0, 1): Taylor's polynomials on an eighth of the circle either side of `quarter` / 4, which
// is u rounded to a quarter turn.
template <class V>
SHOAL_HD SHOAL_INLINE void exact_turn(typename V::Number u, typename V::Number quarter, typename V::Number& cosine,
                                      typename V::Number& sine) {
  constexpr double kCosine[] = {1.0 / 240, 1.0 / 182, 1.0 / 132, 1.0 / 90, 1.0 / 56, 1.0 / 30, 1.0 / 12, 1.0 / 2};
  constexpr double kSine[] = {1.0 / 272, 1.0 / 210, 1.0 / 156, 1.0 / 110, 1.0 / 72, 1.0 / 42, 1.0 / 20, 1.0 / 6};
  const typename V::Number x = (u - 0.25 * quarter) * 6.28318530717958647693, x2 = x * x;
  typename V::Number c = typename V::Number{} + 1.0, s = c;
  for (const double factor : kCosine) c = 1.0 - c * x2 * factor;
  for (const double factor : kSine) s = 1.0 - s * x2 * factor;
  s *= x;
  const auto swaps = (quarter == 1.0) | (quarter == 3.0);
  const auto left = (quarter == 1.0) | (quarter == 2.0), below = (quarter == 2.0) | (quarter == 3.0);
  cosine = swaps ? s : c;
  cosine = left ? -cosine : cosine;
  sine = swaps ? c : s;
  sine = below ? -sine : sine;
}

// Two independent ones from four random words (Box and Muller 1958): 53 bits make a u in [0, 1).
template <class V>
SHOAL_HD SHOAL_INLINE void normal_pair(const typename V::Word (&words)[4], typename V::Number& a,
                                       typename V::Number& b) {
  constexpr double kUnit = 1.0 / 9007199254740992.0;
  const auto u = [&](int i) {
    return (V::of_word(words[i] >> 5) * 67108864.0 + V::of_word(words[i + 1] >> 6)) * kUnit;
  };
  const typename V::Number radius = V::root(exact_log<V>(u(0) + kUnit) * -2.0);
  typename V::Number cosine, sine;
  exact_turn<V>(u(2), V::of_word(((words[2] >> 29) + 1) >> 1), cosine, sine);
  a = radius * cosine;
  b = radius * sine;
}

}  // namespace shoal
