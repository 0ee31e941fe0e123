// Losses over a batch, mean over rows; the outputs are replaced by the gradient of that mean.
//   cross_entropy  loss_b = log sum_j e^(y_j - m) - (y_label - m), m = max y;   dy = (softmax(y) - onehot) / rows
//   mse            loss_b = sum_j (y_j - t_j)^2 / outputs;                       dy = 2 (y - t) / (outputs rows)
#pragma once

#include <cstdint>

#include "shoal/optimizer.h"

namespace shoal {

struct LossStep {
  Loss loss;
  std::int64_t rows, outputs;  // rows of y and targets are padded(outputs) apart
  std::int64_t batch;          // rows that the mean is over: more than `rows` where this is a slice of them
  float* y;                    // (rows, outputs) in; out: the gradient, padding zero
  const std::int32_t* labels;  // (rows,), cross_entropy
  const float* targets;        // (rows, outputs), mse
  float* losses;               // (rows,) out: loss_b
};

// W members in lanes: y and targets (rows, outputs, W), labels and losses (rows, W). The same bits as one member by
// itself.
using LaneLoss = LossStep;

// y <- softmax(y), padding zero.
struct Softmax {
  std::int64_t rows, outputs;
  float* y;
};

}  // namespace shoal
