#include "engine/forward.h"

#include <algorithm>
#include <cmath>

namespace shoal {
namespace {

std::int64_t widest_layer(const Program& program) {
  std::int64_t most = 0;
  for (const Stage& s : program.stages) most = std::max(most, s.inputs * padded(s.outputs));
  return most;
}

}  // namespace

Dropout dropout_of(const Stage& stage, const Member& member, std::int64_t step) {
  if (stage.dropout < 0) return {};
  return {.rate = member.hyperparameters.dropout[static_cast<std::size_t>(stage.dropout)],
          .key = member.key,
          .step = static_cast<std::uint32_t>(step),
          .layer = static_cast<std::uint32_t>(stage.dropout)};
}

Forward::Forward(const Program& program, std::int64_t rows, Use use, Arena& arena)
    : program_(program),
      use_(use),
      keeps_slices_(program.has_norms && use == Use::training),
      packed_(program.stages.size()),
      norms_(program.stages.size()),
      transposed_(program.tiny() ? arena.take(widest_layer(program)) : nullptr) {
  for (const Tensor& t : program.tensors) tensors_.push_back(arena.take(t.room(rows)));
  for (std::size_t i = 0; i < program.stages.size(); ++i) {
    const Stage& s = program.stages[i];
    if (s.op == Op::conv) {
      const bool backward = use == Use::training && program.tensors[static_cast<std::size_t>(s.input)].trained;
      packed_[i] = {arena.take(s.inputs * s.outputs), backward ? arena.take(s.inputs * s.outputs) : nullptr};
    }
    if (s.op == Op::norm) {
      const auto channels = [&] { return arena.take(s.outputs); };
      norms_[i] = {channels(), channels(), channels(), channels()};
    }
  }
}

const Tensor& Forward::output_of(const Stage& s) const {
  return program_.tensors[static_cast<std::size_t>(&s - program_.stages.data()) + 1];
}

float* Forward::tensor(int t, const Slice& slice) const {
  const auto i = static_cast<std::size_t>(t);
  return tensors_[i] + (keeps_slices_ ? slice.first * program_.tensors[i].floats() : 0);
}

std::size_t Forward::next_barrier(std::size_t stage) const {
  while (stage < program_.stages.size() && !(use_ == Use::training && program_.stages[stage].op == Op::norm)) ++stage;
  return stage;
}

void Forward::begin(const Member& member, std::int64_t step, std::int64_t rows, const Team& team) {
  member_ = &member;
  step_ = step;
  batch_ = rows;
  for (std::size_t i = 0; i < program_.stages.size() && team.rank == 0; ++i) {
    const Stage& s = program_.stages[i];
    if (s.op == Op::conv) {
      kernels().conv_pack({.shape = s.shape,
                           .weight = member.parameters() + s.weight,
                           .forward = packed_[i].forward,
                           .backward = packed_[i].backward});
    }
    if (s.op == Op::norm && use_ != Use::training) end_statistics(i);
  }
  team.wait();
}

void Forward::run(std::span<const Slice> slices, const std::function<void(const Slice&, float* x)>& input,
                  const Team& team) {
  std::size_t first = 0, last = next_barrier(0);
  for (const Slice& slice : slices) {
    input(slice, tensor(0, slice));
    for (std::size_t i = first; i < last; ++i) stage(i, slice, team);
    if (last < program_.stages.size()) statistics(last, slice, team);
  }
  while (last < program_.stages.size()) {
    first = last;
    last = next_barrier(first + 1);
    if (team.rank == 0) end_statistics(first);
    team.wait();
    for (const Slice& slice : slices) {
      for (std::size_t i = first; i < last; ++i) stage(i, slice, team);
      if (last < program_.stages.size()) statistics(last, slice, team);
    }
  }
}

void Forward::stage(std::size_t i, const Slice& slice, const Team& team) {
  const Stage& s = program_.stages[i];
  const float* x = tensor(s.input, slice);
  float* y = tensor(static_cast<int>(i) + 1, slice);
  switch (s.op) {
    case Op::copy:
      if (team.rank == 0) std::copy_n(x, output_of(s).room(slice.rows), y);
      break;
    case Op::dense: dense(s, x, slice, y, team); break;
    case Op::conv: conv(i, x, slice, y, team); break;
    case Op::pool:
      kernels().pool_forward({s.shape, s.layer.pooling, groups_of(slice), x, y}, team.rank, team.size);
      break;
    case Op::norm: normalise(i, x, slice, y, team); break;
    case Op::add: add(s, x, slice, y, team); break;
    case Op::to_rows:
      kernels().image_to_rows({program_.tensors[static_cast<std::size_t>(s.input)].image, slice.rows, x, y, false},
                              team.rank, team.size);
      break;
  }
  team.wait();
  finish(s, slice, y, team);
}

void Forward::dense(const Stage& s, const float* x, const Slice& slice, float* y, const Team& team) const {
  const DenseForward f{{slice.rows, s.inputs, s.outputs}, x, member_->parameters() + s.weight, y};
  if (!transposed_) return kernels().dense_forward(f, team.rank, team.size);
  if (team.rank == 0) kernels().dense_forward_in_order({f, transposed_});
}

void Forward::conv(std::size_t i, const float* x, const Slice& slice, float* y, const Team& team) const {
  const Stage& s = program_.stages[i];
  kernels().conv_forward({.shape = s.shape,
                          .groups = groups_of(slice),
                          .x = x,
                          .packed = packed_[i].forward,
                          .bias = s.bias >= 0 ? member_->parameters() + s.bias : nullptr,
                          .activation = s.activation,
                          .slope = s.slope,
                          .y = y},
                         team.rank, team.size);
}

void Forward::normalise(std::size_t i, const float* x, const Slice& slice, float* y, const Team& team) const {
  const Stage& s = program_.stages[i];
  const bool running = use_ != Use::training;
  kernels().norm_forward({.shape = norm_shape(output_of(s)),
                          .samples = slice.rows,
                          .x = x,
                          .mean = running ? member_->parameters() + s.running : norms_[i].mean,
                          .scale = norms_[i].scale,
                          .bias = member_->parameters() + s.bias,
                          .activation = s.activation,
                          .slope = s.slope,
                          .y = y},
                         team.rank, team.size);
}

void Forward::add(const Stage& s, const float* x, const Slice& slice, float* y, const Team& team) const {
  const Tensor &a = output_of(s), &b = program_.tensors[static_cast<std::size_t>(s.skip)];
  const float* skip = tensor(s.skip, slice);
  if (a.is_image) {
    return kernels().image_add({.image = a.image,
                                .skip_image = b.image,
                                .groups = groups_of(slice),
                                .x = x,
                                .skip = skip,
                                .activation = s.activation,
                                .slope = s.slope,
                                .y = y},
                               team.rank, team.size);
  }
  const Range mine = share(slice.rows, team.rank, team.size);
  for (std::int64_t j = mine.begin * a.floats(); j < mine.end * a.floats(); ++j) y[j] = x[j] + skip[j];
}

void Forward::finish(const Stage& s, const Slice& slice, float* y, const Team& team) const {
  const Tensor& tensor = output_of(s);
  const bool done = s.op == Op::norm || (tensor.is_image && (s.op == Op::conv || s.op == Op::add));
  const Activation activation = done ? Activation::identity : s.activation;
  const Dropout dropout = use_ == Use::training ? dropout_of(s, *member_, step_) : Dropout{};
  if (!tensor.is_image) {
    // Runs even with nothing to do: it zeroes the padding, which the product leaves alone.
    kernels().finish_forward({.rows = slice.rows,
                              .columns = tensor.features(),
                              .first_row = slice.first,
                              .activation = activation,
                              .slope = s.slope,
                              .bias = s.op == Op::dense && s.bias >= 0 ? member_->parameters() + s.bias : nullptr,
                              .dropout = dropout,
                              .y = y,
                              .dy = nullptr},
                             team.rank, team.size);
  } else if (activation != Activation::identity || dropout.rate > 0) {
    kernels().image_finish_forward({.image = tensor.image,
                                    .groups = groups_of(slice),
                                    .first_row = slice.first,
                                    .activation = activation,
                                    .slope = s.slope,
                                    .dropout = dropout,
                                    .y = y,
                                    .dy = nullptr},
                                   team.rank, team.size);
  } else {
    return;
  }
  team.wait();
}

void Forward::statistics(std::size_t i, const Slice& slice, const Team& team) const {
  const Stage& s = program_.stages[i];
  kernels().norm_statistics({.shape = norm_shape(output_of(s)),
                             .samples = slice.rows,
                             .before = slice.first,
                             .x = tensor(s.input, slice),
                             .mean = norms_[i].mean,
                             .squares = norms_[i].squares},
                            team.rank, team.size);
  team.wait();
}

// From the statistics of the batch, or outside of training from the running ones.
void Forward::end_statistics(std::size_t i) const {
  const Stage& s = program_.stages[i];
  const float* weight = member_->parameters() + s.weight;
  const float* running_var = member_->parameters() + s.running + padded(s.outputs);
  const double count = norm_count(output_of(s), batch_);
  for (std::int64_t c = 0; c < padded(s.outputs); ++c) {
    const double var = use_ == Use::training ? norms_[i].squares[c] / count : running_var[c];
    const double inverse = 1 / std::sqrt(var + s.layer.epsilon);
    norms_[i].inverse[c] = static_cast<float>(inverse);
    norms_[i].scale[c] = static_cast<float>(weight[c] * inverse);
  }
}

}  // namespace shoal
