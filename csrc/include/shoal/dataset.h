// A dataset as the trainer sees it: pointers to arrays that the caller keeps alive and unchanged. Where a population is
// on a GPU all but scale and shift may be in its memory, written before, and are then used where they are.
#pragma once

#include <cstdint>

#include "shoal/network.h"

namespace shoal {

std::uint64_t new_identity();  // never the same twice

// Inputs are uint8 or float32, row-major, and are normalised on the fly: x * scale + shift per feature.
// Exactly one of x_u8 and x_f32 is set; labels for cross_entropy, targets for mse, neither for prediction.
struct Dataset {
  std::int64_t samples = 0;
  Shape shape;                           // of one sample; features = product
  const std::uint8_t* x_u8 = nullptr;    // (samples, features)
  const float* x_f32 = nullptr;          // (samples, features)
  const float* scale = nullptr;          // (features,), null: 1
  const float* shift = nullptr;          // (features,), null: 0
  const std::int32_t* labels = nullptr;  // (samples,), in [0, outputs)
  const float* targets = nullptr;        // (samples, outputs)
  std::int64_t outputs = 0;              // classes, or targets a sample
  // A GPU keeps its copy of the data under this number: it stands for arrays with the same contents. Copies of a
  // Dataset share it.
  std::uint64_t identity = new_identity();
};

}  // namespace shoal
