// A network is a list of layers; shapes follow from the input when a population is made.
//
//   shoal::Network net{{layer::dense(64), layer::sigmoid(), layer::dropout(0.2f), layer::dense(10)}};
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace shoal {

using Shape = std::vector<std::int64_t>;  // without the batch: (28, 28), (32, 32, 3) as H, W, C

enum class LayerKind { dense, flatten, dropout, relu, leaky_relu, sigmoid, tanh };

// he: normal, std = scale * sqrt(2 / inputs)            (He et al. 2015)
// xavier: uniform, bound = scale * sqrt(6 / (inputs + outputs))   (Glorot and Bengio 2010)
// normal: std = scale; uniform: bound = scale. Biases start at zero.
enum class Initializer { he, xavier, normal, uniform };

struct Layer {
  LayerKind kind;
  std::int64_t units = 0;                     // dense: outputs, > 0
  float value = 0;                            // dropout: rate in [0, 1); leaky_relu: slope in [0, 1)
  Initializer initializer = Initializer::he;  // dense
  float scale = 1;                            // dense, > 0: see Initializer
  bool bias = true;                           // dense
};

struct Network {
  std::vector<Layer> layers;
};

namespace layer {

Layer dense(std::int64_t units, Initializer initializer = Initializer::he, float scale = 1, bool bias = true);
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
