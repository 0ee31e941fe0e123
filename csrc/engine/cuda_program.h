// A program laid out for a team of GPU blocks: plain structs with offsets, copied to the device as they are.
#pragma once

#include <vector>

#include "engine/batch.h"
#include "kernels/conv_cuda.h"
#include "kernels/image_cuda.h"
#include "kernels/loss_cuda.h"
#include "kernels/norm_cuda.h"

namespace shoal::cuda {

// Offsets count floats from the start of the team's workspace, or (weight, bias, running) of the member's parameters;
// -1: there is none.
struct DeviceStage {
  Op op = Op::copy;
  Window window{};       // dense, conv, pool
  Grid image{}, skip{};  // of the output; of the skip
  std::int64_t x = -1, y = -1, from_skip = -1;
  std::int64_t dx = -1, dy = -1, to_skip = -1;  // gradients: dx and to_skip only where they are wanted
  bool add = false, add_skip = false;           // to dx, to to_skip
  bool trained = false;                         // the gradient of y is wanted
  std::int64_t weight = -1, bias = -1, running = -1;
  std::int32_t inputs = 0, stride = 0;  // of a row of weights, without and with padding
  std::int32_t part = 0;                // LayerBackwardWeights
  std::int64_t sums = -1;               // of those parts; of a normalisation, (6, channels)
  Activation activation = Activation::identity;
  float slope = 0, momentum = 0, epsilon = 0;
  std::int32_t dropout = -1;
  Pooling pooling = Pooling::max;

  __device__ bool finishes() const { return activation != Activation::identity || dropout >= 0; }
};

// What the threads of a team tell each other about a step.
struct StepState {
  Shuffle shuffle;
  Update rule;
  float loss;
};

struct DeviceProgram {
  const DeviceStage* stages = nullptr;
  std::int32_t count = 0;
  std::int32_t outputs = 0;
  Grid input{};  // of a raw sample
  std::int64_t parameters = 0;
  std::int64_t x = 0, y = 0, dy = 0;  // the network's input, its outputs and their gradient
  std::int64_t chosen = 0, losses = 0, state = 0;
  std::int64_t floats = 0;  // of the workspace
};

struct Plan {
  DeviceProgram program;
  std::vector<DeviceStage> stages;
  std::int64_t widest = 1;         // tiles of the largest product: blocks beyond them would have nothing to do
  std::int64_t multiply_adds = 0;  // of a step, about
};

// For batches of up to `rows` samples of shape `raw`.
Plan plan(const Program& program, const Shape& raw, std::int64_t rows, Use use);

}  // namespace shoal::cuda
