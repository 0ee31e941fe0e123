// The public API: determinism, errors that leave everything as it was, and the inside of a training run.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <numeric>
#include <random>

#include "members.h"
#include "shoal/device.h"
#include "shoal/error.h"
#include "shoal/population.h"

using namespace shoal;
using namespace shoal::test;

namespace {

// Two classes that a line separates, and targets that are a smooth function of the inputs.
struct Toy {
  std::vector<float> x, targets;
  std::vector<std::int32_t> labels;
  std::int64_t samples, features;

  Toy(std::int64_t n, std::int64_t f) : samples(n), features(f) {
    std::mt19937 engine(1);
    std::normal_distribution<float> draw;
    for (std::int64_t i = 0; i < n; ++i) {
      float sum = 0;
      for (std::int64_t k = 0; k < f; ++k) {
        x.push_back(draw(engine));
        sum += x.back() * (k % 2 ? 1.0f : -0.5f);
      }
      labels.push_back(sum > 0);
      targets.push_back(std::tanh(sum));
    }
  }
  Dataset classes() const {
    return {.samples = samples, .shape = {features}, .x_f32 = x.data(), .labels = labels.data(), .outputs = 2};
  }
  Dataset values() const {
    return {.samples = samples, .shape = {features}, .x_f32 = x.data(), .targets = targets.data(), .outputs = 1};
  }
};

Network mlp(std::int64_t width, std::int64_t outputs) {
  return {{layer::dense(width), layer::tanh(), layer::dropout(0.2f), layer::dense(outputs)}};
}

Hyperparameters rates(float lr, std::int64_t batch) {
  Hyperparameters h;
  h.lr = lr;
  h.momentum = 0.5f;
  h.batch_size = batch;
  return h;
}

}  // namespace

// Both a tiny network, whose members share vectors, and one that is divided over a team when it is alone.
TEST_CASE("threads, company, row and quanta do not change a bit") {
  const Toy toy(103, 21);
  for (const std::int64_t width : {8, 600}) {
    CAPTURE(width);
    const auto alone = [&](int threads, const std::vector<std::int64_t>& quanta) {
      Population p({21}, Optimizer::sgd, Loss::cross_entropy, {.seed = 5, .threads = threads});
      p.add(mlp(width, 2), rates(0.05f, 32), 9);
      for (const std::int64_t steps : quanta) fit(p, toy.classes(), steps);
      return bytes(p, 0);
    };
    const Bytes want = alone(1, {14});
    CHECK(alone(2, {14}) == want);
    CHECK(alone(3, {1, 3, 10}) == want);
    Population p({21}, Optimizer::sgd, Loss::cross_entropy, {.seed = 5, .threads = 2});
    for (std::uint32_t i = 0; i < 21; ++i)
      p.add(mlp(i % 3 ? width : 5, 2), rates(0.01f * static_cast<float>(i), i % 2 ? 32 : 7), 100 + i);
    const std::int64_t row = p.add(mlp(width, 2), rates(0.05f, 32), 9);
    p.add(mlp(width, 2), rates(0.02f, 32), 77);
    fit(p, toy.classes(), 6);
    fit(p, toy.classes(), 8);
    CHECK(bytes(p, row) == want);
  }
}

// Steps of 3e7 multiply-adds and more: of two threads each takes two or a few at a time of the last three pieces, fewer
// than a point of the curve has; a lone one takes them whole.
TEST_CASE("a curve does not show where threads took turns") {
  const Toy toy(2000, 21);
  for (const std::int64_t width : {64, 1000}) {
    CAPTURE(width);
    const auto trained = [&](int threads, std::int64_t record) {
      Population p({21}, Optimizer::sgd, Loss::mse, {.seed = 5, .threads = threads});
      const std::int64_t members = width == 64 ? 48 : 3;
      for (std::int64_t i = 0; i < members; ++i)
        p.add(mlp(width, 1), rates(i == 1 ? 1e30f : 0.01f, 2000), static_cast<std::uint32_t>(i));
      std::vector<double> losses(static_cast<std::size_t>(members * (12 / record)));
      p.fit(toy.values(), std::vector<std::int64_t>(static_cast<std::size_t>(members), 12), record, losses.data());
      return std::pair(bytes(p, 2), losses);
    };
    const auto [state, each] = trained(1, 1);
    const auto [same, means] = trained(2, 6);
    CHECK(same == state);
    for (std::size_t point = 0; point < 2; ++point) {
      const auto first = each.begin() + static_cast<std::ptrdiff_t>(24 + 6 * point);  // of the third member
      CHECK(means[4 + point] == std::accumulate(first, first + 6, 0.0) / 6);
      CHECK(std::isnan(means[2 + point]));  // of the second, which diverged
    }
  }
}

// Alone, a tiny member runs other kernels than in a group that fills the lanes.
TEST_CASE("a tiny member trains the same bits alone as in company") {
  const Toy toy(70, 7);
  for (const Optimizer optimizer :
       {Optimizer::sgd, Optimizer::adam, Optimizer::adamw, Optimizer::rmsprop, Optimizer::adagrad}) {
    for (const auto& activation :
         {layer::relu(), layer::leaky_relu(0.1f), layer::sigmoid(), layer::tanh(), layer::flatten()}) {
      for (const Loss loss : {Loss::cross_entropy, Loss::mse}) {
        CAPTURE(static_cast<int>(optimizer));
        CAPTURE(static_cast<int>(activation.kind));
        CAPTURE(static_cast<int>(loss));
        const std::int64_t outputs = loss == Loss::mse ? 1 : 2;
        const Network network{{layer::dropout(0.1f), layer::dense(19), activation, layer::dropout(0.3f),
                               layer::dense(5), layer::dense(outputs), activation}};
        const Dataset data = loss == Loss::mse ? toy.values() : toy.classes();
        Hyperparameters h = rates(0.01f, 16);
        h.weight_decay = 1e-3f;
        h.nesterov = optimizer == Optimizer::sgd;
        Population together({7}, optimizer, loss, {.seed = 3});
        for (std::uint32_t id = 0; id < 16; ++id) together.add(network, h, id);
        const std::vector<double> losses = fit(together, data, 12);
        Population alone({7}, optimizer, loss, {.seed = 3});
        alone.add(network, h, 5);
        CHECK(fit(alone, data, 12)[0] == losses[5]);
        CHECK(bytes(alone, 0) == bytes(together, 5));
      }
    }
  }
}

TEST_CASE("a copy is the donor byte for byte, also in a swap") {
  const Toy toy(64, 5);
  Population p({5}, Optimizer::adam, Loss::mse, {.seed = 1});
  for (std::uint32_t i = 0; i < 3; ++i) p.add(mlp(70, 1), rates(0.001f, 16), i);
  fit(p, toy.values(), 5);
  const Bytes first = bytes(p, 0), second = bytes(p, 1);
  p.copy({0, 1}, {1, 0});
  CHECK(bytes(p, 0) == second);
  CHECK(bytes(p, 1) == first);
}

TEST_CASE("an heir of another structure has its donor's layers where they fit, the rest as a new member") {
  const Toy toy(64, 5);
  const Network donor{{layer::dense(40), layer::tanh(), layer::dense(30), layer::tanh(), layer::dense(1)}};
  const Network heir{{layer::dense(40), layer::tanh(), layer::dense(31), layer::tanh(), layer::dense(1)}};
  Population p({5}, Optimizer::adam, Loss::mse, {.seed = 1}), fresh({5}, Optimizer::adam, Loss::mse, {.seed = 1});
  p.add(donor, rates(0.001f, 16), 0);
  p.add(heir, rates(0.001f, 16), 1);
  fresh.add(heir, rates(0.001f, 16), 1);
  fit(p, toy.values(), 5);
  std::vector<InheritedLayer> layers = p.inherit(0, 1);
  REQUIRE(layers.size() == 3);
  const auto weights = [](Population& population, std::int64_t row, std::size_t layer) {
    const Parameter weight = population.parameters(row)[2 * layer];
    return std::vector<float>(weight.data, weight.data + weight.shape[0] * weight.strides[0]);
  };
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(layers[i].name == "dense" + std::to_string(i + 1));
    CHECK(layers[i].inherited == (i == 0));
    CHECK(weights(p, 1, i) == (i == 0 ? weights(p, 0, i) : weights(fresh, 0, i)));
  }
  CHECK(p.counters(1).step == 5);
  CHECK_THROWS_AS(p.inherit(2, 0), InvalidArgument);
  CHECK_THROWS_AS(p.inherit(0, -1), InvalidArgument);
}

TEST_CASE("a member that diverges stops, and the others do not notice") {
  const Toy toy(64, 5);
  for (const std::int64_t width : {6, 90}) {
    CAPTURE(width);
    Population calm({5}, Optimizer::sgd, Loss::mse), mixed({5}, Optimizer::sgd, Loss::mse);
    for (std::uint32_t i = 0; i < 4; ++i) {
      calm.add(mlp(width, 1), rates(0.01f, 16), i);
      mixed.add(mlp(width, 1), rates(i == 2 ? 1e30f : 0.01f, 16), i);
    }
    fit(calm, toy.values(), 40);
    const std::vector<double> losses = fit(mixed, toy.values(), 40);
    for (const std::int64_t row : {0, 1, 3}) CHECK(bytes(mixed, row) == bytes(calm, row));
    CHECK(std::isnan(losses[2]));
    CHECK(mixed.counters(2).diverged);
    const Bytes before = bytes(mixed, 2);
    fit(mixed, toy.values(), 3);
    CHECK(bytes(mixed, 2) == before);
  }
}

TEST_CASE("training learns") {
  const Toy toy(400, 10);
  for (const std::int64_t width : {8, 64}) {
    for (const Optimizer o :
         {Optimizer::sgd, Optimizer::adam, Optimizer::adamw, Optimizer::rmsprop, Optimizer::adagrad}) {
      CAPTURE(width);
      CAPTURE(static_cast<int>(o));
      Population p({10}, o, Loss::cross_entropy);
      Hyperparameters h;
      h.lr = o == Optimizer::sgd || o == Optimizer::adagrad ? 0.2f : 0.01f;
      h.beta2 = 0.99f;
      p.add(mlp(width, 2), h, 0);
      fit(p, toy.classes(), 300);
      float loss = 0, accuracy = 0;
      p.evaluate(toy.classes(), {0}, &loss, &accuracy);
      CHECK(accuracy > 0.95f);
      std::vector<float> probabilities(800);
      p.predict(toy.classes(), 0, probabilities.data());
      int correct = 0;
      for (std::size_t i = 0; i < 400; ++i) {
        CHECK(std::abs(probabilities[2 * i] + probabilities[2 * i + 1] - 1) < 1e-6f);
        correct += (probabilities[2 * i + 1] > probabilities[2 * i]) == (toy.labels[i] == 1);
      }
      CHECK(static_cast<float>(correct) / 400 == doctest::Approx(accuracy));
    }
  }
}

TEST_CASE("counters follow the last short batch; steps_to_epoch agrees") {
  const Toy toy(50, 5);
  Population p({5}, Optimizer::sgd, Loss::cross_entropy);
  p.add(mlp(70, 2), rates(0.01f, 16), 0);
  CHECK(p.steps_to_epoch(0, 50, 2) == 8);
  fit(p, toy.classes(), 3);
  CHECK(p.counters(0).offset == 48);
  CHECK(p.steps_to_epoch(0, 50, 1) == 1);
  CHECK_THROWS_AS(p.steps_to_epoch(0, 20, 1), InvalidArgument);  // it stands beyond the end of such a dataset
  p.set(0, rates(0.01f, 1));
  CHECK(p.steps_to_epoch(0, 50, 2) == 52);
  fit(p, toy.classes(), 52);
  CHECK(p.counters(0).epoch == 2);
  CHECK(p.counters(0).offset == 0);
  CHECK(p.steps_to_epoch(0, 50, 2) == 0);
}

TEST_CASE("wrong arguments are refused and change nothing") {
  const Toy toy(40, 5);
  Population p({5}, Optimizer::sgd, Loss::cross_entropy);
  p.add(mlp(70, 2), rates(0.01f, 16), 0);
  const Bytes before = bytes(p, 0);
  CHECK_THROWS_AS(p.add({{layer::dense(0)}}, {}, 1), InvalidArgument);
  CHECK_THROWS_AS(p.add({{layer::relu()}}, {}, 1), InvalidArgument);
  CHECK_THROWS_AS(p.add({}, {}, 1), InvalidArgument);
  CHECK_THROWS_AS(p.add({{layer::dense(2), layer::dropout(1)}}, {}, 1), InvalidArgument);
  const std::int64_t huge = 0x7fffffff;
  CHECK_THROWS_AS(output_shape({{layer::dense(huge), layer::dense(huge), layer::dense(huge)}}, {huge}),
                  InvalidArgument);
  CHECK_THROWS_AS(p.steps_to_epoch(0, 0, 1), InvalidArgument);
  CHECK_THROWS_AS(p.reset(1, mlp(3, 2), {}, 0), InvalidArgument);
  CHECK_THROWS_AS(p.set(0, rates(NAN, 16)), InvalidArgument);
  CHECK_THROWS_AS(p.set(0, rates(0.1f, 0)), InvalidArgument);
  CHECK_THROWS_AS(p.copy({0}, {1}), InvalidArgument);
  CHECK_THROWS_AS(fit(p, toy.values(), 1), InvalidArgument);
  Dataset wrong = toy.classes();
  wrong.shape = {4};
  CHECK_THROWS_AS(fit(p, wrong, 1), InvalidArgument);
  wrong = toy.classes();
  wrong.outputs = 3;
  CHECK_THROWS_AS(fit(p, wrong, 1), InvalidArgument);
  double loss = 0;
  CHECK_THROWS_AS(p.fit(toy.classes(), {1, 2}, 1, &loss), InvalidArgument);
  CHECK_THROWS_AS(p.fit(toy.classes(), {-1}, 1, &loss), InvalidArgument);
  CHECK_THROWS_AS(p.fit(toy.classes(), {1}, 0, &loss), InvalidArgument);
  CHECK(bytes(p, 0) == before);
  CHECK(p.size() == 1);
  fit(p, toy.classes(), 1);  // and it works after the throws
  CHECK(p.counters(0).step == 1);
}

TEST_CASE("hyperparameters are crossed and perturbed, whole numbers staying whole, or nothing changes") {
  Population p({5}, Optimizer::sgd, Loss::cross_entropy);
  for (std::uint32_t id = 0; id < 3; ++id) p.add(mlp(70, 2), rates(0.1f * static_cast<float>(id + 1), 16 << id), id);
  p.cross_hyperparameters({0, 1}, {1, 2}, {1, 0}, 0);
  CHECK(p.hyperparameters(0).lr == 0.2f);
  CHECK(p.hyperparameters(1).batch_size == 64);
  const Bytes before = bytes(p, 2);
  p.perturb({2}, {.ranges = {{"lr", 0.05, 0.25}, {"batch_size", 1, 100}}, .factors = {1.001}});
  CHECK(p.hyperparameters(2).lr == 0.25f);  // 0.3 is clipped
  CHECK(p.hyperparameters(2).batch_size == 65);
  CHECK(bytes(p, 2) == before);
  for (const char* wrong : {"lr_", "nesterov", "batch_size"})
    CHECK_THROWS_AS(p.perturb({0, 2}, {.ranges = {{"lr", 0.1, 0.1}, {wrong, 0, 0.5}}}), InvalidArgument);
  CHECK_THROWS_AS(p.perturb({0}, {.ranges = {{"lr", 0.1, 0.1}, {"lr", 0.1, 0.1}}}), InvalidArgument);
  CHECK_THROWS_AS(p.perturb({0}, {.ranges = {{"momentum", 0, 1}}}), InvalidArgument);
  CHECK_THROWS_AS(p.cross_hyperparameters({0, 0}, {1, 1}, {2, 2}, 0.5), InvalidArgument);
  CHECK(p.hyperparameters(0).lr == 0.2f);
}

TEST_CASE("an empty population trains to nothing") {
  const Toy toy(40, 5);
  Population p({5}, Optimizer::sgd, Loss::cross_entropy);
  CHECK(fit(p, toy.classes(), 5).empty());
}

TEST_CASE("this machine has a device") {
  REQUIRE(!devices().empty());
  CHECK(devices().back().name == "cpu");
  CHECK(devices().back().cores >= 1);
  CHECK_FALSE(instruction_sets().empty());
}
