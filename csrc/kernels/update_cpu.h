// Optimiser steps on vectors. The scalars of an Update are vectors here: the same value in all lanes for one
// member, one value per lane where lanes are members.
#pragma once

#include "kernels/simd.h"
#include "kernels/update.h"

namespace shoal::SHOAL_ISA {

struct UpdateLanes {
  vf lr, momentum, beta1, beta2, epsilon, root, weight_decay, shrink;
  vi nesterov;
};

SHOAL_INLINE UpdateLanes splat_update(const Update& u) {
  return {splat(u.lr),           splat(u.momentum), splat(u.beta1),
          splat(u.beta2),        splat(u.epsilon),  splat(u.root),
          splat(u.weight_decay), splat(u.shrink),   vi{} - (u.nesterov ? 1 : 0)};
}

// Weight and slots at `w`, w + stride, w + 2 stride; g is the gradient of the loss.
template <Optimizer kind>
SHOAL_INLINE void update(const UpdateLanes& u, vf g, float* w, std::int64_t stride) {
  vf weight = load(w);
  vf first = load(w + stride);
  if constexpr (kind == Optimizer::adamw) {
    weight = weight * u.shrink;
  } else {
    g = fma(u.weight_decay, weight, g);
  }
  if constexpr (kind == Optimizer::sgd) {
    first = fma(u.momentum, first, g);
    const vf step = select(u.nesterov, fma(u.momentum, first, g), first);
    weight = fma(-u.lr, step, weight);
  } else if constexpr (kind == Optimizer::adagrad) {
    first = fma(g, g, first);
    weight = weight - u.lr * g / (vsqrt(first) + u.epsilon);
  } else {
    vf second = load(w + 2 * stride);
    if constexpr (kind == Optimizer::rmsprop) {
      second = fma(u.beta2, second, (1.0f - u.beta2) * (g * g));
      first = fma(u.momentum, first, g / (vsqrt(second) + u.epsilon));
      weight = fma(-u.lr, first, weight);
    } else {
      first = fma(u.beta1, first, (1.0f - u.beta1) * g);
      second = fma(u.beta2, second, (1.0f - u.beta2) * (g * g));
      weight = weight - u.lr * first / fma(vsqrt(second), u.root, u.epsilon);
    }
    store(w + 2 * stride, second);
  }
  store(w + stride, first);
  store(w, weight);
}

// Calls body.template operator()<kind>() for a kind known at run time only.
template <class Body>
SHOAL_INLINE void for_optimizer(Optimizer kind, const Body& body) {
  switch (kind) {
    case Optimizer::sgd: return body.template operator()<Optimizer::sgd>();
    case Optimizer::adam: return body.template operator()<Optimizer::adam>();
    case Optimizer::adamw: return body.template operator()<Optimizer::adamw>();
    case Optimizer::rmsprop: return body.template operator()<Optimizer::rmsprop>();
    case Optimizer::adagrad: return body.template operator()<Optimizer::adagrad>();
  }
}

static void apply(const Apply& f, int rank, int size) {
  const UpdateLanes u = splat_update(f.update);
  const Range mine = share(f.n / W, rank, size);
  for_optimizer(f.update.optimizer, [&]<Optimizer kind>() {
    for (std::int64_t i = mine.begin * W; i < mine.end * W; i += W) {
      update<kind>(u, load(f.gradient + i), f.weight + i, f.slot_stride);
    }
  });
}

}  // namespace shoal::SHOAL_ISA
