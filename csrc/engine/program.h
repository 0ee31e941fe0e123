// A network compiled for one input shape: a list of stages with offsets into a member's block.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/conv.h"
#include "kernels/dense.h"
#include "shoal/network.h"

namespace shoal {

// Values on their way through a network: rows of features for dense layers, images with the samples in the lanes
// (kernels/image.h) for convolutions.
struct Tensor {
  Shape shape;           // of one sample
  bool is_image;         // the layout
  Image image{};         // images
  bool trained = false;  // depends on weights, so that its gradient is wanted

  std::int64_t features() const;
  std::int64_t floats() const { return is_image ? image_vectors(image) : padded(features()); }        // of one sample
  std::int64_t room(std::int64_t rows) const { return floats() * (is_image ? padded(rows) : rows); }  // whole groups
};

enum class Op { copy, dense, conv, pool, norm, add, to_rows };

// An operation and what follows it in the same pass: bias, activation, dropout. Stage i reads tensor `input` (add: and
// `skip`) and writes tensor i + 1; tensor 0 is the network's input.
struct Stage {
  Op op = Op::copy;
  int input = 0, skip = -1;
  // dense, conv: of one output or filter, and how many; norm: channels; copy: features
  std::int64_t inputs = 0, outputs = 0;
  std::int64_t weight = -1;   // offset of (outputs, padded(inputs)) floats; norm: (padded(outputs))
  std::int64_t bias = -1;     // offset of (padded(outputs)) floats; -1: none
  std::int64_t running = -1;  // norm: offset of mean and variance, (2, padded(outputs))
  ConvShape shape{};          // conv, pool
  Activation activation = Activation::identity;
  float slope = 0;
  int dropout = -1;    // which of the member's dropout rates; -1: none
  Layer layer{};       // that it was made from
  std::string name{};  // "dense1"; "" without weights

  bool has_product() const { return op == Op::dense || op == Op::conv; }
};

struct Program {
  std::int64_t features = 0;  // of one sample
  std::int64_t outputs = 0;
  std::int64_t parameters = 0;     // floats, padding included
  std::int64_t weights = 0;        // floats, padding not included
  std::int64_t multiply_adds = 0;  // of one sample, forward
  std::vector<Tensor> tensors;
  std::vector<Stage> stages;
  std::vector<float> dropout;  // the network's own rates
  Network network;
  bool has_images = false, has_norms = false, has_residuals = false;

  // Members of tiny dense networks may train together, in the lanes of vectors. All their sums run in the order of the
  // index, so that a member gets the same bits by itself.
  bool tiny() const { return weights <= kTinyWeights && !has_images && !has_norms && !has_residuals; }
  static constexpr std::int64_t kTinyWeights = 2048;  // 16 members and their Adam state fill half of a 1 MB L2

  // Samples that go through all stages before the next ones do, so that their images stay in L2; a multiple of 16, or
  // `rows` where there are no images.
  std::int64_t slice_rows(std::int64_t rows) const;
};

Program compile(const Network& network, const Shape& input);

// Same stages but for dropout rates and initialisers: state can be copied from one to the other.
bool same_structure(const Program& a, const Program& b);

std::string text(const Shape& shape);  // "(28, 28)"

}  // namespace shoal
