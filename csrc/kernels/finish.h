// What follows a layer's product, in place and in one pass: bias, activation, dropout; and its derivative.
//
//   forward   y <- keep(f(y + bias)) / (1 - rate)          backward   dy <- keep(dy) / (1 - rate) * f'(y)
//
// Every f here has a derivative in terms of its own value, so the sums before it are not stored. A kept element is
// one whose random word is at least rate 2^32; both passes draw the same word. The word of (row, column): counter
// (column / 64 * 16 + column % 16, row, step, layer), word column % 64 / 16, so that sixteen lanes draw sixty-four
// neighbours at once.
#pragma once

#include <cstdint>

#include "core/rng.h"

namespace shoal {

enum class Activation { identity, relu, leaky_relu, sigmoid, tanh };

struct Dropout {
  float rate;  // 0: none
  PhiloxKey key;
  std::uint32_t step, layer;
};

SHOAL_HD SHOAL_INLINE std::uint32_t drop_below(float rate) {
  return static_cast<std::uint32_t>(static_cast<double>(rate) * 4294967296.0);
}

struct Finish {
  std::int64_t rows, columns;  // rows are padded(columns) apart; padding becomes zero
  std::int64_t first_row;      // the first row's place in the batch, for dropout
  Activation activation;
  float slope;        // leaky_relu
  const float* bias;  // (padded(columns),) or null; not used backward
  Dropout dropout;
  float* y;   // (rows, columns) in/out; backward reads it
  float* dy;  // (rows, columns) in/out; backward only
};

// The same for W members in lanes: y is (rows, columns, W), bias (columns, W), dropout one per lane.
struct LaneFinish {
  std::int64_t rows, columns;
  Activation activation;
  float slope;
  const float* bias;
  const Dropout* dropout;  // (W,), or null: none
  float *y, *dy;
};

}  // namespace shoal
