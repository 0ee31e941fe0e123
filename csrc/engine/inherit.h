// What a member takes over from one whose network differs: the layers whose parameters have the same shapes.
//
// Layers are matched by name, that is by kind and place among their kind, counted from the input (conv2, dense1): what
// a layer has learned means something behind the layers that feed it, so a change leaves those before it as they were. A
// layer is taken over whole, with running statistics and the optimiser's state, or not at all.
#pragma once

#include <cstddef>
#include <vector>

#include "engine/member.h"
#include "shoal/population.h"

namespace shoal {

// Overwrites such layers of a fresh member, whose block is in host memory, and its counters by those in the donor's
// block. Says of each layer of the heir whether it was.
std::vector<InheritedLayer> take_over(const Program& donor, const std::byte* block, const Member& heir);

}  // namespace shoal
