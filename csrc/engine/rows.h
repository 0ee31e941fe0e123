// Members whose weights come from others, or are disturbed: what the kernels need to know of them.
#pragma once

#include <vector>

#include "engine/member.h"
#include "kernels/rows.h"

namespace shoal {

// An heir takes weights with their optimiser state from two parents, and the first one's counters. A copy has one parent
// twice and share 0.
struct Descent {
  const Member* first;
  const Member* second;
  Member* heir;
  std::uint64_t share = 0;  // of 2^32: how many weights are the second parent's
};

// `first` and `second` are where the parents' floats are, or were saved to.
CrossRows cross_rows(const Descent& descent, const float* first, const float* second);

// A copy of all its floats.
CrossRows copy_row(const Member& member, float* to);

// The layers with weights, by number; a normalisation's running statistics are none.
std::vector<MutateLayer> mutate_layers(const Member& member, double scale);

// The parents that are heirs too, each once: their floats must be saved before any are written.
std::vector<const Member*> overwritten(const std::vector<Descent>& descents);

}  // namespace shoal
