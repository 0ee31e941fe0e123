#include "kernels/update.h"

namespace shoal {

Update update_at(Optimizer optimizer, const Hyperparameters& h, std::int64_t step) {
  const auto t = static_cast<double>(step);
  const std::int64_t decays = step / h.decay_every;
  const double rate = h.lr / (1 + h.decay * t) * std::pow(static_cast<double>(h.lr_decay), static_cast<double>(decays));
  Update u{.optimizer = optimizer,
           .nesterov = h.nesterov,
           .lr = static_cast<float>(rate),
           .momentum = h.momentum,
           .beta1 = h.beta1,
           .beta2 = h.beta2,
           .epsilon = h.epsilon,
           .root = 1,
           .weight_decay = h.weight_decay,
           .shrink = 1};
  if (optimizer == Optimizer::adam || optimizer == Optimizer::adamw) {
    u.lr = static_cast<float>(rate / (1 - std::pow(static_cast<double>(h.beta1), t + 1)));
    u.root = static_cast<float>(1 / std::sqrt(1 - std::pow(static_cast<double>(h.beta2), t + 1)));
  }
  if (optimizer == Optimizer::adamw) {
    u.shrink = static_cast<float>(1 - rate * h.weight_decay);
    u.weight_decay = 0;
  }
  return u;
}

}  // namespace shoal
