// One optimiser step as the kernels see it: the formulas are in shoal/optimizer.h. Whatever depends on the step
// alone (decayed learning rate, bias corrections) has been folded into scalars.
#pragma once

#include <cmath>
#include <cstdint>

#include "shoal/optimizer.h"

namespace shoal {

struct Update {
  Optimizer optimizer;
  bool nesterov;
  float lr;  // lr_t; adam: lr_t / (1 - beta1^t)
  float momentum;
  float beta1, beta2;
  float epsilon;
  float root;          // adam: 1 / sqrt(1 - beta2^t), applied to sqrt(v)
  float weight_decay;  // added to the gradient as weight_decay * w; 0 for adamw
  float shrink;        // adamw: 1 - lr_t weight_decay, w is multiplied by it first; else 1
};

// Number of state arrays beside the weights.
inline int slots(Optimizer optimizer) { return optimizer == Optimizer::sgd || optimizer == Optimizer::adagrad ? 1 : 2; }

// One step of n weights (a multiple of kPad) whose gradients are in memory.
struct Apply {
  Update update;
  std::int64_t n;
  const float* gradient;
  float* weight;
  std::int64_t slot_stride;
};

// `step` counts from 0.
Update update_at(Optimizer optimizer, const Hyperparameters& h, std::int64_t step);

}  // namespace shoal
