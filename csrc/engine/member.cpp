#include "engine/member.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "kernels/kernels.h"
#include "shoal/error.h"

namespace shoal {
namespace {

// What initialises a stage's weights; `layer` counts those that have any.
InitialWeights initial(const Stage& s, std::uint32_t layer, PhiloxKey key, float* weight) {
  const double scale = s.layer.scale;
  const auto inputs = static_cast<double>(s.inputs);
  const auto outputs = static_cast<double>(s.outputs * (s.op == Op::conv ? s.shape.taps() : 1));
  const Initializer how = s.layer.initializer;
  InitialWeights f{.weight = weight,
                   .outputs = s.outputs,
                   .inputs = s.inputs,
                   .stride = padded(s.inputs),
                   .drawn = how == Initializer::he || how == Initializer::normal ? Drawn::normal : Drawn::uniform,
                   .width = scale,
                   .key = key,
                   .layer = layer};
  if (how == Initializer::he) f.width *= std::sqrt(2 / inputs);
  if (how == Initializer::xavier) f.width *= std::sqrt(6 / (inputs + outputs));
  return f;
}

void check(bool holds, const char* name, double value, const char* rule) {
  require(holds, std::string(name) + " must be " + rule + ", got " + std::to_string(value));
}

void check_fraction(const char* name, float value) { check(value >= 0 && value < 1, name, value, "in [0, 1)"); }

}  // namespace

Member outline(std::shared_ptr<const Program> program, Optimizer optimizer, const Hyperparameters& hyperparameters,
               PhiloxKey key) {
  const std::int64_t floats = program->parameters * (1 + slots(optimizer));
  Hyperparameters complete = checked(hyperparameters, *program);
  return {.program = std::move(program), .floats = floats, .hyperparameters = std::move(complete), .key = key};
}

std::vector<InitialWeights> initial_layers(const Member& member) {
  float* const parameters = member.parameters();
  std::vector<InitialWeights> all;
  std::uint32_t layer = 0;
  for (const Stage& stage : member.program->stages) {
    const auto ones = [&](std::int64_t at) {
      const std::int64_t count = stage.outputs;
      all.push_back({parameters + at, 1, count, count, Drawn::constant, 1, member.key, 0});
    };
    if (stage.has_product()) all.push_back(initial(stage, layer++, member.key, parameters + stage.weight));
    if (stage.op == Op::norm) {
      ones(stage.weight);
      ones(stage.running + padded(stage.outputs));  // the variance
    }
  }
  return all;
}

void draw(Member& member) {
  for (const InitialWeights& layer : initial_layers(member)) kernels().initial_weights(layer, 0, 1);
}

Hyperparameters checked(const Hyperparameters& hyperparameters, const Program& program) {
  Hyperparameters h = hyperparameters;
  check(h.lr >= 0 && std::isfinite(h.lr), "lr", h.lr, ">= 0 and finite");
  check_fraction("momentum", h.momentum);
  check(h.decay >= 0 && std::isfinite(h.decay), "decay", h.decay, ">= 0 and finite");
  check(h.lr_decay > 0 && std::isfinite(h.lr_decay), "lr_decay", h.lr_decay, "> 0 and finite");
  check(h.decay_every >= 1, "decay_every", static_cast<double>(h.decay_every), ">= 1");
  check(h.weight_decay >= 0 && std::isfinite(h.weight_decay), "weight_decay", h.weight_decay, ">= 0 and finite");
  check_fraction("beta1", h.beta1);
  check_fraction("beta2", h.beta2);
  check(h.epsilon > 0 && std::isfinite(h.epsilon), "epsilon", h.epsilon, "> 0 and finite");
  check(h.batch_size >= 1, "batch_size", static_cast<double>(h.batch_size), ">= 1");
  check(h.augment_pad >= 0 && h.augment_pad < std::int64_t{1} << 31, "augment_pad", static_cast<double>(h.augment_pad),
        "in [0, 2^31)");
  if (h.dropout.empty()) h.dropout = program.dropout;
  require(h.dropout.size() == program.dropout.size(), "dropout has " + std::to_string(h.dropout.size()) +
                                                          " rates, the network has " +
                                                          std::to_string(program.dropout.size()) + " dropout layers");
  for (const float rate : h.dropout) check_fraction("dropout", rate);
  return h;
}

}  // namespace shoal
