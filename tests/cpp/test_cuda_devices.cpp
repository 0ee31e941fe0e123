// GPUs as devices, emulated: several of them, a driver that is not there or too old, memory that is short or another's.
#include <doctest/doctest.h>

#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <cuda_runtime.h>
#include "core/cuda.h"
#include "members.h"
#include "pictures.h"
#include "shoal/device.h"
#include "shoal/error.h"
#include "shoal/population.h"

using namespace shoal;
using namespace shoal::test;

namespace {

struct TwoGpus {
  int before = std::exchange(emulation::devices, 2);
  ~TwoGpus() { emulation::devices = before; }
};

}  // namespace

TEST_CASE("cuda: a member is copied through the device's memory and through pinned memory") {
  const Pictures pictures(40, {5, 4});
  const Network network{{layer::dense(8), layer::relu(), layer::dense(2)}};
  Population p = population("cuda:0", pictures.shape, Optimizer::adam, Loss::mse);
  for (std::uint32_t id = 0; id < 3; ++id) p.add(network, rates(0.01f, 16), id);
  p.fit(pictures.values(), {3, 0, 0}, 3, std::vector<double>(3).data());
  const auto size = static_cast<std::size_t>(p.state_bytes(0));
  const std::size_t before = emulation::memory_used;
  {
    const std::shared_ptr<std::byte> block = device_memory(0, size), pinned = pinned_memory(0, size);
    CHECK(emulation::memory_used == before + size);
    p.read_state(0, block.get());
    p.write_state(1, block.get());
    p.read_state(1, pinned.get());
    p.write_state(2, pinned.get());
    for (const std::int64_t row : {1, 2}) CHECK(state(p, row) == state(p, 0));
    CHECK(p.counters(2).step == 3);
    reinterpret_cast<Counters*>(block.get())->step = -1;
    CHECK_THROWS_AS(p.write_state(1, block.get()), InvalidArgument);
    CHECK(p.counters(1).step == 3);
  }
  CHECK(emulation::memory_used == before);
  CHECK_THROWS_AS(device_memory(7, size), DeviceError);
  CHECK_THROWS_AS(device_memory(0, emulation::memory_limit), std::bad_alloc);
  CHECK_THROWS_AS(make_current(7), DeviceError);
}

TEST_CASE("cuda: devices are told apart by UUID") {
  const TwoGpus two;
  const std::vector<Device> all = devices();
  REQUIRE(all.size() == 3);
  CHECK(all[0].uuid == "e0000102-0304-0506-0708-090a0b0cfe00");
  CHECK(all[1].uuid == "e0000102-0304-0506-0708-090a0b0cfe01");
  CHECK(all[2].uuid.empty());
}

TEST_CASE("cuda: a population on one GPU leaves the others alone") {
  const TwoGpus two;
  const Pictures pictures(40, {5, 4});
  const Network network{{layer::dense(8), layer::relu(), layer::dense(2)}};
  const auto use_the_second = [&] {
    Population p = population("cuda:1", pictures.shape, Optimizer::adam, Loss::mse);
    for (std::uint32_t id = 0; id < 2; ++id) p.add(network, rates(0.01f, 16), id);
    fit(p, pictures.values(), 3);
    p.copy({0}, {1});
    for (const auto& block : {device_memory(1, state(p, 0).size()), pinned_memory(1, state(p, 0).size())}) {
      emulation::current_device() = 0;  // as in a thread that has only begun
      p.read_state(0, block.get());
      emulation::current_device() = 0;
      p.write_state(1, block.get());
    }
  };
  emulation::current_device() = 0;
  emulation::contexts().clear();
  use_the_second();
  CHECK(emulation::contexts() == std::set<int>{1});

  std::optional<Population> p(population("cuda:1", pictures.shape));
  auto pinned = pinned_memory(1, 100);
  std::thread([&] { p.reset(), pinned.reset(); }).join();  // which comes from the first GPU
  CHECK(emulation::contexts() == std::set<int>{1});

  emulation::contexts().insert(0);  // another library's
  emulation::current_device() = 0;
  use_the_second();
  CHECK(emulation::current_device() == 0);
}

TEST_CASE("cuda: one process trains on two GPUs, in turns or at once") {
  const TwoGpus two;
  const Pictures pictures(40, {9, 8, 3});
  const auto fresh = [&](const std::string& device) {
    Population p = population(device, pictures.shape);
    p.add(lenet(), rates(0.05f, 16), 7);
    for (std::uint32_t id = 0; id < 3; ++id) p.add(vectors(), rates(0.05f, 16), id);
    return p;
  };
  const auto evaluated = [&](Population& p) {
    std::vector<float> losses(4), metrics(4);
    p.evaluate(pictures.classes(), {0, 1, 2, 3}, losses.data(), metrics.data());
    return losses;
  };
  Population alone = fresh("cuda:0");
  fit(alone, pictures.classes(), 2);
  fit(alone, pictures.classes(), 3);
  const std::vector<float> losses = evaluated(alone);
  const auto check = [&](Population& p) {
    CHECK(evaluated(p) == losses);
    for (std::int64_t row = 0; row < 4; ++row) CHECK(state(p, row) == state(alone, row));
  };

  Population first = fresh("cuda:0"), second = fresh("cuda:1");
  for (const std::int64_t steps : {2, 3}) {
    for (Population* p : {&second, &first}) fit(*p, pictures.classes(), steps);
  }
  for (Population* p : {&first, &second}) check(*p);

  Population one = fresh("cuda:0"), other = fresh("cuda:1");
  std::vector<std::thread> threads;
  for (Population* p : {&one, &other}) {
    threads.emplace_back([&pictures, p] {
      for (const std::int64_t steps : {2, 3}) fit(*p, pictures.classes(), steps);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (Population* p : {&one, &other}) check(*p);

  // A member goes to the other GPU, through the memory of either one and through the host's.
  const auto size = static_cast<std::size_t>(second.state_bytes(1));
  second.mutate({1}, 0.5);
  const Bytes moved = state(second, 1);
  std::int64_t row = 1;
  for (const auto& block : {device_memory(0, size), device_memory(1, size), pinned_memory(0, size)}) {
    second.read_state(1, block.get());
    first.write_state(row, block.get());
    CHECK(state(first, row++) == moved);
  }
}

TEST_CASE("cuda: data in the memory of one GPU train members on another") {
  const TwoGpus two;
  const Pictures pictures(40, {5, 4});
  const Network network{{layer::dense(8), layer::relu(), layer::dense(2)}};
  const auto trained = [&](const std::string& device, const Dataset& data) {
    Population p = population(device, pictures.shape, Optimizer::sgd, Loss::mse);
    p.add(network, rates(0.01f, 16), 1);
    fit(p, data, 3);
    return state(p, 0);
  };
  const Bytes want = trained("cuda:0", pictures.values());
  Dataset data = pictures.values();
  const cuda::Current current(1);
  const cuda::Memory x(pictures.x.size() * sizeof(float)), targets(pictures.targets.size() * sizeof(float));
  std::memcpy(x.data(), pictures.x.data(), x.size());
  std::memcpy(targets.data(), pictures.targets.data(), targets.size());
  data.x_f32 = x.as<float>();
  data.targets = targets.as<float>();
  for (const char* device : {"cuda:0", "cuda:1"}) CHECK(trained(device, data) == want);
}

TEST_CASE("cuda: a driver that is too old, or is not there, is named with what to do") {
  const auto refused = [&](int driver, int runtime, int gpus) {
    const int before[] = {emulation::driver, emulation::runtime, emulation::devices};
    emulation::driver = driver, emulation::runtime = runtime, emulation::devices = gpus;
    std::string text;
    try {
      population("cuda:0", {4});
    } catch (const DeviceError& error) {
      text = error.what();
    }
    const std::vector<Device> all = devices();
    CHECK(all.back().name == "cpu");
    CHECK(why_no_gpu().empty() == (all.size() > 1));
    if (all.size() == 1) CHECK(text == "there is no device \"cuda:0\": " + why_no_gpu());
    emulation::driver = before[0], emulation::runtime = before[1], emulation::devices = before[2];
    return text;
  };
  const std::string older =
      "and this build of shoal is for CUDA 13.1: update the driver, or build shoal with an older CUDA toolkit";
  CHECK(refused(12040, 13010, 1) == "there is no device \"cuda:0\": the NVIDIA driver is for CUDA 12.4, " + older);
  CHECK(refused(0, 13000, 1) == "there is no device \"cuda:0\": no NVIDIA driver was found");
  CHECK(refused(13000, 13000, 0) ==
        "there is no device \"cuda:0\": the NVIDIA driver finds no GPU: see nvidia-smi and CUDA_VISIBLE_DEVICES");
  CHECK(refused(13000, 13010, 1).empty());  // one that is compiled for
  const std::pair<int, int> before = std::exchange(emulation::capability, {10, 0});
  CHECK(refused(13010, 13010, 1).empty());
  CHECK(refused(13000, 13010, 1) == "looking at a kernel: the NVIDIA driver is for CUDA 13.0, " + older);
  emulation::capability = before;
}

TEST_CASE("cuda: a device that is not there, and memory that is not") {
  CHECK(devices().front().name == "cuda:0");
  CHECK(devices().back().name == "cpu");
  CHECK_THROWS_WITH_AS(population("cuda:7", {4}), "there is no device \"cuda:7\": the last one here is \"cuda:0\"",
                       DeviceError);
  CHECK_THROWS_AS(population("gpu", {4}), InvalidArgument);

  Population p = population("cuda:0", {64});
  const Network large{{layer::dense(512), layer::dense(2)}};
  p.add(large, rates(0.1f, 8), 0);
  const std::size_t before = std::exchange(emulation::memory_limit, emulation::memory_used + 1000);
  CHECK_THROWS_AS(p.add(large, rates(0.1f, 8), 1), std::bad_alloc);
  const Pictures pictures(20, {8, 8});
  CHECK_THROWS_AS(fit(p, pictures.classes(), 1), std::bad_alloc);
  emulation::memory_limit = before;
  CHECK(p.size() == 1);
  Population wide = population("cuda:0", {8, 8});
  wide.add({{layer::dense(1 << 21), layer::dense(2)}}, rates(0.1f, 8), 0);
  CHECK_THROWS_WITH_AS(fit(wide, pictures.classes(), 1), "dense1 is too large for a GPU: it has 2^26 weights or more",
                       InvalidArgument);
  fit(p, pictures.classes(), 1);
  CHECK(p.counters(0).step == 1);
}
