// One optimiser step as the kernels see it: the formulas are in shoal/optimizer.h. Whatever depends on the step
// alone (decayed learning rate, bias corrections) has been folded into scalars.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/share.h"
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

// What of a member's hyperparameters the optimiser's step depends on.
struct UpdateRule {
  Optimizer optimizer;
  bool nesterov;
  float lr, momentum, decay, lr_decay, weight_decay, beta1, beta2, epsilon;
  std::int64_t decay_every;
};

inline UpdateRule update_rule(Optimizer optimizer, const Hyperparameters& h) {
  return {optimizer,      h.nesterov, h.lr,    h.momentum, h.decay,      h.lr_decay,
          h.weight_decay, h.beta1,    h.beta2, h.epsilon,  h.decay_every};
}

// `step` counts from 0.
SHOAL_HD inline Update update_at(const UpdateRule& r, std::int64_t step) {
  const auto t = static_cast<double>(step);
  const std::int64_t decays = step / r.decay_every;
  const double rate = r.lr / (1 + r.decay * t) * std::pow(static_cast<double>(r.lr_decay), static_cast<double>(decays));
  Update u{.optimizer = r.optimizer,
           .nesterov = r.nesterov,
           .lr = static_cast<float>(rate),
           .momentum = r.momentum,
           .beta1 = r.beta1,
           .beta2 = r.beta2,
           .epsilon = r.epsilon,
           .root = 1,
           .weight_decay = r.weight_decay,
           .shrink = 1};
  if (r.optimizer == Optimizer::adam || r.optimizer == Optimizer::adamw) {
    u.lr = static_cast<float>(rate / (1 - std::pow(static_cast<double>(r.beta1), t + 1)));
    u.root = static_cast<float>(1 / std::sqrt(1 - std::pow(static_cast<double>(r.beta2), t + 1)));
  }
  if (r.optimizer == Optimizer::adamw) {
    u.shrink = static_cast<float>(1 - rate * r.weight_decay);
    u.weight_decay = 0;
  }
  return u;
}

}  // namespace shoal
