// A dataset checked and made ready for the kernels, and one batch of it on its way through a member's stages.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/buffer.h"
#include "core/thread_pool.h"
#include "engine/augment.h"
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

inline bool augments(const Hyperparameters& h) { return h.augment_pad > 0 || h.augment_flip; }

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
  void check_augmentation(const Hyperparameters& h) const;

 private:
  Dataset dataset_;
  std::int64_t features_ = 1;
  Buffer scale_, shift_;  // padded with zeros, so that padded inputs are zero
};

// Samples of a batch that pass through the stages together.
struct Slice {
  std::int64_t first, rows;
  bool is_first, is_last;  // of the batch
};

// Calls body(slice) for a batch of `rows` in slices of `step`.
template <class Body>
void for_slices(std::int64_t rows, std::int64_t step, const Body& body) {
  for (std::int64_t first = 0; first < rows; first += step)
    body(Slice{first, std::min(step, rows - first), first == 0, first + step >= rows});
}

// Which samples are in a batch, what they should become, and how far the outputs are from it. Used by all threads of
// a team at once; every call ends with the team's waiting.
class Batch {
 public:
  // `augmented_rows`: of the largest slice that is augmented.
  Batch(const Program& program, Loss loss, std::int64_t rows, std::int64_t augmented_rows, Arena& arena);

  // Fills goals from index().
  void gather_goals(const Data& data, std::int64_t rows, const Team& team) const;
  // Writes a slice's inputs to x, laid out as the tensor.
  void gather_inputs(const Data& data, const Tensor& tensor, const Slice& slice, const Augmentation& augmentation,
                     float* x, const Team& team) const;
  // Replaces a slice's outputs y by the gradient of the mean loss over `rows`, and fills losses().
  void loss(const Slice& slice, std::int64_t rows, float* y, const Team& team) const;

  std::uint32_t* index() const { return index_; }
  const std::int32_t* labels() const { return labels_; }
  const float* targets() const { return targets_; }  // (rows, outputs), rows padded(outputs) apart
  const float* losses() const { return losses_; }

 private:
  void gather(const Data& data, const Tensor& tensor, const Dataset& set, const std::uint32_t* index, std::int64_t rows,
              float* x, const Team& team) const;

  Loss loss_;
  std::int64_t outputs_;
  std::uint32_t* index_;
  std::int32_t* labels_;
  float *targets_, *losses_;
  std::uint32_t* augmented_index_;  // 0, 1, 2, ...
  float* augmented_;                // raw inputs of a slice
};

}  // namespace shoal
