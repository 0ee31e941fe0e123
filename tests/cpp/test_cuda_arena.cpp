// Where a GPU keeps members, on an emulated one: how often memory is taken from it, what becomes of what is given back,
// and what is left when there is too little.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include <cuda_runtime.h>
#include "engine/cuda_arena.h"

using namespace shoal;
using cuda::Arena;

namespace {

constexpr std::size_t kKilo = 1024;

}  // namespace

TEST_CASE("arena: one by one, thousands are a dozen allocations") {
  const auto arena = std::make_shared<Arena>();
  const int mallocs = emulation::mallocs;
  std::vector<std::shared_ptr<std::byte>> blocks;
  for (int i = 0; i < 4000; ++i) blocks.push_back(arena->take(17 * kKilo));
  CHECK(emulation::mallocs - mallocs <= 15);  // 11 to 16 MB, then 32 MB each
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
