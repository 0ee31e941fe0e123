// A batch: which samples, and their inputs and targets as float rows.
#pragma once

#include <cstdint>

#include "core/rng.h"
#include "shoal/dataset.h"

namespace shoal {

// index[i] = the sample at place first + i of a pass over the data.
struct BatchOrder {
  const Shuffle* shuffle;
  std::uint32_t first, count;
  std::uint32_t* index;  // (count,)
};

// x[row] = data.x[index[row]] * scale + shift. scale and shift are given, padded(features) long and zero in the
// padding.
struct BatchGather {
  const Dataset* data;
  std::int64_t features;
  const float *scale, *shift;
  std::int64_t rows;
  const std::uint32_t* index;
  float* x;              // (rows, padded(features)), or null
  std::int32_t* labels;  // (rows,), or null
  float* targets;        // (rows, padded(outputs)), or null
};

// The same for W members in lanes: index is (W, rows), x (rows, features, W), labels (rows, W), targets (rows,
// outputs, W).
using LaneGather = BatchGather;

}  // namespace shoal
