#include "engine/batch.h"

#include <algorithm>
#include <string>

#include "shoal/error.h"

namespace shoal {
namespace {

std::string text(const Shape& shape) {
  std::string s = "(";
  for (const std::int64_t axis : shape) s += std::to_string(axis) + ", ";
  return s + ")";
}

Buffer filled(const float* values, std::int64_t count, float otherwise) {
  Buffer buffer(static_cast<std::size_t>(padded(count)) * sizeof(float));
  auto* to = reinterpret_cast<float*>(buffer.data());
  for (std::int64_t i = 0; i < count; ++i) to[i] = values ? values[i] : otherwise;
  return buffer;
}

std::int64_t widest_layer(const Program& program) {
  std::int64_t most = 0;
  for (const Stage& s : program.stages) most = std::max(most, s.inputs * padded(s.outputs));
  return most;
}

}  // namespace

Data::Data(const Dataset& dataset, Loss loss, Use use) : dataset_(dataset) {
  for (const std::int64_t axis : dataset.shape) features_ *= axis;
  require(dataset.samples >= 1, "dataset must have at least one sample");
  require(dataset.samples < std::int64_t{1} << 32,
          "dataset must have fewer than 2^32 samples, got " + std::to_string(dataset.samples));
  require((dataset.x_u8 == nullptr) != (dataset.x_f32 == nullptr), "dataset must have inputs as uint8 or as float32");
  if (use != Use::prediction) {
    const bool classes = loss == Loss::cross_entropy;
    require(classes ? dataset.labels != nullptr : dataset.targets != nullptr,
            classes ? "cross_entropy needs integer labels, the dataset has none"
                    : "mse needs float targets, the dataset has none");
  }
  scale_ = filled(dataset.scale, features_, 1);
  shift_ = filled(dataset.shift, features_, 0);
}

void Data::check_fits(const Program& program, Loss loss, Use use) const {
  require(program.features == features_, "dataset has samples of shape " + text(dataset_.shape) +
                                             ", the network takes " + std::to_string(program.features) + " features");
  if (use == Use::prediction) return;
  require(program.outputs == dataset_.outputs, "dataset has " + std::to_string(dataset_.outputs) +
                                                   (loss == Loss::cross_entropy ? " classes" : " targets a sample") +
                                                   ", the network has " + std::to_string(program.outputs) + " outputs");
}

Batch::Batch(const Program& program, Loss loss, std::int64_t rows, Arena& arena)
    : index_(arena.take_as<std::uint32_t>(rows)),
      labels_(loss == Loss::cross_entropy ? arena.take_as<std::int32_t>(rows) : nullptr),
      targets_(loss == Loss::mse ? arena.take(rows * padded(program.outputs)) : nullptr),
      x_(arena.take(rows * padded(program.features))),
      gradient_(arena.take(rows * padded(program.outputs))),
      losses_(arena.take(rows)),
      transposed_(program.tiny() ? arena.take(widest_layer(program)) : nullptr) {
  for (const Stage& stage : program.stages) y_.push_back(arena.take(rows * padded(stage.outputs)));
}

void Batch::gather(const Data& data, Loss loss, Use use, std::int64_t rows, const Team& team) const {
  const bool targets = use != Use::prediction;
  kernels().batch_gather({.data = &data.set(),
                          .features = data.features(),
                          .scale = data.scale(),
                          .shift = data.shift(),
                          .rows = rows,
                          .index = index_,
                          .x = x_,
                          .labels = targets && loss == Loss::cross_entropy ? labels_ : nullptr,
                          .targets = targets && loss == Loss::mse ? targets_ : nullptr},
                         team.rank, team.size);
  team.wait();
}

Finish finish_of(const Stage& stage, const float* parameters, const Member* dropping, std::int64_t step,
                 std::int64_t rows, float* y, float* dy) {
  Finish f{.rows = rows,
           .columns = stage.outputs,
           .activation = stage.activation,
           .slope = stage.slope,
           .bias = stage.bias >= 0 ? parameters + stage.bias : nullptr,
           .dropout = {},
           .y = y,
           .dy = dy};
  if (dropping && stage.dropout >= 0) {
    f.dropout = {.rate = dropping->hyperparameters.dropout[static_cast<std::size_t>(stage.dropout)],
                 .key = dropping->key,
                 .step = static_cast<std::uint32_t>(step),
                 .layer = static_cast<std::uint32_t>(stage.dropout)};
  }
  return f;
}

void Batch::forward(const Program& program, const float* parameters, const Member* dropping, std::int64_t step,
                    std::int64_t rows, const Team& team) const {
  const Kernels& k = kernels();
  for (std::size_t i = 0; i < program.stages.size(); ++i) {
    const Stage& stage = program.stages[i];
    if (stage.has_product()) {
      product({{rows, stage.inputs, stage.outputs}, inputs(i), parameters + stage.weight, y_[i]}, team);
    } else if (team.rank == 0) {
      std::copy_n(inputs(i), rows * padded(stage.outputs), y_[i]);
    }
    team.wait();
    // Runs even with nothing to do: it zeroes the padding, which the product leaves alone.
    k.finish_forward(finish_of(stage, parameters, dropping, step, rows, y_[i], nullptr), team.rank, team.size);
    team.wait();
  }
}

void Batch::product(const DenseForward& f, const Team& team) const {
  if (!transposed_) return kernels().dense_forward(f, team.rank, team.size);
  if (team.rank == 0) kernels().dense_forward_in_order({f, transposed_});
}

void Batch::loss(const Program& program, Loss loss, std::int64_t rows, const Team& team) const {
  if (team.rank == 0) std::copy_n(y_.back(), rows * padded(program.outputs), gradient_);
  team.wait();
  kernels().loss_step({.loss = loss,
                       .rows = rows,
                       .outputs = program.outputs,
                       .y = gradient_,
                       .labels = labels_,
                       .targets = targets_,
                       .losses = losses_},
                      team.rank, team.size);
  team.wait();
}

}  // namespace shoal
