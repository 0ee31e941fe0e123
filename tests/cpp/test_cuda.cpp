// The GPU engine, emulated: against the CPU engine, and its own contract: teams, order and company change no bit.
#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include <cuda_runtime.h>
#include "kernels/product_cuda.h"
#include "kernels/rows_cuda.h"
#include "members.h"
#include "pictures.h"
#include "shoal/error.h"
#include "shoal/population.h"

using namespace shoal;
using namespace shoal::test;

namespace {

Population population(const Shape& shape, Precision precision, EngineKind engine = EngineKind::automatic) {
  const Options options{.seed = 3, .threads = 1, .device = "cuda:0", .precision = precision, .engine = engine};
  return Population(shape, Optimizer::sgd, Loss::cross_entropy, options);
}

// Largest difference of two states' floats; counters must agree.
double difference(const Bytes& a, const Bytes& b) {
  REQUIRE(a.size() == b.size());
  REQUIRE(std::memcmp(a.data(), b.data(), sizeof(Counters)) == 0);
  double most = 0;
  for (std::size_t i = 64; i < a.size(); i += sizeof(float)) {
    float x, y;
    std::memcpy(&x, a.data() + i, sizeof x);
    std::memcpy(&y, b.data() + i, sizeof y);
    const double error = std::abs(x - y) / (1 + std::abs(x));
    most = error <= most ? most : std::isnan(error) ? INFINITY : error;
  }
  return most;
}

constexpr double kClose = 1e-4;

}  // namespace

TEST_CASE("cuda: members begin with the CPU's bits") {
  Population cpu = population("cpu", {9, 8, 3}, Optimizer::adam),
             gpu = population("cuda:0", {9, 8, 3}, Optimizer::adam);
  std::vector<Network> all = networks();
  for (const Initializer how : {Initializer::he, Initializer::xavier, Initializer::normal, Initializer::uniform})
    all.push_back({{layer::conv2d(5, 3, 1, Padding::same(), how), layer::dense(7, how, 0.3f), layer::dense(2)}});
  std::uint32_t id = 100;
  for (const Network& network : all) {
    for (Population* p : {&cpu, &gpu}) p->add(network, rates(0.1f, 8), id);
    CHECK(state(gpu, gpu.size() - 1) == state(cpu, cpu.size() - 1));
    ++id;
  }
}

TEST_CASE("cuda: every network trains as on the CPU") {
  const Pictures pictures(41, {9, 8, 3});
  for (const Network& network : networks()) {
    for (const std::int64_t batch : {8, 40}) {
      CAPTURE(network.layers.size());
      CAPTURE(batch);
      Population cpu = population("cpu", pictures.shape), gpu = population("cuda:0", pictures.shape);
      for (Population* p : {&cpu, &gpu}) p->add(network, rates(0.02f, batch), 4);
      const std::vector<double> want = fit(cpu, pictures.classes(), 5, 2), got = fit(gpu, pictures.classes(), 5, 2);
      for (std::size_t i = 0; i < want.size(); ++i) CHECK(got[i] == doctest::Approx(want[i]).epsilon(1e-4));
      CHECK(difference(state(gpu, 0), state(cpu, 0)) < kClose);
    }
  }
}

TEST_CASE("cuda: every optimiser, loss and activation steps as on the CPU") {
  const Pictures pictures(30, {5, 4});
  for (const Optimizer optimizer :
       {Optimizer::sgd, Optimizer::adam, Optimizer::adamw, Optimizer::rmsprop, Optimizer::adagrad}) {
    for (const Loss loss : {Loss::cross_entropy, Loss::mse}) {
      CAPTURE(static_cast<int>(optimizer));
      CAPTURE(static_cast<int>(loss));
      Population cpu = population("cpu", pictures.shape, optimizer, loss);
      Population gpu = population("cuda:0", pictures.shape, optimizer, loss);
      std::uint32_t id = 0;
      for (const Layer& activation :
           {layer::relu(), layer::leaky_relu(0.1f), layer::sigmoid(), layer::tanh(), layer::flatten()}) {
        Hyperparameters h = rates(0.01f, 16);
        h.epsilon = 1e-3f;  // so that a gradient near zero is not divided by its own size
        h.nesterov = optimizer == Optimizer::sgd && id % 2 == 0;
        h.decay = 0.01f;
        h.lr_decay = 0.9f;
        h.decay_every = 2;
        const Network network{{layer::dense(40), activation, layer::dropout(0.3f), layer::dense(2)}};
        for (Population* p : {&cpu, &gpu}) p->add(network, h, id);
        ++id;
      }
      fit(cpu, pictures.data(loss), 5);
      fit(gpu, pictures.data(loss), 5);
      for (std::int64_t row = 0; row < cpu.size(); ++row) CHECK(difference(state(gpu, row), state(cpu, row)) < kClose);
    }
  }
}

// Alone a member has all blocks, in company one; the fibers' order changes; and the parameters are on chip or not.
TEST_CASE("cuda: teams, company, quanta and the order of threads do not change a bit") {
  const Pictures pictures(150, {9, 8, 3});
  for (const Network& network : {lenet(), vectors(), tiny()}) {
    CAPTURE(network.layers.size());
    const auto alone = [&](const std::vector<std::int64_t>& quanta) {
      Population p = population("cuda:0", pictures.shape);
      p.add(network, rates(0.05f, 64), 9);
      for (const std::int64_t steps : quanta) fit(p, pictures.classes(), steps);
      return state(p, 0);
    };
    const Bytes want = alone({4});
    emulation::seed = 2;
    CHECK(alone({1, 3}) == want);
    Population p = population("cuda:0", pictures.shape);
    for (std::uint32_t i = 0; i < 5; ++i) p.add(i % 2 ? lenet() : vectors(), rates(0.01f, 20 + i), 50 + i);
    const std::int64_t row = p.add(network, rates(0.05f, 64), 9);
    fit(p, pictures.classes(), 4);
    CHECK(state(p, row) == want);
    emulation::seed = 1;
  }
}

// A small block has a tiny member for itself; the fewer members there are, the more warps it has.
TEST_CASE("cuda: the warps that a tiny member has do not change a bit") {
  const Pictures pictures(90, {5, 4});
  const Network network{{layer::dense(21), layer::tanh(), layer::dropout(0.2f), layer::dense(9, {}, 1, false),
                         layer::relu(), layer::dense(2)}};
  const auto trained = [&](std::int64_t batch, std::uint32_t company, std::uint64_t seed) {
    emulation::seed = seed;
    Population p = population("cuda:0", pictures.shape, Optimizer::adam);
    for (std::uint32_t i = 0; i < company; ++i) p.add(network, rates(0.01f, 10 + i), 50 + i);
    const std::int64_t row = p.add(network, rates(0.01f, batch), 9);
    fit(p, pictures.classes(), 5);
    emulation::seed = 1;
    return std::pair(state(p, row), blockDim.x);
  };
  for (const std::int64_t batch : {1, 40, 64}) {
    CAPTURE(batch);
    Population cpu = population("cpu", pictures.shape, Optimizer::adam);
    cpu.add(network, rates(0.01f, batch), 9);
    fit(cpu, pictures.classes(), 5);
    const auto [want, threads] = trained(batch, 0, 1);
    CHECK(threads == 256);
    CHECK(difference(want, state(cpu, 0)) < kClose);
    CHECK(trained(batch, 5, 2) == std::pair(want, 128u));
    CHECK(trained(batch, 11, 3) == std::pair(want, 64u));
    CHECK(trained(batch, 19, 4) == std::pair(want, batch > 32 ? 64u : 32u));  // of the larger batch no more fit
  }
}

TEST_CASE("cuda: a tiny member whose batch does not fit on chip is trained like others") {
  const Pictures pictures(1500, {5, 4});
  const Network network{{layer::dense(21), layer::tanh(), layer::dense(2)}};
  for (const std::int64_t batch : {600, 1500}) {
    Population cpu = population("cpu", pictures.shape), gpu = population("cuda:0", pictures.shape);
    for (Population* p : {&cpu, &gpu}) p->add(network, rates(0.02f, batch), 4);
    fit(cpu, pictures.classes(), 2);
    fit(gpu, pictures.classes(), 2);
    CHECK(difference(state(gpu, 0), state(cpu, 0)) < kClose);
    CHECK(gridDim.x == (batch == 600 ? 1 : 4));
  }
}

TEST_CASE("cuda: a team waits in hardware where a GPU has clusters, and comes to the same bits without") {
  const Pictures pictures(70, {9, 8, 3});
  const auto trained = [&](int capability, int compiled_for, std::uint64_t seed) {
    emulation::capability = {capability, 0}, emulation::compiled_for = compiled_for, emulation::seed = seed;
    Population p = population("cuda:0", pictures.shape);
    p.add(lenet(), rates(0.05f, 64), 9);
    fit(p, pictures.classes(), 3);
    std::vector<float> losses(1), metrics(1);
    p.evaluate(pictures.classes(), {0}, losses.data(), metrics.data());
    emulation::capability = {9, 0}, emulation::compiled_for = 90, emulation::seed = 1;
    return std::pair(state(p, 0), losses);
  };
  const int before = emulation::cluster_launches;
  const auto want = trained(8, 80, 1);
  CHECK(trained(9, 80, 1) == want);  // by code that knows of no clusters
  CHECK(emulation::cluster_launches == before);
  for (const std::uint64_t seed : {1, 2, 3}) CHECK(trained(9, 90, seed) == want);
  CHECK(emulation::cluster_launches == before + 6);  // to train and to evaluate
}

// tests/gpu compares tf32 and bf16 with a reference that rounds alike.
TEST_CASE("cuda: with three products of TF32 every network trains as on the CPU") {
  const Pictures pictures(41, {9, 8, 3});
  for (const Network& network : networks()) {
    CAPTURE(network.layers.size());
    Population cpu = population("cpu", pictures.shape), gpu = population(pictures.shape, Precision::tf32x3);
    for (Population* p : {&cpu, &gpu}) p->add(network, rates(0.02f, 40), 4);
    fit(cpu, pictures.classes(), 3);
    fit(gpu, pictures.classes(), 3);
    CHECK(difference(state(gpu, 0), state(cpu, 0)) < kClose);
  }
}

TEST_CASE("cuda: at every precision, teams, company, engine and the order of threads do not change a bit") {
  const Pictures pictures(40, {9, 8, 3});
  Bytes before;
  for (const Precision precision : {Precision::fp32, Precision::tf32, Precision::bf16, Precision::tf32x3}) {
    CAPTURE(static_cast<int>(precision));
    const auto trained = [&](EngineKind engine, std::uint32_t company, std::uint64_t seed) {
      emulation::seed = seed;
      Population p = population(pictures.shape, precision, engine);
      for (std::uint32_t i = 0; i < company; ++i) p.add(tiny(), rates(0.01f, 20 + i), 50 + i);
      const std::int64_t row = p.add(lenet(), rates(0.05f, 35), 9);
      fit(p, pictures.classes(), 2);
      emulation::seed = 1;
      return state(p, row);
    };
    const Bytes want = trained(EngineKind::teams, 0, 1);
    CHECK(trained(EngineKind::resident, 0, 2) == want);
    CHECK(trained(EngineKind::automatic, 4, 3) == want);
    CHECK(trained(EngineKind::teams, 4, 4) == want);
    CHECK(want != before);
    before = want;
  }
}

// A block's shared memory is for tiles of products, and for a member that stays on chip.
TEST_CASE("cuda: the engine is chosen by member and call, or by the option") {
  using Launches = std::vector<std::size_t>;  // each one's bytes of shared memory
  constexpr std::size_t kProducts = cuda::kProductFloats * sizeof(float);
  const Pictures pictures(40, {10, 10});
  const auto network = [](std::int64_t units) { return Network{{layer::dense(units), layer::dense(2)}}; };
  const auto launched = [&](EngineKind engine, const std::vector<std::int64_t>& units) {
    Population p = population(pictures.shape, Precision::fp32, engine);
    for (const std::int64_t each : units) p.add(network(each), rates(0.01f, 20), static_cast<std::uint32_t>(each));
    emulation::shared_bytes_of_launches.clear();
    fit(p, pictures.classes(), 1);
    return std::exchange(emulation::shared_bytes_of_launches, {});
  };
  // Weights, biases and their momentum, in rows of 16 floats: 112 for 100 inputs.
  const auto with_member = [](std::size_t units) {
    const auto padded = [](std::size_t length) { return (length + 15) / 16 * 16; };
    const std::size_t floats = units * 112 + padded(units) + 2 * padded(units) + 16;
    return kProducts + 2 * floats * sizeof(float);
  };
  const Launches in_memory{kProducts}, both{with_member(80), kProducts};
  CHECK(launched(EngineKind::automatic, {80, 64, 200}) == both);  // 200 would leave no room for another block
  CHECK(launched(EngineKind::automatic, {200, 200}) == in_memory);
  CHECK(launched(EngineKind::automatic, {80, 64}) == Launches{with_member(80)});
  CHECK(launched(EngineKind::automatic, {80}) == in_memory);  // fewer members than processors
  CHECK(launched(EngineKind::resident, {80, 64, 200}) == Launches{with_member(200)});
  CHECK(launched(EngineKind::resident, {80}) == Launches{with_member(80)});
  CHECK(launched(EngineKind::teams, {80, 64, 200}) == in_memory);
}

TEST_CASE("cuda: an engine or a precision that cannot be had is refused in one line") {
  const std::string limit = std::to_string(emulation::kSharedLimit - 9728 * sizeof(float));
  Population p = population({100}, Precision::fp32, EngineKind::resident);
  const auto network = [](std::int64_t units) { return Network{{layer::dense(units, {}, 1, false)}}; };
  p.add(network(200), rates(0.1f, 8), 0);  // 200 * 112 floats, and their momentum
  const std::string text = "its weights and optimiser state are 268800 bytes, engine \"resident\" takes " + limit +
                           " a member on emulated GPU; \"auto\" and \"teams\" take any";
  CHECK_THROWS_WITH_AS(p.add(network(300), rates(0.1f, 8), 1), text.c_str(), InvalidArgument);
  CHECK_THROWS_AS(p.reset(0, network(300), rates(0.1f, 8), 1), InvalidArgument);
  CHECK(p.size() == 1);
  population({100}, Precision::fp32, EngineKind::teams).add(network(300), rates(0.1f, 8), 1);

  const std::pair<int, int> before = std::exchange(emulation::capability, {7, 5});
  CHECK_THROWS_WITH_AS(population({4}, Precision::tf32),
                       "emulated GPU has compute capability 7.5; shoal needs 8.0 or newer, for every precision",
                       DeviceError);
  emulation::capability = before;
  CHECK_THROWS_WITH_AS(Population({4}, Optimizer::sgd, Loss::mse, {.precision = Precision::bf16}),
                       "precision: the CPU computes in fp32 alone", InvalidArgument);
  CHECK_THROWS_AS(Population({4}, Optimizer::sgd, Loss::mse, {.engine = EngineKind::teams}), InvalidArgument);
}

TEST_CASE("cuda: augmented images, shared order and float inputs train as on the CPU") {
  const Pictures pictures(37, {7, 6, 2});
  for (const Loss loss : {Loss::cross_entropy, Loss::mse}) {
    Population cpu = population("cpu", pictures.shape, Optimizer::sgd, loss, DataOrder::shared);
    Population gpu = population("cuda:0", pictures.shape, Optimizer::sgd, loss, DataOrder::shared);
    Hyperparameters h = rates(0.02f, 16);
    h.augment_pad = 2;
    h.augment_flip = true;
    const Network network{{layer::conv2d(4, 3), layer::relu(), layer::dense(2)}};
    for (Population* p : {&cpu, &gpu}) p->add(network, h, 11);
    fit(cpu, pictures.data(loss), 6);
    fit(gpu, pictures.data(loss), 6);
    CHECK(difference(state(gpu, 0), state(cpu, 0)) < kClose);
  }
}

TEST_CASE("cuda: evaluation and prediction are the CPU's") {
  const Pictures pictures(300, {9, 8, 3});
  for (const Loss loss : {Loss::cross_entropy, Loss::mse}) {
    Population cpu = population("cpu", pictures.shape, Optimizer::sgd, loss);
    Population gpu = population("cuda:0", pictures.shape, Optimizer::sgd, loss);
    std::uint32_t id = 0;
    for (const Network& network : networks()) {
      for (Population* p : {&cpu, &gpu}) p->add(network, rates(0.01f, 32), id);
      ++id;
    }
    fit(cpu, pictures.data(loss), 2);
    for (std::int64_t row = 0; row < cpu.size(); ++row) gpu.write_state(row, state(cpu, row).data());
    const std::vector<std::int64_t> rows{4, 0, 2, 1, 3};
    std::vector<float> want(5), got(5), right(5), accuracy(5), outputs(600), predicted(600);
    cpu.evaluate(pictures.data(loss), rows, want.data(), right.data());
    gpu.evaluate(pictures.data(loss), rows, got.data(), accuracy.data());
    for (std::size_t i = 0; i < 5; ++i) CHECK(got[i] == doctest::Approx(want[i]).epsilon(1e-5));
    if (loss == Loss::cross_entropy) CHECK(accuracy == right);
    cpu.predict(pictures.data(loss), 1, outputs.data());
    gpu.predict(pictures.data(loss), 1, predicted.data());
    for (std::size_t i = 0; i < outputs.size(); ++i) CHECK(predicted[i] == doctest::Approx(outputs[i]).epsilon(1e-4));
  }
}

TEST_CASE("cuda: a copy is the donor byte for byte, also in a swap; a state moves between devices") {
  const Pictures pictures(30, {5, 4});
  const Network network{{layer::dense(20), layer::tanh(), layer::dense(2)}};
  Population gpu = population("cuda:0", pictures.shape, Optimizer::adam);
  for (std::uint32_t id = 0; id < 3; ++id) gpu.add(network, rates(0.001f, 10), id);
  fit(gpu, pictures.classes(), 5);
  const Bytes first = state(gpu, 0), second = state(gpu, 1);
  gpu.copy({0, 1}, {1, 0});
  CHECK(state(gpu, 0) == second);
  CHECK(state(gpu, 1) == first);
  gpu.copy({0, 0}, {1, 2});
  CHECK(state(gpu, 2) == second);
  CHECK(gpu.counters(2).step == 5);

  Population cpu = population("cpu", pictures.shape, Optimizer::adam);
  cpu.add(network, rates(0.001f, 10), 1);
  cpu.write_state(0, second.data());
  CHECK(state(cpu, 0) == second);
  CHECK(cpu.counters(0).step == 5);
}

TEST_CASE("cuda: an heir of another structure inherits as on the CPU") {
  const Pictures pictures(20, {6, 5, 2});
  const auto network = [](std::int64_t units) {
    return Network{{layer::conv2d(3, 3), layer::batch_norm(), layer::relu(), layer::dense(units), layer::dense(2)}};
  };
  Population gpu = population("cuda:0", {6, 5, 2}, Optimizer::adam),
             cpu = population("cpu", {6, 5, 2}, Optimizer::adam);
  for (Population* p : {&gpu, &cpu}) {
    p->add(network(4), rates(0.01f, 16), 1);
    p->add(network(5), rates(0.01f, 16), 2);
  }
  fit(gpu, pictures.classes(), 2);
  cpu.write_state(0, state(gpu, 0).data());
  const auto inherited = [](Population& p) {
    std::vector<bool> layers;
    for (const InheritedLayer& layer : p.inherit(0, 1)) layers.push_back(layer.inherited);
    return layers;
  };
  CHECK(inherited(gpu) == std::vector<bool>{true, true, false, false});
  CHECK(inherited(cpu) == std::vector<bool>{true, true, false, false});
  CHECK(state(gpu, 1) == state(cpu, 1));
}

TEST_CASE("cuda: heirs of two parents and disturbed members have the CPU's bits") {
  const Pictures pictures(30, {6, 5, 2});
  const Network network{{layer::conv2d(20, 3), layer::batch_norm(), layer::relu(), layer::flatten(), layer::dense(33),
                         layer::tanh(), layer::dense(2)}};
  Population cpu = population("cpu", pictures.shape, Optimizer::adam);
  Population gpu = population("cuda:0", pictures.shape, Optimizer::adam);
  for (std::uint32_t id = 0; id < 5; ++id) {
    cpu.add(network, rates(0.001f, 10), 7 * id);
    gpu.add(network, rates(0.001f, 10), 7 * id);
  }
  fit(cpu, pictures.classes(), 3);
  for (std::int64_t row = 0; row < 5; ++row) gpu.write_state(row, state(cpu, row).data());
  for (Population* p : {&cpu, &gpu}) {
    p->crossover({0, 1, 3}, {1, 2, 4}, {0, 0, 1}, 0.25);
    p->mutate({2, 3}, 0.5);
    p->copy({2, 3}, {3, 4});
  }
  for (std::int64_t row = 0; row < 5; ++row) CHECK(state(gpu, row) == state(cpu, row));
  CHECK(state(cpu, 3) != state(cpu, 4));
  CHECK_THROWS_AS(gpu.crossover({0, 0}, {1, 1}, {2, 2}, 0.5), InvalidArgument);
}

TEST_CASE("cuda: an exploit of the whole population is one transfer and one launch") {
  const Network network{{layer::dense(20), layer::tanh(), layer::dense(2)}};
  Population p = population("cuda:0", {5, 4}, Optimizer::adam);
  std::vector<std::int64_t> rows, next, last;
  for (std::uint32_t id = 0; id < 12; ++id) {
    rows.push_back(p.add(network, rates(0.01f, 8), id));
    next.push_back((rows.back() + 1) % 12);
    last.push_back((rows.back() + 11) % 12);
  }
  struct Count {
    int launches = emulation::launches, copies = emulation::copies;
    void check() const {
      CHECK(emulation::launches - launches == 1);
      CHECK(emulation::copies - copies == 1);
    }
  };
  const Bytes first = state(p, 0);
  Count at_first;
  p.copy({9, 10, 11}, {0, 1, 2});
  at_first.check();
  CHECK(state(p, 0) == state(p, 9));
  Count in_a_circle;
  p.copy(rows, next);  // each is a parent and an heir
  in_a_circle.check();
  CHECK(state(p, 1) == state(p, 10));
  CHECK(state(p, 0) != first);
  Count crossed;
  p.crossover(rows, next, last, 0.5);
  crossed.check();
  Count mutated;
  p.mutate(rows, 0.1);
  mutated.check();
}

// The barrier between the copies of parents and the heirs is needed: without it an heir may read what is not there yet.
TEST_CASE("cuda: parents are kept before any heir is written") {
  constexpr std::int64_t kFloats = 64;
  const auto swapped = [&](std::int64_t saves) {
    alignas(16) float a[kFloats], b[kFloats], one[kFloats], two[kFloats];
    std::fill_n(a, kFloats, 1.0f);
    std::fill_n(b, kFloats, 2.0f);
    std::fill_n(one, kFloats, 0.0f);
    std::fill_n(two, kFloats, 0.0f);
    const auto row = [&](const float* from, float* to) { return CrossRows{from, from, to, kFloats, 1, 0, {}, 0}; };
    const CrossRows rows[] = {row(a, one), row(b, two), row(two, a), row(one, b)};
    unsigned arrivals = 0;
    const cuda::CrossLaunch launch{rows, saves, 4, 1, &arrivals};
    emulation::launch(dim3(4), dim3(cuda::kThreads), 0, [&] { cuda::cross_kernel(launch); });
    return a[5] == 2 && b[5] == 1;
  };
  int wrong = 0;
  for (emulation::seed = 1; emulation::seed < 9; ++emulation::seed) {
    CHECK(swapped(2));
    wrong += !swapped(0);
  }
  emulation::seed = 1;
  CHECK(wrong > 0);
}

TEST_CASE("cuda: a member that diverges stops, and the others do not notice") {
  const Pictures pictures(40, {5, 4});
  const Network network{{layer::dense(8), layer::relu(), layer::dense(2)}};
  Population calm = population("cuda:0", pictures.shape, Optimizer::sgd, Loss::mse);
  Population mixed = population("cuda:0", pictures.shape, Optimizer::sgd, Loss::mse);
  for (std::uint32_t id = 0; id < 3; ++id) {
    calm.add(network, rates(0.01f, 16), id);
    mixed.add(network, rates(id == 1 ? 1e20f : 0.01f, 16), id);
  }
  fit(calm, pictures.values(), 6);
  const std::vector<double> losses = fit(mixed, pictures.values(), 6);
  CHECK(std::isnan(losses[1]));
  CHECK(mixed.counters(1).diverged);
  CHECK(mixed.counters(1).step < 6);
  for (const std::int64_t row : {0, 2}) CHECK(state(mixed, row) == state(calm, row));
}
