// A dataset checked and made ready for the kernels, and one batch of it on its way through a member's stages.
#pragma once

#include <cstdint>
#include <vector>

#include "core/buffer.h"
#include "core/thread_pool.h"
#include "engine/member.h"
#include "kernels/kernels.h"
#include "shoal/dataset.h"

namespace shoal {

// Hands out pieces of one block, each on a cache line. Without a block it only counts, so the same code measures
// and carves.
class Arena {
 public:
  explicit Arena(float* block = nullptr) : block_(block) {}
  float* take(std::int64_t floats) {
    float* piece = block_ ? block_ + used_ : nullptr;
    used_ += padded(floats);
    return piece;
  }
  template <class T>
  T* take_as(std::int64_t count) {
    static_assert(sizeof(T) == sizeof(float));
    return reinterpret_cast<T*>(take(count));
  }
  std::int64_t used() const { return used_; }

 private:
  float* block_;
  std::int64_t used_ = 0;
};

enum class Use { training, evaluation, prediction };

class Data {
 public:
  // Throws InvalidArgument where the dataset cannot be used so.
  Data(const Dataset& dataset, Loss loss, Use use);

  const Dataset& set() const { return dataset_; }
  std::int64_t samples() const { return dataset_.samples; }
  std::int64_t features() const { return features_; }
  const float* scale() const { return reinterpret_cast<const float*>(scale_.data()); }
  const float* shift() const { return reinterpret_cast<const float*>(shift_.data()); }

  // Throws InvalidArgument where the program's input or output does not fit the data.
  void check_fits(const Program& program, Loss loss, Use use) const;

 private:
  Dataset dataset_;
  std::int64_t features_ = 1;
  Buffer scale_, shift_;  // padded with zeros, so that padded inputs are zero
};

// Inputs, activations of every stage and targets of up to `rows` samples. Used by all threads of a team at once.
class Batch {
 public:
  Batch(const Program& program, Loss loss, std::int64_t rows, Arena& arena);

  // Fills inputs and targets from index(); the team waits.
  void gather(const Data& data, Loss loss, Use use, std::int64_t rows, const Team& team) const;
  // Runs all stages; dropout acts only where `dropping` is a member's state at a step. The team waits.
  void forward(const Program& program, const float* parameters, const Member* dropping, std::int64_t step,
               std::int64_t rows, const Team& team) const;
  // Replaces gradient() by dL/d outputs and losses() by the samples' losses; the team waits.
  void loss(const Program& program, Loss loss, std::int64_t rows, const Team& team) const;

  std::uint32_t* index() const { return index_; }
  const std::int32_t* labels() const { return labels_; }
  const float* inputs(std::size_t stage) const { return stage == 0 ? x_ : y_[stage - 1]; }
  float* outputs(std::size_t stage) const { return y_[stage]; }
  float* gradient() const { return gradient_; }
  float* losses() const { return losses_; }

 private:
  void product(const DenseForward& f, const Team& team) const;

  std::uint32_t* index_;
  std::int32_t* labels_;
  float *targets_, *x_, *gradient_, *losses_;
  float* transposed_;  // tiny networks only
  std::vector<float*> y_;
};

// What a stage does after its product, for a member at a step; a null member means no dropout.
Finish finish_of(const Stage& stage, const float* parameters, const Member* dropping, std::int64_t step,
                 std::int64_t rows, float* y, float* dy);

}  // namespace shoal
