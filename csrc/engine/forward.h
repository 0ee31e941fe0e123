// The forward half of a step: the tensors between a member's stages, and the stages at work on slices of a batch.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/batch.h"

namespace shoal {

// What a normalisation knows about the batch, by channel.
struct Norm {
  float *mean, *squares;   // of the slices seen so far (kernels/norm.h)
  float *inverse, *scale;  // 1 / sqrt(var + epsilon), weight / sqrt(var + epsilon)
};

class Forward {
 public:
  // Holds up to `rows` samples: a slice, each in the place of the one before; or all of a batch, where the program's
  // normalisations look at all of it in training.
  Forward(const Program& program, std::int64_t rows, Use use, Arena& arena);

  // For a member at a step; only in training do dropout and the statistics of a batch of `rows` act. The team waits.
  void begin(const Member& member, std::int64_t step, std::int64_t rows, const Team& team);
  // Runs all stages over these slices; `input` fills the network's input. The team waits.
  void run(std::span<const Slice> slices, const std::function<void(const Slice&, float* x)>& input, const Team& team);

  float* tensor(int t, const Slice& slice) const;
  float* outputs(const Slice& slice) const { return tensor(static_cast<int>(program_.stages.size()), slice); }
  const Norm& norm(std::size_t stage) const { return norms_[stage]; }
  const float* packed_backward(std::size_t stage) const { return packed_[stage].backward; }

 private:
  struct Packed {
    float *forward = nullptr, *backward = nullptr;
  };

  // The next stage from `stage` on that all slices must have reached before one goes on: a normalisation in training.
  std::size_t next_barrier(std::size_t stage) const;
  void stage(std::size_t i, const Slice& slice, const Team& team);
  void dense(const Stage& s, const float* x, const Slice& slice, float* y, const Team& team) const;
  void conv(std::size_t i, const float* x, const Slice& slice, float* y, const Team& team) const;
  void normalise(std::size_t i, const float* x, const Slice& slice, float* y, const Team& team) const;
  void add(const Stage& s, const float* x, const Slice& slice, float* y, const Team& team) const;
  // Activation and dropout, as far as the op itself has not seen to them.
  void finish(const Stage& s, const Slice& slice, float* y, const Team& team) const;
  void statistics(std::size_t i, const Slice& slice, const Team& team) const;
  void end_statistics(std::size_t i) const;
  const Tensor& output_of(const Stage& s) const;

  const Program& program_;
  Use use_;
  bool keeps_slices_;
  std::vector<float*> tensors_;
  std::vector<Packed> packed_;
  std::vector<Norm> norms_;
  float* transposed_;  // tiny networks only
  const Member* member_ = nullptr;
  std::int64_t step_ = 0, batch_ = 0;
};

// Vectors of samples (kernels/image.h).
inline std::int64_t groups_of(const Slice& slice) { return (slice.rows + kernels().lanes - 1) / kernels().lanes; }

// What a member's dropout layer draws at a step; the rate is 0 where the stage has none.
Dropout dropout_of(const Stage& stage, const Member& member, std::int64_t step);

// Values that a normalisation's statistics are over.
inline double norm_count(const Tensor& tensor, std::int64_t rows) {
  return static_cast<double>(rows) * (tensor.is_image ? static_cast<double>(tensor.image.pixels()) : 1.0);
}

inline NormShape norm_shape(const Tensor& tensor) {
  return {tensor.is_image ? tensor.image : Image{1, 1, tensor.features()}, !tensor.is_image};
}

}  // namespace shoal
