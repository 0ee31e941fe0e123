// Memory of a GPU for members' blocks. It comes from the device in slabs of many blocks, as each allocation may make the
// whole device wait; what is given back joins the gaps beside it, so that members of any other size find room there.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "core/cuda.h"

namespace shoal::cuda {

class Arena : public std::enable_shared_from_this<Arena> {
 public:
  // Is given back when its last owner is gone; that may outlive whoever has the arena.
  std::shared_ptr<std::byte> take(std::size_t bytes) {
    bytes = rounded(bytes);
    const std::scoped_lock lock(mutex_);
    auto block = std::make_shared<Block>(shared_from_this());  // what may throw comes before any change
    auto gap = first_gap(bytes);
    if (gap == gaps_.end()) gap = grow(bytes);
    block->range = cut(gap, bytes);
    const auto [slab, offset] = block->range.key();
    return {std::move(block), slab + offset};
  }

  // One slab for all that is to be taken soon, if the device has it in one piece.
  void reserve(std::size_t bytes) {
    const std::scoped_lock lock(mutex_);
    if (bytes == 0 || first_gap(bytes) != gaps_.end()) return;
    try {
      grow(bytes);
    } catch (const OutOfMemory&) {  // then blocks find room in gaps, or in smaller slabs
    }
  }

  // Slabs of which no block is taken go back to the device.
  void release() {
    const std::scoped_lock lock(mutex_);
    std::erase_if(slabs_, [&](const auto& slab) {
      const auto gap = gaps_.find({slab.first, 0});
      const std::size_t bytes = slab.second.size();
      if (gap == gaps_.end() || gap->second != bytes) return false;
      gaps_.erase(gap);
      held_ -= bytes;
      return true;
    });
  }

  // What a block takes: the next one begins where the device's own would.
  static std::size_t rounded(std::size_t bytes) {
    constexpr std::size_t kBegin = 256;
    return std::max(kBegin, (bytes + kBegin - 1) / kBegin * kBegin);
  }

 private:
  static constexpr std::size_t kLargeSlab = std::size_t{32} << 20;  // one cudaMalloc for 2000 members of 16 KB

  using Place = std::pair<std::byte*, std::size_t>;  // slab and offset: slabs may lie side by side, and are not one
  using Ranges = std::map<Place, std::size_t>;       // bytes from there on

  // A range that is taken keeps its node of the map, so that giving it back needs no memory.
  struct Block {
    std::shared_ptr<Arena> arena;
    Ranges::node_type range;

    explicit Block(std::shared_ptr<Arena> arena_) : arena(std::move(arena_)) {}
    ~Block() {
      if (range) arena->give_back(std::move(range));
    }
    Block(const Block&) = delete;
    Block& operator=(const Block&) = delete;
  };

  // The lowest: so the last slabs become free first.
  Ranges::iterator first_gap(std::size_t bytes) {
    return std::find_if(gaps_.begin(), gaps_.end(), [&](const auto& gap) { return gap.second >= bytes; });
  }

  // As much again as there is, up to a point; where memory is short, what is needed alone.
  Ranges::iterator grow(std::size_t bytes) {
    const std::size_t wish = std::max(bytes, std::min(held_, kLargeSlab));
    Memory slab = wish > bytes ? if_there_is(wish) : Memory();
    if (slab.size() == 0) slab = Memory(bytes);
    std::byte* const data = slab.data();
    const std::size_t size = slab.size();
    slabs_.emplace(data, std::move(slab));
    held_ += size;
    return gaps_.emplace(Place{data, 0}, size).first;
  }

  static Memory if_there_is(std::size_t bytes) {
    try {
      return Memory(bytes);
    } catch (const OutOfMemory&) {
      return {};
    }
  }

  Ranges::node_type cut(Ranges::iterator gap, std::size_t bytes) {
    const auto [slab, offset] = gap->first;
    if (gap->second > bytes) gaps_.emplace_hint(std::next(gap), Place{slab, offset + bytes}, gap->second - bytes);
    gap->second = bytes;
    return gaps_.extract(gap);
  }

  void give_back(Ranges::node_type range) noexcept {
    const std::scoped_lock lock(mutex_);
    const Place place = range.key();
    std::size_t& bytes = range.mapped();
    auto after = gaps_.lower_bound(place);
    if (after != gaps_.end() && joined(place, bytes, after->first)) {
      bytes += after->second;
      after = gaps_.erase(after);
    }
    if (after != gaps_.begin()) {
      auto& before = *std::prev(after);
      if (joined(before.first, before.second, place)) {
        before.second += bytes;
        return;
      }
    }
    gaps_.insert(after, std::move(range));
  }

  // Whether a range ends where the next one begins.
  static bool joined(Place place, std::size_t bytes, Place next) {
    return next == Place{place.first, place.second + bytes};
  }

  std::mutex mutex_;  // blocks are given back by whichever thread drops the last view of them
  std::map<std::byte*, Memory> slabs_;
  Ranges gaps_;
  std::size_t held_ = 0;  // bytes of all slabs
};

}  // namespace shoal::cuda
