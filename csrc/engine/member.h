// One network being trained: its program, its hyperparameters, and one block of memory with all that training changes.
#pragma once

#include <cstdint>
#include <memory>

#include "core/buffer.h"
#include "core/rng.h"
#include "engine/program.h"
#include "kernels/initial.h"
#include "kernels/update.h"
#include "shoal/optimizer.h"
#include "shoal/population.h"

namespace shoal {

// Start of a block; parameters follow, then the optimiser's slots, each as long as the parameters.
struct alignas(kAlignment) BlockHeader {
  Counters counters;
};

struct Member {
  std::shared_ptr<const Program> program;
  std::shared_ptr<Buffer> block;      // counters, and behind them the floats unless a GPU has them
  std::shared_ptr<std::byte> device;  // the floats on a GPU; else null
  std::int64_t floats = 0;            // parameters and slots
  Hyperparameters hyperparameters;    // dropout: one rate per dropout layer
  PhiloxKey key{};

  Counters& counters() const { return reinterpret_cast<BlockHeader*>(block->data())->counters; }
  float* parameters() const {
    return reinterpret_cast<float*>(device ? device.get() : block->data() + sizeof(BlockHeader));
  }
  std::int64_t bytes() const {
    return static_cast<std::int64_t>(sizeof(BlockHeader)) + floats * static_cast<std::int64_t>(sizeof(float));
  }
};

// A member that has no block yet.
Member outline(std::shared_ptr<const Program> program, Optimizer optimizer, const Hyperparameters& hyperparameters,
               PhiloxKey key);

// What its parameters begin with; all else is zero.
std::vector<InitialWeights> initial_layers(const Member& member);
void draw(Member& member);  // those of a block of zeros in the host's memory

// The hyperparameters with every dropout rate filled in; throws InvalidArgument where one is out of its range.
Hyperparameters checked(const Hyperparameters& hyperparameters, const Program& program);

}  // namespace shoal
