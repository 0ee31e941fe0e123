// The initial weights of a layer, the same bits for every instruction set and device.
#pragma once

#include <cstdint>

#include "core/normal.h"
#include "core/rng.h"

namespace shoal {

enum class Drawn { normal, uniform, constant };

// weight[o][i] = width z, z standard normal, uniform in (-1, 1), or 1. Weights 2j and 2j + 1 of row o draw from counter
// (j, o, 0), so they do not depend on how rows are padded.
struct InitialWeights {
  float* weight;  // (outputs, inputs) in rows `stride` apart; what lies between is zero
  std::int64_t outputs, inputs, stride;
  Drawn drawn;
  double width;  // standard deviation, bound of the uniform, or the constant
  PhiloxKey key;
  std::uint32_t layer;

  SHOAL_HD std::int64_t pairs() const { return (inputs + 1) / 2; }  // of a row
};

// Uniform in (-1, 1).
template <class V>
SHOAL_HD SHOAL_INLINE typename V::Number signed_unit(typename V::Word word) {
  return (V::of_word(word >> 16) * 65536.0 + V::of_word(word & 0xFFFFu) + 0.5) * (1.0 / 2147483648.0) - 1.0;
}

// z of two weights, from four random words.
template <class V>
SHOAL_HD SHOAL_INLINE void initial_numbers(Drawn drawn, const typename V::Word (&words)[4], typename V::Number& a,
                                           typename V::Number& b) {
  a = b = typename V::Number{} + 1.0;
  if (drawn == Drawn::normal) normal_pair<V>(words, a, b);
  if (drawn == Drawn::uniform) a = signed_unit<V>(words[0]), b = signed_unit<V>(words[2]);
}

// Pair j of row o, one at a time.
SHOAL_HD SHOAL_INLINE void initial_pair(const InitialWeights& f, std::int64_t o, std::int64_t j) {
  std::uint32_t words[4] = {};
  if (f.drawn != Drawn::constant) {
    const auto random = philox(
        {static_cast<std::uint32_t>(j), static_cast<std::uint32_t>(o), 0, stream(Purpose::initial_weights, f.layer)},
        f.key);
    for (int i = 0; i < 4; ++i) words[i] = random[static_cast<std::size_t>(i)];
  }
  double a, b;
  initial_numbers<OneDouble>(f.drawn, words, a, b);
  float* const to = f.weight + o * f.stride + 2 * j;
  to[0] = static_cast<float>(a * f.width);
  if (2 * j + 1 < f.inputs) to[1] = static_cast<float>(b * f.width);
}

}  // namespace shoal
