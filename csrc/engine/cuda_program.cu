#include "engine/cuda_program.h"

#include <algorithm>
#include <limits>
#include <string>

#include "engine/gradients.h"
#include "shoal/error.h"

namespace shoal::cuda {
namespace {

std::int64_t room(const Tensor& t, std::int64_t rows) { return (rows + kLanes - 1) / kLanes * kLanes * t.features(); }

Image image_of(const Tensor& t) { return t.is_image ? t.image : Image{1, 1, t.features()}; }

Image raw_image(const Shape& raw) {
  if (raw.size() == 2) return {raw[0], raw[1], 1};
  if (raw.size() == 3) return {raw[0], raw[1], raw[2]};
  std::int64_t features = 1;
  for (const std::int64_t axis : raw) features *= axis;
  return {1, 1, features};
}

// Positions of a batch that one sum of weight gradients runs over. More than one part lets a large team share them; it
// depends on the shape alone, so that the sums do not depend on the team.
std::int64_t part_of(std::int64_t positions) {
  constexpr std::int64_t kLeast = 4096, kMostParts = 32;
  const std::int64_t even = (positions + kMostParts - 1) / kMostParts;
  return (std::max(even, kLeast) + kLanes - 1) / kLanes * kLanes;
}

class Layout {
 public:
  Layout(const Program& program, std::int64_t rows, Use use)
      : program_(program), rows_(rows), training_(use == Use::training) {
    for (const Tensor& t : program.tensors) tensors_.push_back(take(room(t, rows)));
    if (!training_) return;
    gradients_ = plan_gradients(program, false, [&](const Tensor& t) { return room(t, rows); });
    first_gradient_ = take(gradients_.floats);
  }

  // Returns the offset.
  std::int64_t take(std::int64_t floats) {
    const std::int64_t at = arena_.used();
    arena_.take(floats);
    return at;
  }
  std::int64_t floats() const { return arena_.used(); }
  std::int64_t tensor(int t) const { return tensors_[static_cast<std::size_t>(t)]; }
  std::int64_t gradient(int t) const {
    const bool none = !training_ || gradients_.offset[static_cast<std::size_t>(t)] < 0;
    return none ? -1 : first_gradient_ + gradients_.offset[static_cast<std::size_t>(t)];
  }

  DeviceStage stage(std::size_t i) {
    const Stage& s = program_.stages[i];
    const Tensor &x = at(s.input), &y = at(static_cast<int>(i) + 1);
    DeviceStage d{.op = s.op, .image = Grid(image_of(y)), .x = tensor(s.input), .y = tensor(static_cast<int>(i) + 1)};
    d.dx = gradient(s.input);
    d.dy = gradient(static_cast<int>(i) + 1);
    d.trained = d.dy >= 0;
    d.add = training_ && gradients_.adds[i];
    d.weight = s.weight;
    d.bias = s.bias;
    d.running = s.running;
    d.inputs = static_cast<std::int32_t>(s.inputs);
    d.stride = static_cast<std::int32_t>(padded(s.inputs));
    d.activation = s.activation;
    d.slope = s.slope;
    d.dropout = s.dropout;
    d.pooling = s.layer.pooling;
    d.momentum = s.layer.momentum;
    d.epsilon = s.layer.epsilon;
    if (s.skip >= 0) {
      d.skip = Grid(image_of(at(s.skip)));
      d.from_skip = tensor(s.skip);
      d.to_skip = gradient(s.skip);
      d.add_skip = training_ && gradients_.adds_skip[i];
    }
    if (s.op == Op::dense) d.window = Window(ConvShape{.x = image_of(x), .y = image_of(y)});
    if (s.op == Op::conv || s.op == Op::pool) d.window = Window(s.shape);
    if (s.op == Op::norm) d.sums = take(6 * s.outputs);
    if (s.has_product() && training_) {
      const std::int64_t positions = room(y, rows_) / s.outputs;
      d.part = static_cast<std::int32_t>(part_of(positions));
      const std::int64_t parts = (positions + d.part - 1) / d.part;
      if (parts > 1) d.sums = take(parts * s.outputs * (s.inputs + 1));
    }
    return d;
  }

 private:
  const Tensor& at(int t) const { return program_.tensors[static_cast<std::size_t>(t)]; }

  const Program& program_;
  std::int64_t rows_;
  bool training_;
  Arena arena_;
  std::vector<std::int64_t> tensors_;
  GradientPlan gradients_;
  std::int64_t first_gradient_ = 0;
};

// Tiles of the largest product of a step: blocks beyond them would have nothing to do.
std::int64_t widest_product(const Program& program, const std::vector<DeviceStage>& stages, std::int64_t rows) {
  const auto cover = [](std::int64_t length, std::int64_t tile) { return (length + tile - 1) / tile; };
  std::int64_t most = 1;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    const Stage& s = program.stages[i];
    if (!s.has_product()) continue;
    const std::int64_t positions = room(program.tensors[i + 1], rows) / s.outputs;
    const auto of_positions = [&](auto tile) { return cover(positions, tile.BM) * cover(s.outputs, tile.BN); };
    const auto of_weights = [&](auto tile) { return cover(s.outputs, tile.BM) * cover(s.inputs + 1, tile.BN); };
    const std::int64_t parts = stages[i].part > 0 ? cover(positions, stages[i].part) : 1;
    most = std::max({most, with_position_tile(positions, s.outputs, of_positions),
                     parts * with_weight_tile(s.outputs, of_weights)});
  }
  return most;
}

// The kernels count with 32 bits within a tensor's groups and a layer's weights.
void check_sizes(const Program& program, std::int64_t rows) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  const auto fits = [](std::int64_t size) { return size <= kMost / kLanes; };
  for (const Tensor& t : program.tensors) {
    require(fits(t.features()) && fits(rows) && fits(room(t, rows) / kLanes),
            "a batch of " + std::to_string(rows) + " samples of " + text(t.shape) +
                " is too large for a GPU: it would have 2^31 values or more");
  }
  for (const Stage& s : program.stages) {
    require(!s.has_product() || fits(s.outputs * padded(s.inputs)),
            s.name + " is too large for a GPU: it has 2^26 weights or more");
  }
}

constexpr std::int64_t floats_of(std::size_t bytes) {
  return static_cast<std::int64_t>((bytes + sizeof(float) - 1) / sizeof(float));
}

}  // namespace

Plan plan(const Program& program, const Shape& raw, std::int64_t rows, Use use) {
  check_sizes(program, rows);
  Layout layout(program, rows, use);
  Plan plan;
  for (std::size_t i = 0; i < program.stages.size(); ++i) plan.stages.push_back(layout.stage(i));
  const int last = static_cast<int>(program.stages.size());
  const std::int64_t lanes = (rows + kLanes - 1) / kLanes * kLanes;
  plan.program = {.count = last,
                  .outputs = static_cast<std::int32_t>(program.outputs),
                  .input = Grid(raw_image(raw)),
                  .parameters = program.parameters,
                  .x = layout.tensor(0),
                  .y = layout.tensor(last),
                  .dy = layout.gradient(last),
                  .chosen = layout.take(lanes * floats_of(sizeof(Chosen))),
                  .losses = layout.take(lanes),
                  .state = layout.take(floats_of(sizeof(StepState)))};
  plan.program.floats = layout.floats();
  plan.widest = widest_product(program, plan.stages, rows);
  plan.multiply_adds = 3 * program.multiply_adds * rows;
  return plan;
}

}  // namespace shoal::cuda
