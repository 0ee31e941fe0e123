// Losses and their gradients on the GPU (loss.h has the formulas): a thread takes a sample, whose outputs its warp reads
// side by side with those of its neighbours.
#pragma once

#include "kernels/batch_cuda.h"
#include "kernels/loss.h"

namespace shoal::cuda {

struct LossPass {
  Loss loss;
  int rows, outputs;
  const float* y;
  const DeviceData& data;
  const Chosen* chosen;

  __device__ const float* outputs_of(int row) const { return y + place(row / kLanes, outputs, 0) + row % kLanes; }
  __device__ std::int64_t sample(int row) const { return chosen[row].sample; }
};

struct Exponentials {
  float max, sum;
};

SHOAL_DEVICE Exponentials exponentials(const float* y, int outputs) {
  float max = -INFINITY, sum = 0;
  for (int i = 0; i < outputs; ++i) max = fmaxf(max, y[i * kLanes]);
  for (int i = 0; i < outputs; ++i) sum += expf(y[i * kLanes] - max);
  return {max, sum};
}

// losses[row]; dy, the gradient of their mean, unless null: zero behind the last row.
SHOAL_OP void loss_forward(const Team& team, const LossPass& f, float* losses, float* dy) {
  const int end = (f.rows + kLanes - 1) / kLanes * kLanes;
  const float share = 1 / static_cast<float>(f.rows), count = static_cast<float>(f.outputs);
  for (int row = team.thread(); row < end; row += team.threads()) {
    const float* y = f.outputs_of(row);
    float* gradient = dy ? dy + (y - f.y) : nullptr;
    if (row >= f.rows) {
      for (int i = 0; gradient && i < f.outputs; ++i) gradient[i * kLanes] = 0;
    } else if (f.loss == Loss::cross_entropy) {
      const int label = f.data.labels[f.sample(row)];
      const Exponentials e = exponentials(y, f.outputs);
      // The last term is 0, or NaN if the sum is not finite.
      losses[row] = logf(e.sum) - (y[label * kLanes] - e.max) + (e.sum - e.sum);
      for (int i = 0; gradient && i < f.outputs; ++i)
        gradient[i * kLanes] = expf(y[i * kLanes] - e.max) * (share / e.sum) - (i == label ? share : 0.0f);
    } else {
      float sum = 0;
      for (int i = 0; i < f.outputs; ++i) {
        const float difference = y[i * kLanes] - f.data.targets[f.sample(row) * f.outputs + i];
        sum = fmaf(difference, difference, sum);
        if (gradient) gradient[i * kLanes] = difference * (2 * share / count);
      }
      losses[row] = sum / count;
    }
  }
}

// The index of the largest output, the first of equals.
SHOAL_DEVICE int chosen_class(const LossPass& f, int row) {
  const float* y = f.outputs_of(row);
  int best = 0;
  for (int i = 1; i < f.outputs; ++i) best = y[best * kLanes] < y[i * kLanes] ? i : best;
  return best;
}

}  // namespace shoal::cuda
