// One optimiser step of one weight (shoal/optimizer.h has the formulas).
#pragma once

#include "kernels/device.h"
#include "kernels/update.h"

namespace shoal::cuda {

// Weight and slots at `w`, w + stride, w + 2 stride; g is the gradient of the loss.
SHOAL_DEVICE void update(const Update& u, float g, float* w, std::int64_t stride) {
  float weight = *w, first = w[stride];
  if (u.optimizer == Optimizer::adamw) {
    weight *= u.shrink;
  } else {
    g = fmaf(u.weight_decay, weight, g);
  }
  switch (u.optimizer) {
    case Optimizer::sgd:
      first = fmaf(u.momentum, first, g);
      weight = fmaf(-u.lr, u.nesterov ? fmaf(u.momentum, first, g) : first, weight);
      break;
    case Optimizer::adagrad:
      first = fmaf(g, g, first);
      weight -= u.lr * g / (sqrtf(first) + u.epsilon);
      break;
    default: {
      float second = w[2 * stride];
      second = fmaf(u.beta2, second, (1 - u.beta2) * (g * g));
      if (u.optimizer == Optimizer::rmsprop) {
        first = fmaf(u.momentum, first, g / (sqrtf(second) + u.epsilon));
        weight = fmaf(-u.lr, first, weight);
      } else {
        first = fmaf(u.beta1, first, (1 - u.beta1) * g);
        weight -= u.lr * first / fmaf(sqrtf(second), u.root, u.epsilon);
      }
      w[2 * stride] = second;
    }
  }
  w[stride] = first;
  *w = weight;
}

}  // namespace shoal::cuda
