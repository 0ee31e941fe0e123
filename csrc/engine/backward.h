// The backward half of a step: gradients between a member's stages, and those of its weights until they are applied.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/forward.h"
#include "engine/gradients.h"

namespace shoal {

class Backward {
 public:
  // Beside a Forward of as many rows.
  Backward(const Program& program, const Forward& forward, std::int64_t rows, Arena& arena);

  // For a member at a step of a batch of `rows`. The team waits.
  void begin(const Member& member, std::int64_t step, std::int64_t rows, Optimizer optimizer, const Team& team);
  // From the outputs' gradients to the inputs of the first stage that has weights. With the last slice of the batch the
  // weights take their step. The team waits.
  void run(std::span<const Slice> slices, const Team& team);

  float* gradient(int t, const Slice& slice) const;
  float* output_gradient(const Slice& slice) const { return gradient(static_cast<int>(program_.stages.size()), slice); }

 private:
  struct Sums {
    float *dy = nullptr, *dy_xhat = nullptr;  // by channel
  };

  void stage(std::size_t i, const Slice& slice, const Team& team);
  void finish(std::size_t i, const Slice& slice, float* dy, const Team& team) const;
  void dense(std::size_t i, const Slice& slice, const float* dy, const Team& team) const;
  void conv(std::size_t i, const Slice& slice, const float* dy, const Team& team) const;
  void norm_sums(std::size_t i, const Slice& slice, const Team& team) const;
  void norm_data(std::size_t i, const Slice& slice, const Team& team) const;
  void end_norm(std::size_t i, const Team& team) const;
  void pass_on(std::size_t i, const Slice& slice, const float* dy, int to, bool add, const Team& team) const;
  void apply(std::int64_t offset, std::int64_t floats, const float* gradient, const Team& team) const;

  bool wanted(int t) const { return program_.tensors[static_cast<std::size_t>(t)].trained; }
  const Tensor& input_of(const Stage& s) const { return program_.tensors[static_cast<std::size_t>(s.input)]; }

  const Program& program_;
  const Forward& forward_;
  bool keeps_slices_;
  GradientPlan plan_;
  float* gradients_;
  std::vector<Sums> sums_;   // by stage
  float* weight_gradients_;  // laid out as the parameters; null where every step is one slice of dense layers
  const Member* member_ = nullptr;
  std::int64_t step_ = 0, batch_ = 0;
  Update update_{};
};

}  // namespace shoal
