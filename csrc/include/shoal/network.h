// A network is a list of layers; shapes follow from the input when a population is made.
//
//   shoal::Network net{{layer::dense(64), layer::sigmoid(), layer::dropout(0.2f), layer::dense(10)}};
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace shoal {

using Shape = std::vector<std::int64_t>;  // without the batch: (28, 28), (32, 32, 3) as H, W, C

enum class LayerKind {
  dense,
  conv2d,
  pooling,
  global_pooling,
  batch_norm,
  residual,
  flatten,
  dropout,
  relu,
  leaky_relu,
  sigmoid,
  tanh
};

// he: normal, std = scale * sqrt(2 / inputs)            (He et al. 2015)
// xavier: uniform, bound = scale * sqrt(6 / (inputs + outputs))   (Glorot and Bengio 2010)
// normal: std = scale; uniform: bound = scale. Biases start at zero.
// A convolution has kernel height * width * channels inputs, and kernel height * width * filters outputs.
enum class Initializer { he, xavier, normal, uniform };

enum class Pooling { max, average };

// Of a kernel, a stride or a padding.
struct Extent {
  std::int64_t height, width;
  Extent(std::int64_t both) : height(both), width(both) {}  // NOLINT(google-explicit-constructor): conv2d(6, 5)
  Extent(std::int64_t height_, std::int64_t width_) : height(height_), width(width_) {}
  bool operator==(const Extent&) const = default;
};

// Zeros around an image. same: as many as make the output ceil(size / stride) large, an odd one at the bottom or
// right. amount: on every side.
struct Padding {
  enum class Kind { valid, same, amount };
  Kind kind;
  Extent amount = 0;

  static Padding valid() { return {Kind::valid}; }
  static Padding same() { return {Kind::same}; }
  static Padding of(Extent amount) { return {Kind::amount, amount}; }
  bool operator==(const Padding&) const = default;
};

struct Layer {
  LayerKind kind;
  std::int64_t units = 0;                     // dense: outputs; conv2d: filters; > 0
  float value = 0;                            // dropout: rate in [0, 1); leaky_relu: slope in [0, 1)
  Initializer initializer = Initializer::he;  // dense, conv2d
  float scale = 1;                            // dense, conv2d, > 0: see Initializer
  bool bias = true;                           // dense, conv2d
  Extent kernel = 1, stride = 1;              // conv2d, pooling
  Padding padding = Padding::valid();         // conv2d, pooling
  Pooling pooling = Pooling::max;             // pooling
  float momentum = 0.1f;                      // batch_norm, in (0, 1]
  float epsilon = 1e-5f;                      // batch_norm, > 0
  std::vector<Layer> branch{}, shortcut{};    // residual

  bool operator==(const Layer&) const = default;
};

struct Network {
  std::vector<Layer> layers;
  bool operator==(const Network&) const = default;
};

namespace layer {

Layer dense(std::int64_t units, Initializer initializer = Initializer::he, float scale = 1, bool bias = true);

// Cross-correlation over images (height, width, channels) or (height, width):
//   y[h][w][f] = b[f] + sum_(i, j, c) x[h stride + i - top][w stride + j - left][c] W[f][i][j][c]
Layer conv2d(std::int64_t filters, Extent kernel, Extent stride = 1, Padding padding = Padding::same(),
             Initializer initializer = Initializer::he, float scale = 1, bool bias = true);
// The largest, or the mean, of each window; padding never counts. The stride 0 stands for the window's size.
Layer pooling(Pooling pooling, Extent window, Extent stride = 0, Padding padding = Padding::valid());
// The mean of each channel over the whole image: (height, width, channels) to (channels).
Layer global_pooling();
// y = weight (x - mean) / sqrt(variance + epsilon) + bias for each channel (of an image) or feature. In training mean
// and variance are the batch's, and running <- (1 - momentum) running + momentum batch, with the unbiased variance; in
// evaluation they are the running ones. (Ioffe and Szegedy 2015)
Layer batch_norm(float momentum = 0.1f, float epsilon = 1e-5f);
// y = branch(x) + shortcut(x). An empty shortcut is the identity; where the branch makes an image smaller by a whole
// stride, or adds channels, it takes every stride-th pixel and zeros for the new channels (He et al. 2016, option A).
Layer residual(std::vector<Layer> branch, std::vector<Layer> shortcut = {});

Layer flatten();
Layer dropout(float rate);
Layer relu();
Layer leaky_relu(float slope = 0.01f);
Layer sigmoid();
Layer tanh();

}  // namespace layer

// Shape of the network's output for one sample. Throws InvalidArgument, naming the layer and the rule, where the
// network does not fit its input.
Shape output_shape(const Network& network, const Shape& input);

}  // namespace shoal
