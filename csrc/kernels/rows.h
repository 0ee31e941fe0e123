// Whole members recombined: crossover (a copy is one with a single parent) and mutation, the same bits on every device.
#pragma once

#include <cstdint>

#include "core/normal.h"
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

SHOAL_HD SHOAL_INLINE void add_noise(float* w, double noise) { *w = static_cast<float>(*w + noise); }

// The weights or biases 2 pair and 2 pair + 1. `width`: scale r.
SHOAL_HD SHOAL_INLINE void mutate_pair(const MutateLayer& f, bool biases, std::int64_t pair, double width) {
  const std::int64_t e = 2 * pair, count = biases ? f.biases : f.weights();
  const auto words =
      philox({static_cast<std::uint32_t>(pair), biases ? 1u : 0u, f.step, stream(Purpose::mutation, f.layer)}, f.key);
  const std::uint32_t drawn[4] = {words[0], words[1], words[2], words[3]};
  double a, b;
  normal_pair<OneDouble>(drawn, a, b);
  add_noise(biases ? f.bias + e : f.at(e), width * a);
  if (e + 1 < count) add_noise(biases ? f.bias + e + 1 : f.at(e + 1), width * b);
}

}  // namespace shoal
