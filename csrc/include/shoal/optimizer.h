// Optimisers, losses and the hyperparameters that may change between steps. At step t (from 0) the learning rate is
//   lr_t = lr / (1 + decay * t) * lr_decay^floor(t / decay_every).
// With g the gradient plus weight_decay * w (adamw instead shrinks w by lr_t * weight_decay, Loshchilov and Hutter
// 2019):
//   sgd      v = momentum v + g;  w -= lr_t (nesterov ? g + momentum v : v)
//   adam(w)  m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;  w -= lr_t m^ / (sqrt(v^) + epsilon), ^ = bias-corrected
//   rmsprop  v = beta2 v + (1 - beta2) g^2;  m = momentum m + g / (sqrt(v) + epsilon);  w -= lr_t m
//   adagrad  v += g^2;  w -= lr_t g / (sqrt(v) + epsilon)
#pragma once

#include <cstdint>
#include <vector>

namespace shoal {

enum class Optimizer { sgd, adam, adamw, rmsprop, adagrad };

// cross_entropy: softmax of the outputs against a label, mean over the batch.
// mse: squared error against float targets, mean over batch and outputs.
enum class Loss { cross_entropy, mse };

struct Hyperparameters {
  float lr = 0.01f;              // >= 0
  float momentum = 0;            // [0, 1); sgd, rmsprop
  bool nesterov = false;         // sgd
  float decay = 0;               // >= 0
  float lr_decay = 1;            // > 0
  std::int64_t decay_every = 1;  // >= 1
  float weight_decay = 0;        // >= 0
  float beta1 = 0.9f;            // [0, 1); adam, adamw
  float beta2 = 0.999f;          // [0, 1); adam, adamw, rmsprop
  float epsilon = 1e-8f;         // > 0; adam, adamw, rmsprop, adagrad
  std::int64_t batch_size = 32;  // >= 1
  std::vector<float> dropout{};  // one rate in [0, 1) per dropout layer; empty: the network's own rates
  std::int64_t augment_pad = 0;  // >= 0: images are shifted by up to so many pixels, zeros coming in at the rim
  bool augment_flip = false;     // half of the images are mirrored, left to right
};

}  // namespace shoal
