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
  double width;  // standard deviation, or bound of the uniform
  PhiloxKey key;
  std::uint32_t layer;

  SHOAL_HD std::int64_t pairs() const { return (inputs + 1) / 2; }  // of a row
};

// Pair j of row o, one at a time.
SHOAL_HD SHOAL_INLINE void initial_pair(const InitialWeights& f, std::int64_t o, std::int64_t j) {
  double a = 1, b = 1;
  if (f.drawn != Drawn::constant) {
    const auto words = philox(
        {static_cast<std::uint32_t>(j), static_cast<std::uint32_t>(o), 0, stream(Purpose::initial_weights, f.layer)},
        f.key);
    if (f.drawn == Drawn::normal) {
      const std::uint32_t four[4] = {words[0], words[1], words[2], words[3]};
      normal_pair<OneDouble>(four, a, b);
    } else {
      a = (words[0] + 0.5) * (1.0 / 2147483648.0) - 1.0;
      b = (words[2] + 0.5) * (1.0 / 2147483648.0) - 1.0;
    }
  }
  float* const to = f.weight + o * f.stride + 2 * j;
  to[0] = static_cast<float>(a * f.width);
  if (2 * j + 1 < f.inputs) to[1] = static_cast<float>(b * f.width);
}

}  // namespace shoal
