#include "engine/rows.h"

#include <unordered_set>

namespace shoal {
namespace {

// Its parameters, and each of the optimiser's slots.
std::int64_t arrays_of(const Member& member) {
  return member.program->parameters > 0 ? member.floats / member.program->parameters : 0;
}

}  // namespace

CrossRows cross_rows(const Descent& descent, const float* first, const float* second) {
  const Member& heir = *descent.heir;
  return {.first = first,
          .second = second,
          .heir = heir.parameters(),
          .parameters = heir.program->parameters,
          .arrays = arrays_of(heir),
          .share = descent.share,
          .key = heir.key,
          .step = static_cast<std::uint32_t>(heir.counters().step)};
}

CrossRows copy_row(const Member& member, float* to) {
  return {.first = member.parameters(),
          .second = member.parameters(),
          .heir = to,
          .parameters = member.program->parameters,
          .arrays = arrays_of(member),
          .share = 0,
          .key = member.key,
          .step = 0};
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

std::vector<const Member*> overwritten(const std::vector<Descent>& descents) {
  std::unordered_set<const Member*> heirs, found;
  std::vector<const Member*> parents;
  for (const Descent& d : descents) heirs.insert(d.heir);
  for (const Descent& d : descents) {
    for (const Member* parent : {d.first, d.second}) {
      if (heirs.contains(parent) && found.insert(parent).second) parents.push_back(parent);
    }
  }
  return parents;
}

}  // namespace shoal
