// A batch on its way through a member's stages, by a team of GPU blocks: device code.
#pragma once

#include "engine/cuda_program.h"
#include "kernels/tiny_cuda.h"

namespace shoal::cuda {

// What a pass works on.
struct PassContext {
  const DeviceProgram& program;
  const DeviceData& data;
  float* parameters;     // of the member: in shared memory where it fits, else in global memory
  float* workspace;      // of the team
  const float* dropout;  // rates by layer; null: off
  PhiloxKey key;
  bool augmented;
  Precision precision;
  bool tiny;  // all of it in the shared memory of a small block

  __device__ float* at(std::int64_t offset) const { return offset < 0 ? nullptr : workspace + offset; }
  __device__ float* parameter(std::int64_t offset) const { return offset < 0 ? nullptr : parameters + offset; }
  __device__ Chosen* chosen() const { return reinterpret_cast<Chosen*>(workspace + program.chosen); }
  __device__ StepState* state() const { return reinterpret_cast<StepState*>(workspace + program.state); }
  __device__ float* losses() const { return workspace + program.losses; }

  __device__ Finisher finisher(const DeviceStage& s, std::uint32_t step) const {
    const float rate = s.dropout >= 0 && dropout ? dropout[s.dropout] : 0.0f;
    return {s.activation, s.slope, {rate, key, step, static_cast<std::uint32_t>(s.dropout < 0 ? 0 : s.dropout)}};
  }
  __device__ Weights weights(const DeviceStage& s) const {
    return {parameter(s.weight), parameter(s.bias), s.inputs, s.stride};
  }
  __device__ NormPass norm(const DeviceStage& s, int rows) const {
    const std::int64_t channels = s.image.channels;
    float* const by_channel = at(s.sums);
    float* const running = parameter(s.running);
    return {.image = s.image,
            .rows = rows,
            .epsilon = s.epsilon,
            .momentum = s.momentum,
            .weight = parameter(s.weight),
            .bias = parameter(s.bias),
            .running_mean = running,
            .running_var = running + (channels + kPad - 1) / kPad * kPad,
            .mean = by_channel,
            .inverse = by_channel + channels,
            .scale = by_channel + 2 * channels,
            .mean_dy = by_channel + 3 * channels,
            .mean_dy_xhat = by_channel + 4 * channels,
            .var = by_channel + 5 * channels};
  }
};

SHOAL_DEVICE int groups_of(int rows) { return (rows + kLanes - 1) / kLanes; }

SHOAL_DEVICE void forward_stage(Team& team, const PassContext& c, const DeviceStage& s, int rows, bool training,
                                std::uint32_t step) {
  const int groups = groups_of(rows);
  const Finisher finisher = c.finisher(s, step);
  const float* x = c.at(s.x);
  float* y = c.at(s.y);
  switch (s.op) {
    case Op::dense:
    case Op::conv: {
      const LayerForward layer{s.window, groups, x, c.weights(s), finisher, y};
      if (c.tiny) {
        tiny_forward(team, layer);
      } else {
        with_factors(c.precision, [&]<class F>() { layer_forward<F>(team, layer); });
      }
      break;
    }
    case Op::pool: pool_forward(team, {s.window, s.pooling, groups}, finisher, x, y); break;
    case Op::norm: {
      const NormPass norm = c.norm(s, rows);
      training ? norm_statistics(team, norm, x) : norm_running(team, norm);
      team.sync();
      norm_forward(team, norm, finisher, x, y);
      break;
    }
    case Op::copy:
    case Op::to_rows:
    case Op::add: add_forward(team, finisher, s.image, s.skip, groups, x, c.at(s.from_skip), y); break;
  }
  team.sync();
}

// From the gathered inputs to the outputs.
SHOAL_DEVICE void forward(Team& team, const PassContext& c, int rows, bool training, std::uint32_t step) {
  gather(team, c.data, c.program.input, c.chosen(), c.augmented, groups_of(rows), c.at(c.program.x));
  team.sync();
  for (int i = 0; i < c.program.count; ++i) forward_stage(team, c, c.program.stages[i], rows, training, step);
}

SHOAL_DEVICE void backward_stage(Team& team, const PassContext& c, const DeviceStage& s, int rows, const Update& rule,
                                 std::uint32_t step) {
  const int groups = groups_of(rows);
  const float *x = c.at(s.x), *y = c.at(s.y);
  float *dx = c.at(s.dx), *dy = c.at(s.dy), *to_skip = c.at(s.to_skip);
  if (s.finishes()) {
    finish_backward(team, c.finisher(s, step), groups, s.image.features(), y, dy);
    team.sync();
  }
  switch (s.op) {
    case Op::dense:
    case Op::conv: {
      const LayerBackwardData data{s.window, groups, dy, c.weights(s), s.add, dx};
      const LayerBackwardWeights weights{s.window, groups, x,           dy, c.weights(s), c.program.parameters,
                                         rule,     s.part, c.at(s.sums)};
      if (dx) {  // before the weights, which it reads, change
        if (c.tiny) {
          tiny_backward_data(team, data);
        } else {
          with_factors(c.precision, [&]<class F>() { layer_backward_data<F>(team, data); });
        }
        team.sync();
      }
      if (c.tiny) {
        tiny_backward_weights(team, weights);
      } else {
        with_factors(c.precision, [&]<class F>() { layer_backward_weights<F>(team, weights); });
      }
      break;
    }
    case Op::pool:
      if (dx) pool_backward(team, {s.window, s.pooling, groups}, x, y, dy, s.add, dx);
      break;
    case Op::norm: {
      const NormPass norm = c.norm(s, rows);
      norm_backward_sums(team, norm, rule, c.program.parameters, x, dy);
      team.sync();
      if (dx) norm_backward_data(team, norm, x, dy, s.add, dx);
      break;
    }
    case Op::copy:
    case Op::to_rows:
    case Op::add:
      if (to_skip) {
        pass_on_skip(team, s.image, s.skip, groups, dy, s.add_skip, to_skip);
        team.sync();  // both may be one tensor
      }
      if (dx) pass_on(team, s.image, groups, dy, s.add, dx);
      break;
  }
  team.sync();
}

// From the outputs' gradient to the first weights; they take their step on the way.
SHOAL_DEVICE void backward(Team& team, const PassContext& c, int rows, const Update& rule, std::uint32_t step) {
  for (int i = c.program.count; i-- > 0;) {
    const DeviceStage& s = c.program.stages[i];
    if (s.trained) backward_stage(team, c, s, rows, rule, step);
  }
}

}  // namespace shoal::cuda
