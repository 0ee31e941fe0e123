// A network compiled for one input shape: a list of stages with offsets into a member's block.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/finish.h"
#include "shoal/network.h"

namespace shoal {

// A product (if it has weights) and what follows it in the same pass.
struct Stage {
  std::int64_t inputs = 0, outputs = 0;
  std::int64_t weight =
      -1;  // offset of (outputs, padded(inputs)) floats in the parameters; -1: no product, only the finish
  std::int64_t bias = -1;  // offset of (padded(outputs)) floats; -1: none
  Activation activation = Activation::identity;
  float slope = 0;
  int dropout = -1;    // which of the member's dropout rates; -1: none
  Layer layer{};       // the dense layer: initialiser
  std::string name{};  // "dense1"

  bool has_product() const { return weight >= 0; }
  bool has_finish() const { return bias >= 0 || activation != Activation::identity || dropout >= 0; }
};

struct Program {
  std::int64_t features = 0;  // of one sample
  std::int64_t outputs = 0;
  std::int64_t parameters = 0;  // floats, padding included
  std::int64_t weights = 0;     // floats, padding not included
  std::vector<Stage> stages;
  std::vector<float> dropout;  // the network's own rates
  Network network;

  // Members of tiny networks may train together, in the lanes of vectors. All their sums run in the order of the index,
  // so that a member gets the same bits by itself.
  bool tiny() const { return weights <= kTinyWeights; }
  static constexpr std::int64_t kTinyWeights = 2048;  // 16 members and their Adam state fill half of a 1 MB L2
};

Program compile(const Network& network, const Shape& input);

// Same stages but for dropout rates and initialisers: state can be copied from one to the other.
bool same_structure(const Program& a, const Program& b);

}  // namespace shoal
