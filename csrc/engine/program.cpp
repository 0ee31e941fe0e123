#include "engine/program.h"

#include <limits>

#include "kernels/dense.h"
#include "shoal/error.h"

namespace shoal {

namespace layer {

Layer dense(std::int64_t units, Initializer initializer, float scale, bool bias) {
  return {.kind = LayerKind::dense, .units = units, .initializer = initializer, .scale = scale, .bias = bias};
}
Layer flatten() { return {.kind = LayerKind::flatten}; }
Layer dropout(float rate) { return {.kind = LayerKind::dropout, .value = rate}; }
Layer relu() { return {.kind = LayerKind::relu}; }
Layer leaky_relu(float slope) { return {.kind = LayerKind::leaky_relu, .value = slope}; }
Layer sigmoid() { return {.kind = LayerKind::sigmoid}; }
Layer tanh() { return {.kind = LayerKind::tanh}; }

}  // namespace layer

namespace {

// Turns layers into stages one by one; `at` names the layer in errors.
class Compiler {
 public:
  Compiler(const Network& network, const Shape& input) {
    require(!input.empty(), "input shape must have at least one axis");
    program_.features = 1;
    for (const std::int64_t axis : input) {
      require(axis >= 1, "input shape must have axes >= 1, got " + std::to_string(axis));
      require(program_.features <= kMostFeatures / axis, "input shape has more than 2^31 features");
      program_.features *= axis;
    }
    program_.network = network;
    program_.outputs = program_.features;
  }

  Program compile() {
    require(!program_.network.layers.empty(), "network must have at least one layer");
    for (std::size_t i = 0; i < program_.network.layers.size(); ++i) {
      at_ = "layer " + std::to_string(i + 1);
      add(program_.network.layers[i]);
    }
    require(denses_ > 0, "network must have at least one layer with weights (dense)");
    return std::move(program_);
  }

 private:
  static constexpr std::int64_t kMostFeatures = std::numeric_limits<std::int32_t>::max();
  static constexpr std::int64_t kMostParameters = std::int64_t{1} << 58;  // so that sizes in bytes cannot overflow

  void add(const Layer& layer) {
    switch (layer.kind) {
      case LayerKind::dense: return add_dense(layer);
      case LayerKind::flatten: return;  // samples are rows already
      case LayerKind::dropout: return add_dropout(layer);
      case LayerKind::relu: return add_activation(Activation::relu, 0);
      case LayerKind::leaky_relu:
        require(layer.value >= 0 && layer.value < 1,
                at_ + " (leaky_relu): slope must be in [0, 1), got " + std::to_string(layer.value));
        return add_activation(Activation::leaky_relu, layer.value);
      case LayerKind::sigmoid: return add_activation(Activation::sigmoid, 0);
      case LayerKind::tanh: return add_activation(Activation::tanh, 0);
    }
  }

  void add_dense(const Layer& layer) {
    require(layer.units >= 1 && layer.units <= kMostFeatures,
            at_ + " (dense): units must be in [1, 2^31), got " + std::to_string(layer.units));
    require(layer.scale > 0 && layer.scale <= std::numeric_limits<float>::max(),
            at_ + " (dense): scale of the initialiser must be > 0 and finite, got " + std::to_string(layer.scale));
    Stage stage{.inputs = program_.outputs, .outputs = layer.units};
    stage.layer = layer;
    stage.name = "dense" + std::to_string(++denses_);
    stage.weight = program_.parameters;
    program_.parameters += layer.units * padded(stage.inputs);
    program_.weights += layer.units * stage.inputs;
    if (layer.bias) {
      stage.bias = program_.parameters;
      program_.parameters += padded(layer.units);
      program_.weights += layer.units;
    }
    require(program_.parameters <= kMostParameters, at_ + " (dense): the network would have more than 2^58 parameters");
    program_.outputs = layer.units;
    program_.stages.push_back(stage);
  }

  // The last stage if it can still take an activation or dropout: order within a stage is bias, activation, dropout.
  Stage& open(bool activation) {
    const bool full = program_.stages.empty() || program_.stages.back().dropout >= 0 ||
                      (activation && program_.stages.back().activation != Activation::identity);
    if (full) program_.stages.push_back({.inputs = program_.outputs, .outputs = program_.outputs});
    return program_.stages.back();
  }

  void add_activation(Activation activation, float slope) {
    Stage& stage = open(true);
    stage.activation = activation;
    stage.slope = slope;
  }

  void add_dropout(const Layer& layer) {
    require(layer.value >= 0 && layer.value < 1,
            at_ + " (dropout): rate must be in [0, 1), got " + std::to_string(layer.value));
    open(false).dropout = static_cast<int>(program_.dropout.size());
    program_.dropout.push_back(layer.value);
  }

  Program program_;
  std::string at_;
  int denses_ = 0;
};

}  // namespace

Program compile(const Network& network, const Shape& input) { return Compiler(network, input).compile(); }

Shape output_shape(const Network& network, const Shape& input) { return {compile(network, input).outputs}; }

bool same_structure(const Program& a, const Program& b) {
  if (a.features != b.features || a.stages.size() != b.stages.size()) return false;
  for (std::size_t i = 0; i < a.stages.size(); ++i) {
    const Stage &s = a.stages[i], &t = b.stages[i];
    const bool same = s.inputs == t.inputs && s.outputs == t.outputs && s.weight == t.weight && s.bias == t.bias &&
                      s.activation == t.activation && s.slope == t.slope && s.dropout == t.dropout;
    if (!same) return false;
  }
  return true;
}

}  // namespace shoal
