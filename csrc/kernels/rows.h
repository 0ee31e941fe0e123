// Whole members recombined: crossover (a copy is one with a single parent) and mutation, the same bits on every device.
// Plain arithmetic in double does that: every machine rounds + - * / and the square root alike, but not logarithms.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "core/rng.h"
#include "core/share.h"

namespace shoal {

// heir[s, i] = second[s, i] where the draw of weight i is below `share`, else first[s, i]: weights (s = 0) and the slots
// of the optimiser behind them. The heir may be one of its parents. Draw i is word i % 4 of counter (i / 4, 0, step).
struct CrossRows {
  const float *first, *second;  // (arrays, parameters)
  float* heir;
  std::int64_t parameters, arrays;
  std::uint64_t share;  // of 2^32; 0: a copy of the first
  PhiloxKey key;
  std::uint32_t step;
};

// The draws of the weights from 4 quad on.
SHOAL_HD SHOAL_INLINE std::array<std::uint32_t, 4> cross_draws(const CrossRows& f, std::int64_t quad) {
  return philox({static_cast<std::uint32_t>(quad), 0, f.step, stream(Purpose::crossover)}, f.key);
}

// The weights from 4 quad on, at most four.
SHOAL_INLINE void cross_quad(const CrossRows& f, std::int64_t quad) {
  std::array<std::uint32_t, 4> words{};
  if (f.share > 0) words = cross_draws(f, quad);
  for (std::int64_t s = 0; s < f.arrays; ++s) {
    for (std::int64_t j = 0; j < 4 && 4 * quad + j < f.parameters; ++j) {
      const std::int64_t at = s * f.parameters + 4 * quad + j;
      f.heir[at] = (words[static_cast<std::size_t>(j)] < f.share ? f.second : f.first)[at];
    }
  }
}

// One layer: w += scale r z, z standard normal, r the root mean square of the layer's weights; its biases likewise, by the
// same r. Weight e of the layer, counted without padding, and bias e draw from counter (e / 2, 0 or 1, step).
struct MutateLayer {
  float *weight, *bias;  // (outputs, inputs) in rows `stride` apart; (biases,)
  std::int64_t outputs, inputs, stride, biases;
  double scale;
  PhiloxKey key;
  std::uint32_t step, layer;

  SHOAL_HD std::int64_t weights() const { return outputs * inputs; }
  SHOAL_HD float* at(std::int64_t e) const { return weight + e / inputs * stride + e % inputs; }
};

inline constexpr int kMutateParts =
    256;  // sums of squares, then added by pairs: part p has the weights p, p + 256, ...

SHOAL_HD SHOAL_INLINE double squares_of_part(const MutateLayer& f, int part) {
  double sum = 0;
  for (std::int64_t e = part; e < f.weights(); e += kMutateParts) {
    const double w = *f.at(e);
    sum += w * w;
  }
  return sum;
}

// ln x for x in (0, 1], not denormal: x = 2^k m with m in [sqrt(1/2), sqrt(2)), ln m = 2 atanh((m - 1) / (m + 1)) as a series.
SHOAL_HD SHOAL_INLINE double exact_log(double x) {
  std::uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  constexpr std::uint64_t kRootHalf = 0x3FE6A09E667F3BCDu;
  const auto k = static_cast<std::int64_t>(bits - kRootHalf) >> 52;
  bits -= static_cast<std::uint64_t>(k) << 52;
  double m;
  memcpy(&m, &bits, sizeof m);
  const double z = (m - 1) / (m + 1), z2 = z * z;
  double p = 0;
  for (int n = 19; n >= 1; n -= 2) p = p * z2 + 2.0 / n;
  return static_cast<double>(k) * 0.69314718055994530942 + p * z;
}

// cos and sin of 2 pi u, u in [0, 1): Taylor's polynomials on an eighth of the circle either side of a quarter turn.
SHOAL_HD SHOAL_INLINE void exact_turn(double u, double& cosine, double& sine) {
  const int quarter = (static_cast<int>(8 * u) + 1) / 2;
  const double x = (u - 0.25 * quarter) * 6.28318530717958647693, x2 = x * x;
  double c = 1, s = 1;
  for (int n = 16; n >= 2; n -= 2) {
    c = 1 - c * x2 / (n * (n - 1));
    s = 1 - s * x2 / (n * (n + 1));
  }
  s *= x;
  const bool swaps = quarter % 2 != 0;
  cosine = (quarter == 1 || quarter == 2 ? -1 : 1) * (swaps ? s : c);
  sine = (quarter == 2 || quarter == 3 ? -1 : 1) * (swaps ? c : s);
}

// As normal_pair of core/rng.h.
SHOAL_HD SHOAL_INLINE void exact_normal_pair(const std::array<std::uint32_t, 4>& words, double& a, double& b) {
  const auto unit = [](std::uint32_t high, std::uint32_t low) {
    return (static_cast<double>(high >> 5) * 67108864.0 + (low >> 6)) / 9007199254740992.0;
  };
  const double radius = sqrt(-2 * exact_log(unit(words[0], words[1]) + 1.0 / 9007199254740992.0));
  double cosine, sine;
  exact_turn(unit(words[2], words[3]), cosine, sine);
  a = radius * cosine;
  b = radius * sine;
}

SHOAL_HD SHOAL_INLINE void add_noise(float* w, double noise) { *w = static_cast<float>(*w + noise); }

// The weights or biases 2 pair and 2 pair + 1. `width`: scale r.
SHOAL_HD SHOAL_INLINE void mutate_pair(const MutateLayer& f, bool biases, std::int64_t pair, double width) {
  const std::int64_t e = 2 * pair, count = biases ? f.biases : f.weights();
  const auto words =
      philox({static_cast<std::uint32_t>(pair), biases ? 1u : 0u, f.step, stream(Purpose::mutation, f.layer)}, f.key);
  double a, b;
  exact_normal_pair(words, a, b);
  add_noise(biases ? f.bias + e : f.at(e), width * a);
  if (e + 1 < count) add_noise(biases ? f.bias + e + 1 : f.at(e + 1), width * b);
}

}  // namespace shoal
