// Populations of convolutional networks: determinism, learning and edges.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "members.h"
#include "pictures.h"
#include "shoal/error.h"
#include "shoal/population.h"

using namespace shoal;
using namespace shoal::test;

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

// ---- learning and edges

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
