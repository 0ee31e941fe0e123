// Where a GPU keeps members, on an emulated one: how often memory is taken from it, what becomes of what is given back,
// and what is left when there is too little.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <cuda_runtime.h>
#include "engine/cuda_arena.h"
#include "members.h"
#include "pictures.h"
#include "shoal/error.h"

using namespace shoal;
using namespace shoal::test;
using cuda::Arena;

namespace {

constexpr std::size_t kKilo = 1024;

Network network(std::int64_t units) { return {{layer::dense(units), layer::relu(), layer::dense(2)}}; }

std::vector<Newcomer> newcomers(std::uint32_t count, std::int64_t units = 20) {
  std::vector<Newcomer> all;
  for (std::uint32_t id = 0; id < count; ++id) all.push_back({network(units), rates(0.1f, 8), id});
  return all;
}

// Sets the memory that is left to members for as long as it lives.
class Left {
 public:
  explicit Left(std::size_t bytes) : before_(emulation::memory_limit) {
    emulation::memory_limit = emulation::memory_used + bytes;
  }
  ~Left() { emulation::memory_limit = before_; }
  Left(const Left&) = delete;
  Left& operator=(const Left&) = delete;

 private:
  std::size_t before_;
};

}  // namespace

TEST_CASE("arena: many members are one allocation, one transfer and one wait, and begin as on the CPU") {
  Population gpu = population("cuda:0", {5, 4}, Optimizer::adam), cpu = population("cpu", {5, 4}, Optimizer::adam);
  std::vector<Newcomer> mixed = newcomers(120);
  for (std::size_t i = 0; i < mixed.size(); i += 3) mixed[i].network = network(static_cast<std::int64_t>(i));
  mixed[0].network = network(1);
  const int mallocs = emulation::mallocs, copies = emulation::copies, waits = emulation::waits;
  gpu.add(mixed);
  CHECK(emulation::mallocs - mallocs == 2);  // the other for what is to be drawn
  CHECK(emulation::copies - copies == 1);
  CHECK(emulation::waits - waits == 1);
  cpu.add(mixed);
  REQUIRE(gpu.size() == 120);
  for (std::int64_t row = 0; row < 120; ++row) CHECK(state(gpu, row) == state(cpu, row));
  gpu.add({});
  CHECK(gpu.size() == 120);
}

TEST_CASE("arena: one by one, thousands are a dozen allocations") {
  const auto arena = std::make_shared<Arena>();
  const int mallocs = emulation::mallocs;
  std::vector<std::shared_ptr<std::byte>> blocks;
  for (int i = 0; i < 4000; ++i) blocks.push_back(arena->take(17 * kKilo));
  CHECK(emulation::mallocs - mallocs <= 15);  // 11 to 16 MB, then 32 MB each
}

TEST_CASE("arena: a row that is filled again and again takes no more memory") {
  Population p = population("cuda:0", {5, 4}, Optimizer::adam);
  p.add(newcomers(8));
  p.reset(0, network(20), rates(0.1f, 8), 9);  // for a moment there are nine
  const std::size_t used = emulation::memory_used;
  const int mallocs = emulation::mallocs;
  for (std::uint32_t id = 10; id < 30; ++id) p.reset(id % 8, network(1 + id % 20), rates(0.1f, 8), id);
  CHECK(emulation::memory_used == used);
  CHECK(emulation::mallocs == mallocs);
}

// Random blocks, each filled with its own number: that none overlaps another shows in what they hold.
TEST_CASE("arena: blocks of all sizes come and go, never overlap, and leave nothing behind") {
  const std::size_t before = emulation::memory_used;
  const auto arena = std::make_shared<Arena>();
  struct Block {
    std::shared_ptr<std::byte> data;
    std::size_t bytes;
    int number;
    bool whole() const {
      return std::all_of(data.get(), data.get() + bytes, [&](std::byte b) { return b == std::byte(number); });
    }
  };
  std::vector<Block> blocks;
  std::mt19937 random(7);
  std::size_t live = 0, most = 0;
  for (int i = 0; i < 3000; ++i) {
    if (blocks.size() > 100 || (blocks.size() > 1 && random() % 2)) {
      std::swap(blocks[random() % blocks.size()], blocks.back());
      CHECK(blocks.back().whole());
      live -= Arena::rounded(blocks.back().bytes);
      blocks.pop_back();
    }
    const std::size_t bytes = 1 + random() % (random() % 8 ? 2 * kKilo : 40 * kKilo);
    blocks.push_back({arena->take(bytes), bytes, i % 256});
    std::memset(blocks.back().data.get(), i % 256, bytes);
    CHECK(reinterpret_cast<std::uintptr_t>(blocks.back().data.get()) % 256 == 0);
    most = std::max(most, live += Arena::rounded(bytes));
  }
  CHECK(emulation::memory_used - before < 3 * most);
  arena->release();
  for (const Block& block : blocks) CHECK(block.whole());
  blocks.clear();
  arena->release();
  CHECK(emulation::memory_used == before);
}

TEST_CASE("arena: gaps beside each other make room for something larger") {
  const auto arena = std::make_shared<Arena>();
  arena->reserve(4 * kKilo);
  std::array<std::shared_ptr<std::byte>, 4> blocks;
  for (auto& block : blocks) block = arena->take(kKilo);
  const int mallocs = emulation::mallocs;
  for (const std::size_t i : {2, 0, 1}) blocks[i].reset();  // joins nothing, nothing, and both sides
  CHECK(arena->take(3 * kKilo).get() + 3 * kKilo == blocks[3].get());
  CHECK(emulation::mallocs == mallocs);
}

TEST_CASE("arena: slabs that are wholly free go back to the device") {
  const std::size_t before = emulation::memory_used;
  const auto arena = std::make_shared<Arena>();
  std::shared_ptr<std::byte> one = arena->take(kKilo), other = arena->take(kKilo);
  one.reset();
  CHECK(emulation::memory_used == before + 2 * kKilo);
  arena->release();
  CHECK(emulation::memory_used == before + kKilo);
  std::memset(other.get(), 1, kKilo);
}

TEST_CASE("arena: a block outlives the arena's owner") {
  const std::size_t before = emulation::memory_used;
  auto arena = std::make_shared<Arena>();
  std::shared_ptr<std::byte> block = arena->take(kKilo);
  arena.reset();
  std::memset(block.get(), 1, kKilo);
  block.reset();
  CHECK(emulation::memory_used == before);
}

TEST_CASE(
    "arena: where more members are wanted than fit, it says how many do, none is added, and the next call works") {
  const Pictures pictures(30, {5, 4});
  Population p = population("cuda:0", {5, 4}, Optimizer::adam);
  p.add(newcomers(2));
  const std::size_t block = Arena::rounded(state(p, 0).size() - 64), used = emulation::memory_used;
  const Bytes first = state(p, 0);
  {
    const Left left(7 * block + 2000);  // and for what is to be drawn
    const std::string needs = "7 of 9 fit into memory: out of memory: " + std::to_string(block) + " bytes asked for";
    CHECK_THROWS_WITH_AS(p.add(newcomers(9)), needs.c_str(), std::bad_alloc);
    CHECK(p.size() == 2);
    CHECK(emulation::memory_used <= used);
    p.add(newcomers(7));
    CHECK_THROWS_AS(p.add(newcomers(1)), std::bad_alloc);
    CHECK(p.size() == 9);
  }
  CHECK(state(p, 0) == first);
  fit(p, pictures.classes(), 1);
  CHECK(p.counters(8).step == 1);
}

TEST_CASE("arena: of many members the one that is wrong is named, and none is added") {
  for (const char* device : {"cpu", "cuda:0"}) {
    Population p = population(device, {5, 4}, Optimizer::adam);
    p.add(newcomers(2));
    std::vector<Newcomer> wrong = newcomers(3);
    wrong[1].hyperparameters.lr = -1;
    CHECK_THROWS_WITH_AS(p.add(wrong), "member 3: lr must be >= 0 and finite, got -1.000000", InvalidArgument);
    CHECK(p.size() == 2);
  }
}
