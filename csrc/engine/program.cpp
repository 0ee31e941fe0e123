#include "engine/program.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <tuple>

#include "shoal/error.h"

namespace shoal {

namespace layer {

Layer dense(std::int64_t units, Initializer initializer, float scale, bool bias) {
  return {.kind = LayerKind::dense, .units = units, .initializer = initializer, .scale = scale, .bias = bias};
}
Layer conv2d(std::int64_t filters, Extent kernel, Extent stride, Padding padding, Initializer initializer, float scale,
             bool bias) {
  return {.kind = LayerKind::conv2d,
          .units = filters,
          .initializer = initializer,
          .scale = scale,
          .bias = bias,
          .kernel = kernel,
          .stride = stride,
          .padding = padding};
}
Layer pooling(Pooling pooling, Extent window, Extent stride, Padding padding) {
  return {
      .kind = LayerKind::pooling,
      .kernel = window,
      .stride = {stride.height == 0 ? window.height : stride.height, stride.width == 0 ? window.width : stride.width},
      .padding = padding,
      .pooling = pooling};
}
Layer global_pooling() { return {.kind = LayerKind::global_pooling}; }
Layer batch_norm(float momentum, float epsilon) {
  return {.kind = LayerKind::batch_norm, .momentum = momentum, .epsilon = epsilon};
}
Layer residual(std::vector<Layer> branch, std::vector<Layer> shortcut) {
  return {.kind = LayerKind::residual, .branch = std::move(branch), .shortcut = std::move(shortcut)};
}
Layer flatten() { return {.kind = LayerKind::flatten}; }
Layer dropout(float rate) { return {.kind = LayerKind::dropout, .value = rate}; }
Layer relu() { return {.kind = LayerKind::relu}; }
Layer leaky_relu(float slope) { return {.kind = LayerKind::leaky_relu, .value = slope}; }
Layer sigmoid() { return {.kind = LayerKind::sigmoid}; }
Layer tanh() { return {.kind = LayerKind::tanh}; }

}  // namespace layer

namespace {

constexpr std::int64_t kMostFeatures = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kMostParameters = std::int64_t{1} << 58;  // so that sizes in bytes cannot overflow

const char* name_of(LayerKind kind) {
  constexpr std::array kNames{"dense",   "conv2d",  "pooling", "global_pooling", "batch_norm", "residual",
                              "flatten", "dropout", "relu",    "leaky_relu",     "sigmoid",    "tanh"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::string text(const Extent& extent) { return std::to_string(extent.height) + " x " + std::to_string(extent.width); }

// Whether the first layer that minds takes an image: its rows, columns and channels; nothing if none minds.
std::optional<bool> wants_image(const std::vector<Layer>& layers) {
  for (const Layer& layer : layers) {
    switch (layer.kind) {
      case LayerKind::dense:
      case LayerKind::flatten: return false;
      case LayerKind::conv2d:
      case LayerKind::pooling:
      case LayerKind::global_pooling:
      case LayerKind::batch_norm: return true;
      case LayerKind::residual:
        if (const auto inner = wants_image(layer.branch)) return inner;
        if (const auto inner = wants_image(layer.shortcut)) return inner;
        break;
      default: break;
    }
  }
  return {};
}

// Turns layers into stages one by one; `at_` names the layer in errors.
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
    const bool can_be_image = input.size() == 2 || input.size() == 3;
    if (can_be_image && wants_image(network.layers).value_or(false)) {
      program_.tensors.push_back(image({input[0], input[1], input.size() == 3 ? input[2] : 1}));
    } else {
      program_.tensors.push_back(rows(input));
    }
  }

  Program compile() {
    require(!program_.network.layers.empty(), "network must have at least one layer");
    add_all(program_.network.layers, "layer ");
    const bool weights =
        std::any_of(program_.stages.begin(), program_.stages.end(), [](const Stage& s) { return s.has_product(); });
    require(weights, "network must have at least one layer with weights (dense or conv2d)");
    if (current().is_image) add_rows();
    program_.outputs = current().features();
    for (const Tensor& t : program_.tensors) program_.has_images |= t.is_image;
    return std::move(program_);
  }

 private:
  static Tensor image(const Image& image) {
    return {.shape = {image.height, image.width, image.channels}, .is_image = true, .image = image};
  }
  static Tensor rows(const Shape& shape) { return {.shape = shape, .is_image = false}; }

  const Tensor& current() const { return program_.tensors[static_cast<std::size_t>(at_tensor_)]; }

  void add_all(const std::vector<Layer>& layers, const std::string& place) {
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const std::string name = place + std::to_string(i + 1);
      at_ = name + " (" + name_of(layers[i].kind) + ")";
      add(layers[i], name);
    }
  }

  void add(const Layer& layer, const std::string& place) {
    switch (layer.kind) {
      case LayerKind::dense: return add_dense(layer);
      case LayerKind::conv2d: return add_conv(layer);
      case LayerKind::pooling: return add_pooling(layer);
      case LayerKind::global_pooling: return add_global_pooling();
      case LayerKind::batch_norm: return add_norm(layer);
      case LayerKind::residual: return add_residual(layer, place);
      case LayerKind::flatten: return flatten();
      case LayerKind::dropout: return add_dropout(layer);
      case LayerKind::relu: return add_activation(Activation::relu, 0);
      case LayerKind::leaky_relu:
        require(layer.value >= 0 && layer.value < 1,
                at_ + ": slope must be in [0, 1), got " + std::to_string(layer.value));
        return add_activation(Activation::leaky_relu, layer.value);
      case LayerKind::sigmoid: return add_activation(Activation::sigmoid, 0);
      case LayerKind::tanh: return add_activation(Activation::tanh, 0);
    }
  }

  // ---- layers

  void add_dense(const Layer& layer) {
    require(layer.units >= 1 && layer.units <= kMostFeatures,
            at_ + ": units must be in [1, 2^31), got " + std::to_string(layer.units));
    flatten();
    Stage stage{.op = Op::dense, .inputs = current().features(), .outputs = layer.units, .layer = layer};
    stage.name = "dense" + std::to_string(++denses_);
    program_.multiply_adds += stage.inputs * stage.outputs;
    take_weights(stage);
    push(std::move(stage), rows({layer.units}));
  }

  void add_conv(const Layer& layer) {
    require(layer.units >= 1 && layer.units <= kMostFeatures,
            at_ + ": filters must be in [1, 2^31), got " + std::to_string(layer.units));
    const ConvShape shape = window(layer, layer.units);
    require(shape.x.channels <= kMostFeatures / layer.kernel.height / layer.kernel.width,
            at_ + ": a filter has more than 2^31 weights");
    Stage stage{.op = Op::conv, .inputs = shape.inputs(), .outputs = layer.units, .shape = shape, .layer = layer};
    stage.name = "conv" + std::to_string(++convs_);
    program_.multiply_adds += shape.y.features() * stage.inputs;
    take_weights(stage);
    push(std::move(stage), image(shape.y));
  }

  void add_pooling(const Layer& layer) {
    const ConvShape shape = window(layer, input_image().channels);
    push({.op = Op::pool, .shape = shape, .layer = layer}, image(shape.y));
  }

  void add_global_pooling() {
    const Image x = input_image();
    const ConvShape shape{.x = x, .y = {1, 1, x.channels}, .kernel_height = x.height, .kernel_width = x.width};
    push({.op = Op::pool, .shape = shape, .layer = layer::pooling(Pooling::average, {x.height, x.width})},
         image(shape.y));
    flatten();
  }

  void add_norm(const Layer& layer) {
    require(layer.momentum > 0 && layer.momentum <= 1,
            at_ + ": momentum must be in (0, 1], got " + std::to_string(layer.momentum));
    require(layer.epsilon > 0 && layer.epsilon <= std::numeric_limits<float>::max(),
            at_ + ": epsilon must be > 0 and finite, got " + std::to_string(layer.epsilon));
    const Tensor& x = current();
    Stage stage{.op = Op::norm, .outputs = x.is_image ? x.image.channels : x.features(), .layer = layer};
    stage.name = "batchnorm" + std::to_string(++norms_);
    stage.weight = take(stage.outputs);
    stage.bias = take(stage.outputs);
    stage.running = take(stage.outputs);
    take(stage.outputs);  // the variance, right behind the mean
    program_.has_norms = true;
    push(std::move(stage), x.is_image ? image(x.image) : rows({x.features()}));
  }

  void add_residual(const Layer& layer, const std::string& place) {
    const std::string residual = at_;
    program_.has_residuals = true;
    require(!layer.branch.empty(), at_ + ": branch must have at least one layer");
    const int fork = sealed_ = at_tensor_;
    add_all(layer.branch, place + ".branch ");
    const int branch = at_tensor_;
    at_tensor_ = sealed_ = fork;
    add_all(layer.shortcut, place + ".shortcut ");
    const Tensor skip = current();
    const Tensor y = program_.tensors[static_cast<std::size_t>(branch)];
    const bool fits = y.shape == skip.shape || (layer.shortcut.empty() && can_pad(skip, y));
    require(fits && y.is_image == skip.is_image,
            residual + ": branch makes " + shoal::text(y.shape) + ", its shortcut " + shoal::text(skip.shape) +
                "; they must agree, or the shortcut be empty and the branch divide height and width by whole strides" +
                " and keep or add channels");
    const int shortcut = at_tensor_;
    at_tensor_ = branch;
    push({.op = Op::add, .skip = shortcut, .layer = {.kind = LayerKind::residual}}, y.is_image ? image(y.image) : y);
  }

  // Option A of He et al. 2016: every s-th pixel, zeros for new channels.
  static bool can_pad(const Tensor& skip, const Tensor& y) {
    const auto divides = [](std::int64_t from, std::int64_t to) {
      const std::int64_t s = (from + to - 1) / to;
      return (from + s - 1) / s == to;
    };
    return skip.is_image && y.is_image && divides(skip.image.height, y.image.height) &&
           divides(skip.image.width, y.image.width) && skip.image.channels <= y.image.channels;
  }

  void flatten() {
    if (current().is_image) add_rows();
  }

  void add_rows() {
    const Shape shape{current().features()};
    push({.op = Op::to_rows, .layer = {.kind = LayerKind::flatten}}, rows(shape));
  }

  void add_activation(Activation activation, float slope) {
    Stage& stage = open(true);
    stage.activation = activation;
    stage.slope = slope;
  }

  void add_dropout(const Layer& layer) {
    require(layer.value >= 0 && layer.value < 1, at_ + ": rate must be in [0, 1), got " + std::to_string(layer.value));
    open(false).dropout = static_cast<int>(program_.dropout.size());
    program_.dropout.push_back(layer.value);
  }

  // ---- what they are made of

  // The last stage if it can still take an activation or dropout: order within a stage is bias, activation, dropout. A
  // tensor that a shortcut reads is finished, and so is a maximum: its gradient finds its place by the value.
  Stage& open(bool activation) {
    const bool last = at_tensor_ > 0 && at_tensor_ == static_cast<int>(program_.stages.size()) && at_tensor_ != sealed_;
    const auto is_maximum = [](const Stage& s) { return s.op == Op::pool && s.layer.pooling == Pooling::max; };
    const bool full = !last || is_maximum(program_.stages.back()) || program_.stages.back().dropout >= 0 ||
                      (activation && program_.stages.back().activation != Activation::identity);
    if (full) push({.op = Op::copy, .outputs = current().features()}, current());
    return program_.stages.back();
  }

  void push(Stage stage, Tensor y) {
    stage.input = at_tensor_;
    const auto trained = [&](int t) { return t >= 0 && program_.tensors[static_cast<std::size_t>(t)].trained; };
    y.trained = stage.weight >= 0 || trained(stage.input) || trained(stage.skip);
    program_.stages.push_back(std::move(stage));
    program_.tensors.push_back(std::move(y));
    at_tensor_ = static_cast<int>(program_.stages.size());
  }

  std::int64_t take(std::int64_t count) {
    const std::int64_t at = program_.parameters;
    program_.parameters += padded(count);
    program_.weights += count;
    return at;
  }

  void take_weights(Stage& stage) {
    require(stage.layer.scale > 0 && stage.layer.scale <= std::numeric_limits<float>::max(),
            at_ + ": scale of the initialiser must be > 0 and finite, got " + std::to_string(stage.layer.scale));
    stage.weight = program_.parameters;
    program_.parameters += stage.outputs * padded(stage.inputs);
    program_.weights += stage.outputs * stage.inputs;
    if (stage.layer.bias) stage.bias = take(stage.outputs);
    require(program_.parameters <= kMostParameters, at_ + ": the network would have more than 2^58 parameters");
  }

  const Image& input_image() const {
    require(current().is_image,
            at_ + ": input must be an image (height, width, channels) or (height, width), got shape " +
                shoal::text(current().shape));
    return current().image;
  }

  // A kernel's or window's way over the image.
  ConvShape window(const Layer& layer, std::int64_t channels) const {
    const Image x = input_image();
    const auto in_range = [](const Extent& e, std::int64_t low) {
      return e.height >= low && e.width >= low && e.height <= kMostFeatures && e.width <= kMostFeatures;
    };
    require(in_range(layer.kernel, 1), at_ + ": kernel must be >= 1, got " + text(layer.kernel));
    require(in_range(layer.stride, 1), at_ + ": stride must be >= 1, got " + text(layer.stride));
    const Extent amount = layer.padding.amount;
    require(in_range(amount, 0) && amount.height < layer.kernel.height && amount.width < layer.kernel.width,
            at_ + ": padding must be >= 0 and smaller than the kernel, got " + text(amount));
    const Span rows = span(layer.padding, x.height, layer.kernel.height, layer.stride.height, amount.height);
    const Span columns = span(layer.padding, x.width, layer.kernel.width, layer.stride.width, amount.width);
    require(rows.count >= 1 && columns.count >= 1,
            at_ + ": kernel must not be larger than the padded image, got kernel " + text(layer.kernel) +
                " and image " + text({x.height, x.width}));
    require(channels <= kMostFeatures / rows.count / columns.count, at_ + ": output has more than 2^31 features");
    return {.x = x,
            .y = {rows.count, columns.count, channels},
            .kernel_height = layer.kernel.height,
            .kernel_width = layer.kernel.width,
            .stride_height = layer.stride.height,
            .stride_width = layer.stride.width,
            .top = rows.before,
            .left = columns.before};
  }

  struct Span {
    std::int64_t count, before;  // outputs; zeros before the first
  };
  static Span span(const Padding& padding, std::int64_t size, std::int64_t kernel, std::int64_t stride,
                   std::int64_t amount) {
    if (padding.kind == Padding::Kind::same) {
      const std::int64_t count = (size + stride - 1) / stride;
      return {count, std::max<std::int64_t>((count - 1) * stride + kernel - size, 0) / 2};
    }
    const std::int64_t before = padding.kind == Padding::Kind::amount ? amount : 0;
    const std::int64_t slack = size + 2 * before - kernel;
    return {slack < 0 ? 0 : slack / stride + 1, before};
  }

  Program program_;
  std::string at_;
  int at_tensor_ = 0;
  int sealed_ = -1;  // a tensor that a shortcut reads
  int denses_ = 0, convs_ = 0, norms_ = 0;
};

auto structure(const Stage& s) {
  return std::tie(s.op, s.input, s.skip, s.inputs, s.outputs, s.weight, s.bias, s.running, s.shape, s.activation,
                  s.slope, s.dropout, s.layer.pooling, s.layer.momentum, s.layer.epsilon);
}

}  // namespace

std::int64_t Tensor::features() const {
  std::int64_t product = 1;
  for (const std::int64_t axis : shape) product *= axis;
  return product;
}

std::int64_t Program::slice_rows(std::int64_t rows) const {
  if (!has_images) return rows;
  constexpr std::int64_t kFloats = 192 * 1024, kStep = 16, kMost = 256;
  std::int64_t steps = 0;  // floats of so many samples
  for (const Tensor& t : tensors) steps += t.floats() * kStep;
  return std::clamp(kFloats / std::max(steps, kStep) * kStep, kStep, kMost);
}

Program compile(const Network& network, const Shape& input) { return Compiler(network, input).compile(); }

Shape output_shape(const Network& network, const Shape& input) { return {compile(network, input).outputs}; }

bool same_structure(const Program& a, const Program& b) {
  if (&a == &b) return true;
  return a.features == b.features &&
         std::equal(a.stages.begin(), a.stages.end(), b.stages.begin(), b.stages.end(),
                    [](const Stage& s, const Stage& t) { return structure(s) == structure(t); });
}

std::string text(const Shape& shape) {
  std::string s = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) s += (i ? ", " : "") + std::to_string(shape[i]);
  return s + ")";
}

}  // namespace shoal
