#include "engine/rows.h"

#include <algorithm>

namespace shoal {

CrossRows cross_rows(const Descent& descent, const float* first, const float* second) {
  const Member& heir = *descent.heir;
  return {.first = first,
          .second = second,
          .heir = heir.parameters(),
          .parameters = heir.program->parameters,
          .arrays = heir.program->parameters > 0 ? heir.floats / heir.program->parameters : 0,
          .share = descent.share,
          .key = heir.key,
          .step = static_cast<std::uint32_t>(heir.counters().step)};
}

std::vector<MutateLayer> mutate_layers(const Member& member, double scale) {
  std::vector<MutateLayer> layers;
  for (const Stage& s : member.program->stages) {
    if (s.weight < 0) continue;
    const bool product = s.has_product();
    const std::int64_t inputs = product ? s.inputs : s.outputs;  // a normalisation has one row
    layers.push_back({.weight = member.parameters() + s.weight,
                      .bias = member.parameters() + s.bias,
                      .outputs = product ? s.outputs : 1,
                      .inputs = inputs,
                      .stride = padded(inputs),
                      .biases = s.bias < 0 ? 0 : s.outputs,
                      .scale = scale,
                      .key = member.key,
                      .step = static_cast<std::uint32_t>(member.counters().step),
                      .layer = static_cast<std::uint32_t>(layers.size())});
  }
  return layers;
}

bool is_overwritten(const Member* parent, const std::vector<Descent>& descents) {
  return std::any_of(descents.begin(), descents.end(), [&](const Descent& d) { return d.heir == parent; });
}

}  // namespace shoal
