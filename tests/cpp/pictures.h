// Small pictures of two classes, and networks in which every stage comes after every other.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "shoal/dataset.h"
#include "shoal/optimizer.h"

namespace shoal::test {

// Noise, brighter in the right half in class 1; targets follow from the label.
struct Pictures {
  Shape shape;
  std::int64_t samples, features = 1;
  std::vector<std::uint8_t> bytes;
  std::vector<float> x, scale, shift, targets;
  std::vector<std::int32_t> labels;

  Pictures(std::int64_t n, const Shape& shape_) : shape(shape_), samples(n) {
    for (const std::int64_t axis : shape) features *= axis;
    std::mt19937 engine(1);
    for (std::int64_t i = 0; i < n; ++i) {
      labels.push_back(static_cast<std::int32_t>(engine() % 2));
      for (std::int64_t f = 0; f < features; ++f) {
        const bool right = f / (features / shape[0] / shape[1]) % shape[1] >= shape[1] / 2;
        bytes.push_back(static_cast<std::uint8_t>(engine() % 180 + (right && labels.back() ? 70 : 0)));
      }
      for (const float target : {0.5f, -1.0f}) targets.push_back(labels.back() ? target : -target);
    }
    scale.assign(static_cast<std::size_t>(features), 1.0f / 128);
    shift.assign(static_cast<std::size_t>(features), -0.7f);
    for (std::size_t i = 0; i < bytes.size(); ++i) x.push_back(static_cast<float>(bytes[i]) / 128 - 0.7f);
  }

  Dataset classes() const {
    return {.samples = samples,
            .shape = shape,
            .x_u8 = bytes.data(),
            .scale = scale.data(),
            .shift = shift.data(),
            .labels = labels.data(),
            .outputs = 2};
  }
  Dataset values() const {
    return {.samples = samples, .shape = shape, .x_f32 = x.data(), .targets = targets.data(), .outputs = 2};
  }
  Dataset data(Loss loss) const { return loss == Loss::mse ? values() : classes(); }
};

inline Network lenet() {
  return {{layer::conv2d(6, 5), layer::tanh(), layer::pooling(Pooling::average, 2), layer::dropout(0.2f),
           layer::conv2d(10, 3, 1, Padding::valid()), layer::relu(), layer::pooling(Pooling::max, 2),
           layer::dropout(0.1f), layer::flatten(), layer::dense(20), layer::tanh(), layer::dropout(0.3f),
           layer::dense(2)}};
}

// The input is read by two layers, one of them a shortcut that a normalisation ends.
inline Network resnet() {
  const std::vector<Layer> block{layer::conv2d(8, 3), layer::batch_norm(), layer::relu(), layer::conv2d(8, 3),
                                 layer::batch_norm()};
  const std::vector<Layer> smaller{layer::conv2d(12, 3, 2), layer::batch_norm(), layer::relu(), layer::dropout(0.1f),
                                   layer::conv2d(12, 3, 1, Padding::same(), Initializer::he, 1, false)};
  return {{layer::residual({layer::conv2d(8, 3)}, {layer::conv2d(8, 1), layer::batch_norm()}), layer::relu(),
           layer::residual(block), layer::relu(), layer::residual(smaller), layer::batch_norm(), layer::tanh(),
           layer::global_pooling(), layer::dense(2)}};
}

// No two of its windows alike; it ends in an image.
inline Network windows() {
  return {{layer::dropout(0.1f), layer::conv2d(5, {2, 5}, {1, 2}), layer::leaky_relu(),
           layer::pooling(Pooling::max, {3, 2}, {2, 1}, Padding::of({1, 0})), layer::sigmoid(),
           layer::conv2d(7, 2, 3, Padding::of(1)), layer::pooling(Pooling::average, 3, 1, Padding::same()),
           layer::tanh(), layer::conv2d(2, {2, 1}, 1, Padding::valid()), layer::global_pooling()}};
}

inline Network vectors() {
  return {{layer::flatten(), layer::dense(64), layer::batch_norm(), layer::relu(), layer::dropout(0.2f),
           layer::residual({layer::dense(64), layer::tanh()}), layer::batch_norm(), layer::dense(2)}};
}

// Few weights, as the networks that share vectors have them.
inline Network tiny() {
  return {{layer::flatten(), layer::dense(3), layer::residual({layer::dense(3), layer::tanh()}, {layer::dense(3)}),
           layer::dropout(0.1f), layer::dense(2)}};
}

inline std::vector<Network> networks() { return {lenet(), resnet(), windows(), vectors(), tiny()}; }

inline Hyperparameters rates(float lr, std::int64_t batch) {
  Hyperparameters h;
  h.lr = lr;
  h.momentum = 0.5f;
  h.weight_decay = 1e-3f;
  h.batch_size = batch;
  return h;
}

}  // namespace shoal::test
