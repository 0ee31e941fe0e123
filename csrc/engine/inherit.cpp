#include "engine/inherit.h"

#include <algorithm>
#include <cstring>
#include <tuple>

namespace shoal {
namespace {

// Of a layer's parameters, which lie one behind the other.
std::int64_t floats(const Stage& s) {
  const std::int64_t vector = padded(s.outputs);
  if (s.op == Op::norm) return 4 * vector;  // weight, bias, mean, variance
  return s.outputs * padded(s.inputs) + (s.bias >= 0 ? vector : 0);
}

// The channels follow: a filter's inputs are kernel height * width * channels.
bool same_shapes(const Stage& a, const Stage& b) {
  const auto shapes = [](const Stage& s) {
    return std::tuple(s.inputs, s.outputs, s.bias >= 0, s.shape.kernel_height, s.shape.kernel_width);
  };
  return shapes(a) == shapes(b);
}

}  // namespace

std::vector<InheritedLayer> take_over(const Program& donor, const std::byte* block, const Member& heir) {
  const Program& program = *heir.program;
  const std::int64_t arrays = heir.floats / program.parameters;  // the parameters, and the optimiser's slots
  const auto at = [](std::int64_t offset) {
    return sizeof(BlockHeader) + static_cast<std::size_t>(offset) * sizeof(float);
  };
  std::memcpy(heir.block->data(), block, sizeof(BlockHeader));
  std::vector<InheritedLayer> layers;
  for (const Stage& mine : program.stages) {
    if (mine.weight < 0) continue;
    const auto theirs = std::ranges::find(donor.stages, mine.name, &Stage::name);
    const bool inherited = theirs != donor.stages.end() && same_shapes(*theirs, mine);
    layers.push_back({mine.name, inherited});
    for (std::int64_t i = 0; inherited && i < arrays; ++i) {
      std::memcpy(heir.block->data() + at(i * program.parameters + mine.weight),
                  block + at(i * donor.parameters + theirs->weight),
                  static_cast<std::size_t>(floats(mine)) * sizeof(float));
    }
  }
  return layers;
}

}  // namespace shoal
