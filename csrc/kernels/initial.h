// The initial weights of a layer, the same bits for every instruction set and device.
#pragma once

#include <cstdint>

#include "core/rng.h"

namespace shoal {

// weight[o][i] = width z, z standard normal or uniform in (-1, 1). Weights 2j and 2j + 1 of row o draw from counter
// (j, o, 0), so they do not depend on how rows are padded.
struct InitialWeights {
  float* weight;  // (outputs, inputs) in rows `stride` apart, padded with zeros
  std::int64_t outputs, inputs, stride;
  bool normal;
  double width;  // standard deviation, or bound of the uniform
  PhiloxKey key;
  std::uint32_t layer;
};

}  // namespace shoal
