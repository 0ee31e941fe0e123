// Populations of convolutional networks: determinism, gradients against finite differences, and what does not fit.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <type_traits>

#include "arrays.h"
#include "engine/batch.h"
#include "pictures.h"
#include "shoal/error.h"
#include "shoal/population.h"

using namespace shoal;
using namespace shoal::test;

namespace {

using Bytes = std::vector<std::byte>;

Bytes bytes(Population& p, std::int64_t row) { return {p.state(row), p.state(row) + p.state_bytes(row)}; }
void restore(Population& p, std::int64_t row, const Bytes& state) {
  std::memcpy(p.state(row), state.data(), state.size());
}

std::vector<double> fit(Population& p, const Dataset& d, std::int64_t steps) {
  std::vector<double> losses(static_cast<std::size_t>(p.size()));
  p.fit(d, std::vector<std::int64_t>(static_cast<std::size_t>(p.size()), steps), std::max<std::int64_t>(steps, 1),
        losses.data());
  return losses;
}

// Calls body(value) for the values of a parameter in row-major order.
template <class Body>
void for_values(const Parameter& parameter, const Body& body, std::size_t axis = 0, std::int64_t at = 0) {
  if (axis == parameter.shape.size()) return body(parameter.data[at]);
  for (std::int64_t i = 0; i < parameter.shape[axis]; ++i)
    for_values(parameter, body, axis + 1, at + i * parameter.strides[axis]);
}

std::vector<float> values(const Parameter& parameter) {
  std::vector<float> all;
  for_values(parameter, [&](float& value) { all.push_back(value); });
  return all;
}

Parameter parameter(Population& p, const std::string& name) {
  for (const Parameter& candidate : p.parameters(0)) {
    if (candidate.name == name) return candidate;
  }
  FAIL("no parameter " << name);
  return {};
}

void randomise(Population& p, float low, float high) {
  std::mt19937 engine(5);
  std::uniform_real_distribution<float> draw(low, high);
  for (const Parameter& array : p.parameters(0)) {
    for_values(array, [&](float& value) { value += draw(engine); });
  }
}

}  // namespace

// ---- determinism

// More samples a batch than any slice holds, so that a step goes in several; alone, a member is divided over a team.
TEST_CASE("threads, company, row and quanta do not change a bit of a convolutional network") {
  const Pictures pictures(300, {9, 8, 3});
  for (std::size_t i = 0; i < networks().size(); ++i) {
    CAPTURE(i);
    const Network network = networks()[i];
    const Loss loss = i % 2 ? Loss::mse : Loss::cross_entropy;
    Hyperparameters h = rates(0.05f, 270);
    h.augment_pad = i < 2 ? 2 : 0;
    h.augment_flip = i == 0;
    const auto alone = [&](int threads, const std::vector<std::int64_t>& quanta) {
      Population p(pictures.shape, Optimizer::adam, loss, {.seed = 5, .threads = threads});
      p.add(network, h, 9);
      for (const std::int64_t steps : quanta) fit(p, pictures.data(loss), steps);
      return bytes(p, 0);
    };
    const Bytes want = alone(1, {4});
    CHECK(alone(2, {4}) == want);
    CHECK(alone(3, {1, 2, 1}) == want);
    Population p(pictures.shape, Optimizer::adam, loss, {.seed = 5, .threads = 2});
    for (std::uint32_t other = 0; other < 3; ++other) p.add(networks()[other], rates(0.01f, other % 2 ? 32 : 7), other);
    const std::int64_t row = p.add(network, h, 9);
    for (std::uint32_t other = 0; other < 16; ++other) p.add(tiny(), h, 200 + other);
    fit(p, pictures.data(loss), 2);
    fit(p, pictures.data(loss), 2);
    CHECK(bytes(p, row) == want);
  }
}

TEST_CASE("what is evaluated does not depend on threads or company") {
  const Pictures pictures(600, {9, 8, 3});
  std::vector<std::vector<float>> losses;
  for (const int threads : {1, 3}) {
    Population p(pictures.shape, Optimizer::sgd, Loss::cross_entropy, {.threads = threads});
    for (const Network& network : networks()) p.add(network, rates(0.05f, 32), 4);
    fit(p, pictures.classes(), 3);
    std::vector<float> together(5), alone(5);
    p.evaluate(pictures.classes(), {0, 1, 2, 3, 4}, together.data(), nullptr);
    for (std::int64_t row = 0; row < 5; ++row) p.evaluate(pictures.classes(), {row}, &alone[row], nullptr);
    CHECK(together == alone);
    losses.push_back(together);
  }
  CHECK(losses[0] == losses[1]);
}

TEST_CASE("a copy of a convolutional member, or its state restored, trains on as the original") {
  const Pictures pictures(60, {9, 8, 3});
  for (const Network& network : networks()) {
    CAPTURE(network.layers.size());
    Population p(pictures.shape, Optimizer::adam, Loss::cross_entropy, {.threads = 2});
    p.add(network, rates(0.01f, 17), 4);
    p.add(network, rates(0.01f, 17), 4);
    p.fit(pictures.classes(), {5, 1}, 5, std::vector<double>(2).data());
    const Bytes donor = bytes(p, 0);
    CHECK(bytes(p, 1) != donor);
    p.copy({0}, {1});
    CHECK(bytes(p, 1) == donor);
    fit(p, pictures.classes(), 3);
    CHECK(bytes(p, 0) == bytes(p, 1));
    Population other(pictures.shape, Optimizer::adam, Loss::cross_entropy, {.threads = 1});
    other.add(network, rates(0.01f, 17), 4);
    restore(other, 0, donor);
    fit(other, pictures.classes(), 3);
    CHECK(bytes(other, 0) == bytes(p, 0));
  }
}

TEST_CASE("a state is taken only by the same structure") {
  Population p({9, 8, 3}, Optimizer::sgd, Loss::cross_entropy);
  const auto add = [&](Initializer initializer, const Layer& pooling, float rate, float momentum) {
    return p.add({{layer::conv2d(4, 3, 1, Padding::same(), initializer), pooling, layer::batch_norm(momentum),
                   layer::dropout(rate), layer::dense(2)}},
                 {}, 0);
  };
  const Layer pooling = layer::pooling(Pooling::max, 2);
  add(Initializer::he, pooling, 0.1f, 0.1f);
  add(Initializer::xavier, pooling, 0.5f, 0.1f);
  p.copy({0}, {1});  // rates and initialisers are no structure
  CHECK(bytes(p, 0) == bytes(p, 1));
  for (const Layer& other : {layer::pooling(Pooling::average, 2), layer::pooling(Pooling::max, 2, 2, Padding::of(1)),
                             layer::pooling(Pooling::max, {2, 1})}) {
    CHECK_THROWS_AS(p.copy({0}, {add(Initializer::he, other, 0.1f, 0.1f)}), InvalidArgument);
  }
  CHECK_THROWS_AS(p.copy({0}, {add(Initializer::he, pooling, 0.1f, 0.2f)}), InvalidArgument);
}

// ---- gradients

namespace {

// Every layer, each reading what another has made and read by another; with kinks, or all smooth.
Network every_layer(bool norms, bool kinks) {
  using Layers = std::vector<Layer>;
  const auto then = [](Layers a, const Layers& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  };
  const Layers norm = norms ? Layers{layer::batch_norm()} : Layers{};
  const Pooling pooling = kinks ? Pooling::max : Pooling::average;
  const Layer relu = kinks ? layer::relu() : layer::sigmoid(), leaky = kinks ? layer::leaky_relu(0.3f) : layer::tanh();
  const Layers branch =
      then(then({relu, layer::conv2d(6, 3)}, norm), {layer::tanh(), layer::conv2d(6, 3), layer::dropout(0.1f)});
  Layers all{layer::dropout(0.1f), layer::conv2d(6, 3)};
  all = then(all, norm);
  all = then(all, {layer::pooling(pooling, 2, 1, Padding::same()), layer::tanh(),
                   layer::pooling(pooling, {1, 2}, 1, Padding::same()), layer::dropout(0.2f), leaky,
                   layer::dropout(0.1f), layer::residual(branch), layer::sigmoid(),
                   layer::residual(then({layer::conv2d(9, 3, 2), layer::tanh()}, norm)),
                   layer::residual({layer::conv2d(7, {2, 3})}, then({leaky, layer::conv2d(7, 1)}, norm)), relu,
                   layer::pooling(Pooling::average, {3, 2}, {2, 1}, Padding::of({1, 0})), layer::tanh(),
                   layer::conv2d(5, {2, 1}, {1, 2}, Padding::valid(), Initializer::he, 1, false), layer::dropout(0.1f),
                   layer::flatten(), layer::tanh(), layer::dense(11)});
  all = then(all, norm);
  return {then(all, {layer::sigmoid(), layer::dropout(0.1f), layer::residual({layer::dense(11), layer::tanh()}),
                     layer::residual({layer::dense(7)}, then({layer::dense(7, Initializer::he, 1, false)}, norm)),
                     layer::dense(2)})};
}

// The loss of the next step, which then is as if it had not been.
float next_loss(Population& p, const Dataset& data, const Bytes& start) {
  const float loss = fit(p, data, 1)[0];
  restore(p, 0, start);
  return loss;
}

}  // namespace

// A step of plain gradient descent moves the weights by lr times the gradient. Along a random direction d, that gradient
// is (L(w + h d) - L(w - h d)) / 2h; dropout draws the same as long as the step is the same.
TEST_CASE("the gradient of a whole network is that of finite differences") {
  const Pictures pictures(270, {6, 5, 2});
  for (const bool norms : {false, true}) {
    for (const bool kinks : {false, true}) {
      CAPTURE(norms);
      CAPTURE(kinks);
      const Loss loss = norms == kinks ? Loss::cross_entropy : Loss::mse;
      const Dataset data = pictures.data(loss);
      Hyperparameters h;
      h.batch_size = 270;
      Population p(pictures.shape, Optimizer::sgd, loss, {.seed = 2, .threads = 1});
      p.add(every_layer(norms, kinks), h, 3);
      randomise(p, -0.05f, 0.05f);
      const auto set_lr = [&](float lr) {
        h.lr = lr;
        p.set(0, h);
      };
      std::vector<std::vector<float>> before, gradients;
      const std::vector<Parameter> parameters = p.parameters(0);
      for (const Parameter& array : parameters) before.push_back(values(array));
      const Bytes start = bytes(p, 0);
      set_lr(1);
      fit(p, data, 1);
      for (std::size_t i = 0; i < parameters.size(); ++i) {
        gradients.push_back(values(parameters[i]));
        for (std::size_t j = 0; j < before[i].size(); ++j) gradients[i][j] = before[i][j] - gradients[i][j];
      }
      restore(p, 0, start);
      set_lr(0);
      std::mt19937 engine(6);
      for (std::size_t i = 0; i < parameters.size(); ++i) {
        const std::string& name = parameters[i].name;
        CAPTURE(name);
        if (name.find(".running") != std::string::npos) continue;
        constexpr float kStep = 2e-3f;
        std::vector<float> direction;
        double along = 0, square = 0;
        for (const float g : gradients[i]) {
          direction.push_back(engine() % 2 ? 1.0f : -1.0f);
          along += double{g} * direction.back();
          square += double{g} * g;
        }
        const auto loss_at = [&](float step) {
          std::size_t j = 0;
          for_values(parameters[i], [&](float& value) { value += step * direction[j++]; });
          return double{next_loss(p, data, start)};
        };
        const double slope = (loss_at(kStep) - loss_at(-kStep)) / (2 * double{kStep});
        // The loss is rounded to 6e-8 of itself. Where h d moves values over a kink, the slope is another's.
        CHECK(std::abs(slope - along) <= (kinks ? 0.15 : 0.01) * std::sqrt(square) + 5e-4);
      }
    }
  }
}

// ---- what layers compute

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

TEST_CASE("shapes follow the paddings and strides") {
  const auto shape = [](const std::vector<Layer>& layers) { return output_shape({layers}, {7, 10, 3})[0]; };
  const auto same = Padding::same(), valid = Padding::valid();
  CHECK(shape({layer::conv2d(2, 3)}) == 7 * 10 * 2);
  CHECK(shape({layer::conv2d(2, {4, 3}, {2, 3}, same)}) == 4 * 4 * 2);
  CHECK(shape({layer::conv2d(2, {4, 3}, {2, 3}, valid)}) == 2 * 3 * 2);
  CHECK(shape({layer::conv2d(2, 3, 2, Padding::of({2, 1}))}) == 5 * 5 * 2);
  CHECK(shape({layer::conv2d(2, {7, 10}, 1, valid)}) == 2);
  CHECK(shape({layer::conv2d(4, 1), layer::pooling(Pooling::max, 2)}) == 3 * 5 * 4);
  CHECK(shape({layer::conv2d(4, 1), layer::pooling(Pooling::max, 2, 0, same)}) == 4 * 5 * 4);
  CHECK(shape({layer::conv2d(4, 1), layer::pooling(Pooling::average, 3, 1)}) == 5 * 8 * 4);
  CHECK(shape({layer::conv2d(4, 1), layer::global_pooling()}) == 4);
  CHECK(shape({layer::residual({layer::relu()}, {layer::conv2d(3, 1)})}) == 7 * 10 * 3);
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

TEST_CASE_TEMPLATE("images are augmented as their place in the batch wants it, whatever the slice", T, std::uint8_t,
                   float) {
  const std::int64_t rows = 37, features = 5 * 4 * 3;
  const Pictures pictures(50, {5, 4, 3});
  Dataset set{.samples = 50, .shape = pictures.shape};
  const auto* raw = [&] {
    if constexpr (std::is_same_v<T, float>) {
      return set.x_f32 = pictures.x.data();
    } else {
      return set.x_u8 = pictures.bytes.data();
    }
  }();
  const Data data(set, Loss::mse, Use::prediction);
  const Augmentation augmentation{.pad = 2, .flip = true, .key = {1, 2}, .step = 3};
  for (const bool image : {true, false}) {
    CAPTURE(image);
    const Layer first = image ? layer::conv2d(2, 1) : layer::dense(2);
    const Program program = compile({{first}}, pictures.shape);
    const Tensor& tensor = program.tensors[0];
    REQUIRE(tensor.is_image == image);
    const auto carve = [&](Arena arena) { return Batch(program, Loss::mse, rows, 32, arena); };
    const Buffer block(1 << 20);
    const Batch batch = carve(Arena(reinterpret_cast<float*>(block.data())));
    for (std::uint32_t r = 0; r < rows; ++r) batch.index()[r] = r * 7 % 50;
    for (const Slice& slice : {Slice{0, 16, true, false}, Slice{16, 21, false, true}}) {
      const test::Matrix as_rows(slice.rows, features);
      const test::Images as_image(slice.rows, {5, 4, 3}, kernels().lanes);
      batch.gather_inputs(data, tensor, slice, augmentation, image ? as_image.data() : as_rows.data(), {});
      for (std::int64_t r = 0; r < slice.rows; ++r) {
        std::vector<T> want(static_cast<std::size_t>(features));
        const auto place = static_cast<std::uint32_t>(slice.first + r);
        augment(augmentation, 5, 4, 3, place, raw + batch.index()[place] * features, want.data());
        for (std::int64_t f = 0; f < features; ++f) {
          CHECK((image ? as_image(r, f) : as_rows(r, f)) == static_cast<float>(want[static_cast<std::size_t>(f)]));
        }
      }
    }
  }
}

TEST_CASE("convolutional networks learn with every optimiser") {
  const Pictures pictures(200, {9, 8, 3});
  for (const Optimizer o :
       {Optimizer::sgd, Optimizer::adam, Optimizer::adamw, Optimizer::rmsprop, Optimizer::adagrad}) {
    CAPTURE(static_cast<int>(o));
    Population p(pictures.shape, o, Loss::cross_entropy);
    Hyperparameters h = rates(o == Optimizer::sgd || o == Optimizer::adagrad ? 0.05f : 0.005f, 32);
    h.dropout = {0, 0, 0};
    p.add(lenet(), h, 0);
    h.dropout = {0};
    p.add(resnet(), h, 0);
    fit(p, pictures.classes(), 80);
    float losses[2], accuracies[2];
    p.evaluate(pictures.classes(), {0, 1}, losses, accuracies);
    CHECK(accuracies[0] > 0.95f);
    CHECK(accuracies[1] > 0.95f);
  }
}

// ---- edges

TEST_CASE("one sample, batches of one, and last batches of one") {
  for (const std::int64_t samples : {1, 2, 17}) {
    const Pictures pictures(samples, {9, 8, 3});
    for (const Network& network : networks()) {
      for (const std::int64_t batch : {1, 16, 500}) {
        CAPTURE(samples);
        CAPTURE(batch);
        CAPTURE(network.layers.size());
        const auto train = [&](int threads) {
          Population p(pictures.shape, Optimizer::adam, Loss::cross_entropy, {.threads = threads});
          p.add(network, rates(0.001f, batch), 0);
          CHECK(std::isfinite(fit(p, pictures.classes(), 5)[0]));
          CHECK_FALSE(p.counters(0).diverged);
          for (const Parameter& array : p.parameters(0)) {
            const auto all = values(array);
            CHECK(std::all_of(all.begin(), all.end(), [](float value) { return std::isfinite(value); }));
          }
          return bytes(p, 0);
        };
        CHECK(train(1) == train(2));
      }
    }
  }
}

TEST_CASE("a convolutional member that diverges stops, and the others do not notice") {
  const Pictures pictures(300, {9, 8, 3});
  for (const Network& network : {lenet(), resnet(), windows()}) {
    CAPTURE(network.layers.size());
    Population calm(pictures.shape, Optimizer::sgd, Loss::mse, {.threads = 2});
    Population mixed(pictures.shape, Optimizer::sgd, Loss::mse, {.threads = 2});
    for (std::uint32_t i = 0; i < 3; ++i) {
      calm.add(network, rates(0.01f, 290), i);
      mixed.add(network, rates(i == 1 ? 3e38f : 0.01f, 290), i);
    }
    fit(calm, pictures.values(), 5);
    const std::vector<double> losses = fit(mixed, pictures.values(), 5);
    CHECK(bytes(mixed, 0) == bytes(calm, 0));
    CHECK(bytes(mixed, 2) == bytes(calm, 2));
    CHECK(std::isnan(losses[1]));
    CHECK(mixed.counters(1).diverged);
    const Bytes before = bytes(mixed, 1);
    CHECK(std::isnan(fit(mixed, pictures.values(), 2)[1]));
    CHECK(bytes(mixed, 1) == before);
  }
}

// Weights, optimiser state and running statistics: none has seen a batch whose loss is not finite, whichever slice of
// it was at fault, and whether one thread or a team found out.
TEST_CASE("a step whose loss is not finite is not taken") {
  for (const std::size_t bad : {0, 299}) {
    Pictures pictures(300, {9, 8, 3});
    pictures.x[bad * 216 + 5] = std::numeric_limits<float>::quiet_NaN();
    for (const Network& network : networks()) {
      for (const int threads : {1, 2}) {
        CAPTURE(bad);
        CAPTURE(threads);
        CAPTURE(network.layers.size());
        Population p(pictures.shape, Optimizer::adam, Loss::mse, {.threads = threads});
        Network quiet = network;  // without dropout, which might drop the value at fault
        std::erase_if(quiet.layers, [](const Layer& l) { return l.kind == LayerKind::dropout; });
        p.add(quiet, rates(0.01f, 300), 0);
        const auto behind_counters = [&] {
          auto* from = reinterpret_cast<std::byte*>(p.parameters(0)[0].data);
          return Bytes(from, p.state(0) + p.state_bytes(0));
        };
        const Bytes before = behind_counters();
        CHECK(std::isnan(fit(p, pictures.values(), 2)[0]));
        CHECK(p.counters(0).diverged);
        CHECK(p.counters(0).step == 0);
        CHECK(behind_counters() == before);
      }
    }
  }
}

// ---- what does not fit

namespace {

// The message with which a network is refused.
std::string refusal(const std::vector<Layer>& layers, const Shape& input) {
  try {
    Population p(input, Optimizer::sgd, Loss::cross_entropy);
    p.add({layers}, {}, 0);
  } catch (const InvalidArgument& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("what does not fit is refused, naming the layer and the rule") {
  const Shape image{6, 5, 3};
  const Layer conv = layer::conv2d(3, 3), dense = layer::dense(2);
  const auto kernel = [](Extent k, Extent stride, Padding padding) { return layer::conv2d(4, k, stride, padding); };
  struct Case {
    std::vector<Layer> layers;
    Shape input;
    const char* message;
  };
  const Case cases[] = {
      {{conv, kernel({7, 1}, 1, Padding::valid())},
       image,
       "layer 2 (conv2d): kernel must not be larger than the padded image, got kernel 7 x 1 and image 6 x 5"},
      {{conv, layer::relu(), layer::pooling(Pooling::max, 6)},
       image,
       "layer 3 (pooling): kernel must not be larger than the padded image, got kernel 6 x 6 and image 6 x 5"},
      {{conv, layer::residual({layer::tanh(), kernel(9, 1, Padding::of(1))})},
       image,
       "layer 2.branch 2 (conv2d): kernel must not be larger than the padded image, got kernel 9 x 9 and image 6 x 5"},
      {{kernel(0, 1, Padding::same())}, image, "layer 1 (conv2d): kernel must be >= 1, got 0 x 0"},
      {{kernel(3, {1, 0}, Padding::same())}, image, "layer 1 (conv2d): stride must be >= 1, got 1 x 0"},
      {{kernel(3, -1, Padding::same())}, image, "layer 1 (conv2d): stride must be >= 1, got -1 x -1"},
      {{kernel(3, 1, Padding::of({2, 3}))},
       image,
       "layer 1 (conv2d): padding must be >= 0 and smaller than the kernel, got 2 x 3"},
      {{kernel(3, 1, Padding::of(-1))},
       image,
       "layer 1 (conv2d): padding must be >= 0 and smaller than the kernel, got -1 x -1"},
      {{conv, layer::pooling(Pooling::average, 2, 2, Padding::of(2))},
       image,
       "layer 2 (pooling): padding must be >= 0 and smaller than the kernel, got 2 x 2"},
      {{layer::conv2d(0, 3)}, image, "layer 1 (conv2d): filters must be in [1, 2^31), got 0"},
      {{conv, layer::flatten(), conv},
       image,
       "layer 3 (conv2d): input must be an image (height, width, channels) or (height, width), got shape (90)"},
      {{conv},
       {30},
       "layer 1 (conv2d): input must be an image (height, width, channels) or (height, width), got shape (30)"},
      {{dense, layer::global_pooling()},
       image,
       "layer 2 (global_pooling): input must be an image (height, width, channels) or (height, width), got shape (2)"},
      {{conv},
       {2, 3, 4, 5},
       "layer 1 (conv2d): input must be an image (height, width, channels) or (height, width), got shape (2, 3, 4, 5)"},
      {{conv, layer::batch_norm(0)}, image, "layer 2 (batch_norm): momentum must be"},
      {{conv, layer::batch_norm(0.1f, 0)}, image, "layer 2 (batch_norm): epsilon must be"},
      {{conv, layer::residual({})}, image, "layer 2 (residual): branch must have at least one layer"},
      {{conv, layer::residual({layer::conv2d(2, 3)})},
       image,
       "layer 2 (residual): branch makes (6, 5, 2), its shortcut (6, 5, 3); they must agree"},
      {{conv, layer::residual({kernel(3, 1, Padding::valid())})},
       image,
       "layer 2 (residual): branch makes (4, 3, 4), its shortcut (6, 5, 3); they must agree"},
      {{conv, layer::residual({layer::conv2d(4, 3)}, {layer::conv2d(5, 1)})},
       image,
       "layer 2 (residual): branch makes (6, 5, 4), its shortcut (6, 5, 5); they must agree"},
      {{conv, layer::residual({kernel(3, 2, Padding::same())}, {layer::conv2d(4, 1)})},
       image,
       "layer 2 (residual): branch makes (3, 3, 4), its shortcut (6, 5, 4); they must agree"},
      {{conv, layer::residual({dense})},
       image,
       "layer 2 (residual): branch makes (2), its shortcut (6, 5, 3); they must agree"},
      {{dense, layer::residual({layer::dense(3)})},
       image,
       "layer 2 (residual): branch makes (3), its shortcut (2); they must agree"},
      {{layer::pooling(Pooling::max, 2)}, image, "network must have at least one layer with weights"},
      {{layer::conv2d(1, 0x7fffffff)}, image, "layer 1 (conv2d): a filter has more than 2^31 weights"},
      {{layer::conv2d(1 << 30, 1), layer::conv2d(1, 1)}, image, "layer 1 (conv2d): output has more than 2^31 features"},
  };
  for (const Case& c : cases) {
    CAPTURE(std::string(c.message));
    CHECK(refusal(c.layers, c.input).substr(0, std::strlen(c.message)) == c.message);
  }
}

TEST_CASE("a whole stride and more channels fit an empty shortcut") {
  const auto accepted = [](const Layer& layer, const Shape& input) {
    return refusal({layer::conv2d(3, 1), layer::residual({layer})}, input) == "accepted";
  };
  CHECK(accepted(layer::conv2d(3, 3), {6, 5, 3}));
  CHECK(accepted(layer::conv2d(8, 3, 2), {6, 5, 3}));
  CHECK(accepted(layer::conv2d(3, 3, {1, 3}), {6, 5, 3}));
  CHECK(accepted(layer::conv2d(3, {6, 5}, 1, Padding::valid()), {6, 5, 3}));  // to one pixel: the stride is the image
}
