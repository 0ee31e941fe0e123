// What layers compute, against their formulas in double.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "members.h"
#include "pictures.h"
#include "shoal/population.h"

using namespace shoal;
using namespace shoal::test;

TEST_CASE("parameters are named and shaped as the layers that they belong to") {
  Population p({9, 8}, Optimizer::sgd, Loss::mse);
  p.add({{layer::conv2d(4, {3, 2}),
          layer::residual({layer::conv2d(5, 3), layer::batch_norm()},
                          {layer::conv2d(5, 1, 1, Padding::same(), Initializer::he, 1, false)}),
          layer::batch_norm(), layer::dense(3)}},
        {}, 0);
  const std::vector<std::pair<std::string, Shape>> want{{"conv1.weight", {4, 3, 2, 1}},
                                                        {"conv1.bias", {4}},
                                                        {"conv2.weight", {5, 3, 3, 4}},
                                                        {"conv2.bias", {5}},
                                                        {"batchnorm1.weight", {5}},
                                                        {"batchnorm1.bias", {5}},
                                                        {"batchnorm1.running_mean", {5}},
                                                        {"batchnorm1.running_var", {5}},
                                                        {"conv3.weight", {5, 1, 1, 4}},
                                                        {"batchnorm2.weight", {5}},
                                                        {"batchnorm2.bias", {5}},
                                                        {"batchnorm2.running_mean", {5}},
                                                        {"batchnorm2.running_var", {5}},
                                                        {"dense1.weight", {3, 360}},
                                                        {"dense1.bias", {3}}};
  const auto parameters = p.parameters(0);
  REQUIRE(parameters.size() == want.size());
  for (std::size_t i = 0; i < want.size(); ++i) {
    CHECK(parameters[i].name == want[i].first);
    CHECK(parameters[i].shape == want[i].second);
  }
  CHECK(values(parameter(p, "batchnorm2.weight")) == std::vector<float>(5, 1));
  CHECK(values(parameter(p, "batchnorm2.running_var")) == std::vector<float>(5, 1));
  CHECK(values(parameter(p, "batchnorm2.running_mean")) == std::vector<float>(5, 0));
}

TEST_CASE("a convolution is the sum of its formula, and its outputs are height, width, filter") {
  const Pictures pictures(35, {5, 7, 2});
  Population p(pictures.shape, Optimizer::sgd, Loss::mse);
  p.add({{layer::conv2d(3, {2, 4}, {2, 3}, Padding::of({1, 2}))}}, {}, 0);
  randomise(p, -1, 1);
  const auto w = values(parameter(p, "conv1.weight")), b = values(parameter(p, "conv1.bias"));
  REQUIRE(output_shape(p.network(0), pictures.shape) == Shape{3 * 3 * 3});
  std::vector<float> out(35 * 27);
  p.predict(pictures.values(), 0, out.data());
  const float* y = out.data();
  double most = 0;
  for (std::int64_t n = 0; n < 35; ++n) {
    for (std::int64_t row = -1; row <= 3; row += 2) {
      for (std::int64_t column = -2; column <= 4; column += 3) {
        for (std::size_t f = 0; f < 3; ++f) {
          double want = b[f];
          for (std::int64_t tap = 0; tap < 8; ++tap) {
            const std::int64_t h = row + tap / 4, v = column + tap % 4;
            if (h < 0 || h >= 5 || v < 0 || v >= 7) continue;
            for (std::int64_t c = 0; c < 2; ++c) {
              want += double{pictures.x[static_cast<std::size_t>(((n * 5 + h) * 7 + v) * 2 + c)]} *
                      w[f * 16 + static_cast<std::size_t>(tap * 2 + c)];
            }
          }
          most = std::max(most, std::abs(*y++ - want));
        }
      }
    }
  }
  CHECK(most <= 1e-5);
}

TEST_CASE("an image is flattened height, width, channel") {
  const Pictures pictures(20, {3, 4, 5});
  Population p(pictures.shape, Optimizer::sgd, Loss::mse);
  p.add({{layer::pooling(Pooling::max, 1), layer::dense(1)}}, {}, 0);
  const auto w = values(parameter(p, "dense1.weight"));
  std::vector<float> out(20);
  p.predict(pictures.values(), 0, out.data());
  for (std::size_t n = 0; n < 20; ++n) {
    double want = 0;
    for (std::size_t f = 0; f < 60; ++f) want += double{pictures.x[n * 60 + f]} * w[f];
    CHECK(std::abs(out[n] - want) <= 1e-5);
  }
}

// Also where a side begins with an activation, which must not reach the other side, or has no layer of its own.
TEST_CASE("a residual adds what both sides make of the same input") {
  for (const bool image : {true, false}) {
    CAPTURE(image);
    const Pictures pictures(20, image ? Shape{2, 3, 4} : Shape{2, 2});
    const auto linear = [&] { return image ? layer::conv2d(3, 1) : layer::dense(3); };
    Population p(pictures.shape, Optimizer::sgd, Loss::mse);
    p.add({{linear(), layer::residual({layer::tanh()}),
            layer::residual({image ? layer::pooling(Pooling::max, 1) : layer::flatten()}, {layer::tanh()}),
            layer::residual({layer::residual({layer::sigmoid(), layer::tanh()})}, {layer::sigmoid()}),
            layer::residual({layer::relu(), linear()}, {layer::leaky_relu(0.5f)}), layer::sigmoid()}},
          {}, 0);
    randomise(p, -1, 1);
    std::vector<std::vector<float>> arrays;
    for (const Parameter& array : p.parameters(0)) arrays.push_back(values(array));
    const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
    const std::size_t rows = pictures.x.size() / 4;
    std::vector<float> out(rows * 3);
    p.predict(pictures.values(), 0, out.data());
    for (std::size_t row = 0; row < rows; ++row) {
      double y[3], want;
      for (std::size_t o = 0; o < 3; ++o) {
        y[o] = arrays[1][o];
        for (std::size_t i = 0; i < 4; ++i) y[o] += double{pictures.x[row * 4 + i]} * arrays[0][o * 4 + i];
        y[o] += std::tanh(y[o]);
        y[o] += std::tanh(y[o]);
        y[o] += std::tanh(sigmoid(y[o])) + sigmoid(y[o]);
      }
      for (std::size_t o = 0; o < 3; ++o) {
        want = arrays[3][o] + (y[o] > 0 ? y[o] : 0.5 * y[o]);
        for (std::size_t i = 0; i < 3; ++i) want += std::max(y[i], 0.0) * arrays[2][o * 3 + i];
        CHECK(std::abs(out[row * 3 + o] - sigmoid(want)) <= 1e-5);
      }
    }
  }
}

TEST_CASE("running statistics follow the batches, and evaluation normalises with them") {
  const Pictures pictures(300, {3, 4, 2});
  for (const bool image : {true, false}) {
    CAPTURE(image);
    std::vector<Layer> layers{layer::batch_norm(0.25f, 1e-3f), layer::dense(2)};
    if (!image) layers.insert(layers.begin(), layer::flatten());
    Population p(pictures.shape, Optimizer::sgd, Loss::mse);
    p.add({layers}, rates(0.1f, 300), 0);
    fit(p, pictures.values(), 3);
    // Three steps towards the same mean and variance: 1 - 0.75^3 of the way.
    const std::size_t channels = image ? 2 : 24;
    const double count = image ? 300 * 12 : 300;
    const double part = 1 - 0.75 * 0.75 * 0.75;
    const auto mean = values(parameter(p, "batchnorm1.running_mean"));
    const auto var = values(parameter(p, "batchnorm1.running_var"));
    const auto weight = values(parameter(p, "batchnorm1.weight")), bias = values(parameter(p, "batchnorm1.bias"));
    const auto dense = values(parameter(p, "dense1.weight")), offset = values(parameter(p, "dense1.bias"));
    for (std::size_t c = 0; c < channels; ++c) {
      double sum = 0, squares = 0;
      for (std::size_t i = c; i < pictures.x.size(); i += channels) sum += pictures.x[i];
      for (std::size_t i = c; i < pictures.x.size(); i += channels) squares += std::pow(pictures.x[i] - sum / count, 2);
      CHECK(std::abs(mean[c] - part * sum / count) <= 1e-6);
      CHECK(std::abs(var[c] - (1 - part + part * squares / (count - 1))) <= 1e-6);
    }
    std::vector<float> out(600);
    p.predict(pictures.values(), 0, out.data());
    for (std::size_t i = 0; i < 600; ++i) {
      double want = offset[i % 2];
      for (std::size_t f = 0; f < 24; ++f) {
        const std::size_t c = f % channels;
        const double xhat = (pictures.x[i / 2 * 24 + f] - mean[c]) / std::sqrt(var[c] + 1e-3);
        want += (weight[c] * xhat + bias[c]) * dense[i % 2 * 24 + f];
      }
      CHECK(std::abs(out[i] - want) <= 1e-5);
    }
  }
}

TEST_CASE("evaluation is the loss of the predictions") {
  const Pictures pictures(300, {9, 8, 3});
  for (const Loss loss : {Loss::cross_entropy, Loss::mse}) {
    for (const Network& network : networks()) {
      CAPTURE(static_cast<int>(loss));
      CAPTURE(network.layers.size());
      Population p(pictures.shape, Optimizer::sgd, loss);
      p.add(network, rates(0.01f, 32), 1);
      fit(p, pictures.data(loss), 5);
      float got = 0, accuracy = 0;
      p.evaluate(pictures.data(loss), {0}, &got, &accuracy);
      std::vector<float> out(600);
      p.predict(pictures.data(loss), 0, out.data());
      double sum = 0, correct = 0;
      for (std::size_t n = 0; n < 300; ++n) {
        const float *y = &out[2 * n], *t = &pictures.targets[2 * n];
        const auto label = static_cast<std::size_t>(pictures.labels[n]);
        correct += (y[1] > y[0]) == (label == 1);
        sum += loss == Loss::mse ? (std::pow(y[0] - t[0], 2) + std::pow(y[1] - t[1], 2)) / 2 : -std::log(y[label]);
      }
      CHECK(std::abs(got - sum / 300) <= 1e-5);
      if (loss == Loss::cross_entropy) CHECK(std::abs(accuracy - correct / 300) <= 1e-6);
    }
  }
}

TEST_CASE("the training loss of a batch in slices is what evaluation finds") {
  const Pictures pictures(300, {9, 8, 3});
  for (const Loss loss : {Loss::cross_entropy, Loss::mse}) {
    for (const Network& network : {lenet(), windows(), tiny()}) {
      CAPTURE(static_cast<int>(loss));
      CAPTURE(network.layers.size());
      Population p(pictures.shape, Optimizer::sgd, loss);
      p.add(network, rates(0, 300), 1);
      Hyperparameters h = p.hyperparameters(0);
      std::fill(h.dropout.begin(), h.dropout.end(), 0.0f);
      p.set(0, h);
      float evaluated = 0;
      p.evaluate(pictures.data(loss), {0}, &evaluated, nullptr);
      CHECK(std::abs(fit(p, pictures.data(loss), 1)[0] - evaluated) <= 1e-6);
    }
  }
}
