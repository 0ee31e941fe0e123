#include "engine/backward.h"

#include <algorithm>

namespace shoal {

Backward::Backward(const Program& program, const Forward& forward, std::int64_t rows, Arena& arena)
    : program_(program),
      forward_(forward),
      keeps_slices_(program.has_norms),
      plan_(plan_gradients(program, keeps_slices_, [&](const Tensor& t) { return t.room(rows); })),
      gradients_(arena.take(plan_.floats)),
      sums_(program.stages.size()),
      weight_gradients_(program.has_images || program.has_norms ? arena.take(program.parameters) : nullptr) {
  for (std::size_t i = 0; i < program.stages.size(); ++i) {
    const std::int64_t channels = program.stages[i].outputs;
    if (program.stages[i].op == Op::norm) sums_[i] = {arena.take(channels), arena.take(channels)};
  }
}

float* Backward::gradient(int t, const Slice& slice) const {
  const auto i = static_cast<std::size_t>(t);
  return gradients_ + plan_.offset[i] + (keeps_slices_ ? slice.first * program_.tensors[i].floats() : 0);
}

void Backward::begin(const Member& member, std::int64_t step, std::int64_t rows, Optimizer optimizer,
                     const Team& team) {
  member_ = &member;
  step_ = step;
  batch_ = rows;
  update_ = update_at(update_rule(optimizer, member.hyperparameters), step);
  for (std::size_t i = 0; i < program_.stages.size() && team.rank == 0; ++i) {
    const Stage& s = program_.stages[i];
    if (s.op == Op::conv) {
      std::fill_n(weight_gradients_ + s.weight, s.outputs * padded(s.inputs), 0.0f);
      if (s.bias >= 0) std::fill_n(weight_gradients_ + s.bias, padded(s.outputs), 0.0f);
    }
    if (s.op == Op::norm) {
      std::fill_n(sums_[i].dy, padded(s.outputs), 0.0f);
      std::fill_n(sums_[i].dy_xhat, padded(s.outputs), 0.0f);
    }
  }
  team.wait();
}

void Backward::run(std::span<const Slice> slices, const Team& team) {
  const std::size_t end = program_.stages.size();
  const auto is_norm = [&](std::size_t i) { return program_.stages[i].op == Op::norm; };
  for (std::size_t first, last = end; last > 0; last = first) {
    first = last - 1;
    while (first > 0 && !is_norm(first)) --first;
    for (const Slice& slice : slices) {
      if (last < end) norm_data(last, slice, team);
      for (std::size_t i = last; i-- > first;) is_norm(i) ? norm_sums(i, slice, team) : stage(i, slice, team);
    }
  }
}

void Backward::stage(std::size_t i, const Slice& slice, const Team& team) {
  if (!wanted(static_cast<int>(i) + 1)) return;
  const Stage& s = program_.stages[i];
  float* dy = gradient(static_cast<int>(i) + 1, slice);
  finish(i, slice, dy, team);
  switch (s.op) {
    case Op::dense: return dense(i, slice, dy, team);
    case Op::conv: return conv(i, slice, dy, team);
    case Op::norm: return;  // norm_sums, norm_data
    case Op::copy: return pass_on(i, slice, dy, s.input, plan_.adds[i], team);
    case Op::add:
      pass_on(i, slice, dy, s.skip, plan_.adds_skip[i], team);
      return pass_on(i, slice, dy, s.input, plan_.adds[i], team);
    case Op::pool:
      if (!wanted(s.input)) return;
      kernels().pool_backward({.shape = s.shape,
                               .pooling = s.layer.pooling,
                               .groups = groups_of(slice),
                               .x = forward_.tensor(s.input, slice),
                               .y = forward_.tensor(static_cast<int>(i) + 1, slice),
                               .dy = dy,
                               .add = plan_.adds[i],
                               .dx = gradient(s.input, slice)},
                              team.rank, team.size);
      break;
    case Op::to_rows:
      if (!wanted(s.input)) return;
      kernels().image_from_rows({input_of(s).image, slice.rows, dy, gradient(s.input, slice), plan_.adds[i]}, team.rank,
                                team.size);
      break;
  }
  team.wait();
}

void Backward::finish(std::size_t i, const Slice& slice, float* dy, const Team& team) const {
  const Stage& s = program_.stages[i];
  const Tensor& tensor = program_.tensors[i + 1];
  const Dropout dropout = dropout_of(s, *member_, step_);
  if (s.activation == Activation::identity && s.dropout < 0) return;
  float* y = forward_.tensor(static_cast<int>(i) + 1, slice);
  if (tensor.is_image) {
    kernels().image_finish_backward({.image = tensor.image,
                                     .groups = groups_of(slice),
                                     .first_row = slice.first,
                                     .activation = s.activation,
                                     .slope = s.slope,
                                     .dropout = dropout,
                                     .y = y,
                                     .dy = dy},
                                    team.rank, team.size);
  } else {
    kernels().finish_backward({.rows = slice.rows,
                               .columns = tensor.features(),
                               .first_row = slice.first,
                               .activation = s.activation,
                               .slope = s.slope,
                               .bias = nullptr,
                               .dropout = dropout,
                               .y = y,
                               .dy = dy},
                              team.rank, team.size);
  }
  team.wait();
}

void Backward::dense(std::size_t i, const Slice& slice, const float* dy, const Team& team) const {
  const Stage& s = program_.stages[i];
  const DenseShape shape{slice.rows, s.inputs, s.outputs};
  float* parameters = member_->parameters();
  if (wanted(s.input)) {  // before the weights, which it reads, change
    kernels().dense_backward_data({shape, dy, parameters + s.weight, plan_.adds[i], gradient(s.input, slice)},
                                  team.rank, team.size);
    team.wait();
  }
  const bool whole = slice.is_first && slice.is_last;
  kernels().dense_backward_weights({.shape = shape,
                                    .x = forward_.tensor(s.input, slice),
                                    .dy = dy,
                                    .weight = parameters + s.weight,
                                    .bias = s.bias >= 0 ? parameters + s.bias : nullptr,
                                    .slot_stride = program_.parameters,
                                    .update = update_,
                                    .sum = {.gradient = whole ? nullptr : weight_gradients_,
                                            .origin = parameters,
                                            .first = slice.is_first,
                                            .last = slice.is_last}},
                                   team.rank, team.size);
  team.wait();
}

void Backward::conv(std::size_t i, const Slice& slice, const float* dy, const Team& team) const {
  const Stage& s = program_.stages[i];
  if (wanted(s.input)) {
    kernels().conv_backward_data({.shape = s.shape,
                                  .groups = groups_of(slice),
                                  .dy = dy,
                                  .packed = forward_.packed_backward(i),
                                  .add = plan_.adds[i],
                                  .dx = gradient(s.input, slice)},
                                 team.rank, team.size);
  }
  kernels().conv_backward_weights({.shape = s.shape,
                                   .groups = groups_of(slice),
                                   .x = forward_.tensor(s.input, slice),
                                   .dy = dy,
                                   .weight = weight_gradients_ + s.weight,
                                   .bias = s.bias >= 0 ? weight_gradients_ + s.bias : nullptr},
                                  team.rank, team.size);
  team.wait();
  if (!slice.is_last) return;
  apply(s.weight, s.outputs * padded(s.inputs), weight_gradients_ + s.weight, team);
  if (s.bias >= 0) apply(s.bias, padded(s.outputs), weight_gradients_ + s.bias, team);
}

void Backward::apply(std::int64_t offset, std::int64_t floats, const float* gradient, const Team& team) const {
  kernels().apply({.update = update_,
                   .n = floats,
                   .gradient = gradient,
                   .weight = member_->parameters() + offset,
                   .slot_stride = program_.parameters},
                  team.rank, team.size);
  team.wait();
}

void Backward::norm_sums(std::size_t i, const Slice& slice, const Team& team) const {
  const Stage& s = program_.stages[i];
  float* dy = gradient(static_cast<int>(i) + 1, slice);
  const bool fused = s.dropout < 0;
  if (!fused) finish(i, slice, dy, team);
  kernels().norm_backward_sums({.shape = norm_shape(program_.tensors[i + 1]),
                                .samples = slice.rows,
                                .x = forward_.tensor(s.input, slice),
                                .y = forward_.tensor(static_cast<int>(i) + 1, slice),
                                .mean = forward_.norm(i).mean,
                                .inverse = forward_.norm(i).inverse,
                                .activation = fused ? s.activation : Activation::identity,
                                .slope = s.slope,
                                .dy = dy,
                                .sum_dy = sums_[i].dy,
                                .sum_dy_xhat = sums_[i].dy_xhat},
                               team.rank, team.size);
  team.wait();
  if (slice.is_last) end_norm(i, team);
}

// Weights, running statistics, and means from sums.
void Backward::end_norm(std::size_t i, const Team& team) const {
  const Stage& s = program_.stages[i];
  apply(s.weight, padded(s.outputs), sums_[i].dy_xhat, team);
  apply(s.bias, padded(s.outputs), sums_[i].dy, team);
  const double count = norm_count(program_.tensors[i + 1], batch_), momentum = s.layer.momentum;
  float* mean = member_->parameters() + s.running;
  float* var = mean + padded(s.outputs);
  for (std::int64_t c = 0; c < s.outputs && team.rank == 0; ++c) {
    const double unbiased = forward_.norm(i).squares[c] / std::max(count - 1, 1.0);
    mean[c] = static_cast<float>((1 - momentum) * mean[c] + momentum * forward_.norm(i).mean[c]);
    var[c] = static_cast<float>((1 - momentum) * var[c] + momentum * unbiased);
    sums_[i].dy[c] = static_cast<float>(sums_[i].dy[c] / count);
    sums_[i].dy_xhat[c] = static_cast<float>(sums_[i].dy_xhat[c] / count);
  }
  team.wait();
}

void Backward::norm_data(std::size_t i, const Slice& slice, const Team& team) const {
  const Stage& s = program_.stages[i];
  if (!wanted(s.input)) return;
  kernels().norm_backward_data({.shape = norm_shape(program_.tensors[i + 1]),
                                .samples = slice.rows,
                                .x = forward_.tensor(s.input, slice),
                                .dy = gradient(static_cast<int>(i) + 1, slice),
                                .mean = forward_.norm(i).mean,
                                .inverse = forward_.norm(i).inverse,
                                .scale = forward_.norm(i).scale,
                                .mean_dy = sums_[i].dy,
                                .mean_dy_xhat = sums_[i].dy_xhat,
                                .add = plan_.adds[i],
                                .dx = gradient(s.input, slice)},
                               team.rank, team.size);
  team.wait();
}

// Copies a stage's gradient to the gradient of a tensor that it read as it is, or adds it.
void Backward::pass_on(std::size_t i, const Slice& slice, const float* dy, int to, bool add, const Team& team) const {
  if (!wanted(to)) return;
  const Tensor &y = program_.tensors[i + 1], &x = program_.tensors[static_cast<std::size_t>(to)];
  float* dx = gradient(to, slice);
  if (y.is_image) {
    kernels().image_add_backward({y.image, x.image, groups_of(slice), dy, add, dx}, team.rank, team.size);
  } else {
    const Range mine = share(slice.rows, team.rank, team.size);
    for (std::int64_t j = mine.begin * y.floats(); j < mine.end * y.floats(); ++j) dx[j] = add ? dx[j] + dy[j] : dy[j];
  }
  team.wait();
}

}  // namespace shoal
