// Bias, activation and dropout on the CPU: one pass over rows that the product has just written, bound by exp and
// Philox arithmetic.
#pragma once

#include "kernels/dense.h"
#include "kernels/finish.h"
#include "kernels/simd.h"

namespace shoal::SHOAL_ISA {

template <Activation kind>
SHOAL_INLINE vf activate(vf x, float slope) {
  if constexpr (kind == Activation::relu) return select(x > 0.0f, x, select(x == x, vf{}, x));  // NaN stays NaN
  if constexpr (kind == Activation::leaky_relu) return select(x > 0.0f, x, slope * x);
  if constexpr (kind == Activation::sigmoid) return vsigmoid(x);
  if constexpr (kind == Activation::tanh) return vtanh(x);
  return x;
}

// dy f'(x) by y = f(x).
template <Activation kind>
SHOAL_INLINE vf differentiate(vf dy, vf y, float slope) {
  if constexpr (kind == Activation::relu) return select(y > 0.0f, dy, vf{});
  if constexpr (kind == Activation::leaky_relu) return select(y > 0.0f, dy, slope * dy);
  if constexpr (kind == Activation::sigmoid) return dy * fma(-y, y, y);
  if constexpr (kind == Activation::tanh) return dy * fma(-y, y, splat(1.0f));
  return dy;
}

template <class Body>
SHOAL_INLINE void for_activation(Activation kind, const Body& body) {
  switch (kind) {
    case Activation::identity: return body.template operator()<Activation::identity>();
    case Activation::relu: return body.template operator()<Activation::relu>();
    case Activation::leaky_relu: return body.template operator()<Activation::leaky_relu>();
    case Activation::sigmoid: return body.template operator()<Activation::sigmoid>();
    case Activation::tanh: return body.template operator()<Activation::tanh>();
  }
}

// Calls body(column, words) for every vector of a row, words being the random words of its columns (zero without
// dropout).
template <bool dropping, class Body>
SHOAL_INLINE void for_row(const Finish& f, std::int64_t row, const Body& body) {
  const std::int64_t end = padded(f.columns);
  for (std::int64_t block = 0; block < end; block += 4 * kPad) {
    for (std::int64_t half = 0; half < kPad; half += W) {
      Words words{};
      if constexpr (dropping) {
        const vu counter = reinterpret_cast<vu>(lane_index()) + static_cast<std::uint32_t>(block / 4 + half);
        const auto same = [](std::uint32_t x) { return vu{} + x; };
        words =
            philox(counter, same(static_cast<std::uint32_t>(f.first_row + row)), same(f.dropout.step),
                   same(stream(Purpose::dropout, f.dropout.layer)), same(f.dropout.key.seed), same(f.dropout.key.id));
      }
      for (int w = 0; w < 4; ++w) {
        const std::int64_t column = block + w * kPad + half;
        if (column < end) body(column, words.w[w]);
      }
    }
  }
}

template <Activation kind, bool dropping>
static void finish_forward_rows(const Finish& f, Range mine) {
  const std::uint32_t threshold = drop_below(f.dropout.rate);
  const float scale = 1 / (1 - f.dropout.rate);
  for (std::int64_t row = mine.begin; row < mine.end; ++row) {
    float* y = f.y + row * padded(f.columns);
    for_row<dropping>(f, row, [&](std::int64_t column, vu word) {
      vf v = load(y + column);
      if (f.bias) v += load(f.bias + column);
      v = activate<kind>(v, f.slope);
      if constexpr (dropping) v = select(reinterpret_cast<vi>(word >= threshold), v * scale, vf{});
      const vi inside = lane_index() < static_cast<std::int32_t>(f.columns - column);
      store(y + column, select(inside, v, vf{}));
    });
  }
}

template <Activation kind, bool dropping>
static void finish_backward_rows(const Finish& f, Range mine) {
  const std::uint32_t threshold = drop_below(f.dropout.rate);
  const float scale = 1 / (1 - f.dropout.rate);
  for (std::int64_t row = mine.begin; row < mine.end; ++row) {
    const std::int64_t start = row * padded(f.columns);
    for_row<dropping>(f, row, [&](std::int64_t column, vu word) {
      vf y = load(f.y + start + column), dy = load(f.dy + start + column);
      if constexpr (dropping) {
        dy = select(reinterpret_cast<vi>(word >= threshold), dy * scale, vf{});
        y = y * (1 - f.dropout.rate);
      }
      store(f.dy + start + column, differentiate<kind>(dy, y, f.slope));
    });
  }
}

static void finish_forward(const Finish& f, int rank, int size) {
  for_activation(f.activation, [&]<Activation kind>() {
    const Range mine = share(f.rows, rank, size);
    f.dropout.rate > 0 ? finish_forward_rows<kind, true>(f, mine) : finish_forward_rows<kind, false>(f, mine);
  });
}

static void finish_backward(const Finish& f, int rank, int size) {
  for_activation(f.activation, [&]<Activation kind>() {
    const Range mine = share(f.rows, rank, size);
    f.dropout.rate > 0 ? finish_backward_rows<kind, true>(f, mine) : finish_backward_rows<kind, false>(f, mine);
  });
}

// ---- members in lanes
// ----------------------------------------------------------------------------------------------------

struct LaneDropout {
  vu threshold, seed, id, step;
  vf rate, scale;
  std::uint32_t layer;
};

static LaneDropout lane_dropout(const Dropout* d) {
  LaneDropout lanes{};
  for (int l = 0; l < W; ++l) {
    lanes.threshold[l] = drop_below(d[l].rate);
    lanes.seed[l] = d[l].key.seed;
    lanes.id[l] = d[l].key.id;
    lanes.step[l] = d[l].step;
    lanes.rate[l] = d[l].rate;
  }
  lanes.scale = 1.0f / (1.0f - lanes.rate);
  lanes.layer = d[0].layer;
  return lanes;
}

// Calls body(column, words) for every column of a row, each word's lanes being members.
template <class Body>
SHOAL_INLINE void for_lane_row(const LaneDropout& d, std::int64_t columns, std::int64_t row, const Body& body) {
  const auto same = [](std::int64_t x) { return vu{} + static_cast<std::uint32_t>(x); };
  for (std::int64_t block = 0; block < columns; block += 4 * kPad) {
    for (std::int64_t c = 0; c < kPad && block + c < columns; ++c) {
      const Words words =
          philox(same(block / 4 + c), same(row), d.step, same(stream(Purpose::dropout, d.layer)), d.seed, d.id);
      for (int w = 0; w < 4 && block + w * kPad + c < columns; ++w) body(block + w * kPad + c, words.w[w]);
    }
  }
}

static void lane_finish_forward(const LaneFinish& f) {
  for_activation(f.activation, [&]<Activation kind>() {
    for (std::int64_t row = 0; row < f.rows; ++row) {
      for (std::int64_t column = 0; column < f.columns; ++column) {
        float* y = f.y + (row * f.columns + column) * W;
        const vf v = f.bias ? load(y) + load(f.bias + column * W) : load(y);
        store(y, activate<kind>(v, f.slope));
      }
    }
  });
  if (!f.dropout) return;
  const LaneDropout d = lane_dropout(f.dropout);
  for (std::int64_t row = 0; row < f.rows; ++row) {
    for_lane_row(d, f.columns, row, [&](std::int64_t column, vu word) {
      float* y = f.y + (row * f.columns + column) * W;
      store(y, select(reinterpret_cast<vi>(word >= d.threshold), load(y) * d.scale, vf{}));
    });
  }
}

static void lane_finish_backward(const LaneFinish& f) {
  const LaneDropout d = f.dropout ? lane_dropout(f.dropout) : LaneDropout{};
  for (std::int64_t row = 0; row < f.rows && f.dropout; ++row) {
    for_lane_row(d, f.columns, row, [&](std::int64_t column, vu word) {
      float* dy = f.dy + (row * f.columns + column) * W;
      store(dy, select(reinterpret_cast<vi>(word >= d.threshold), load(dy) * d.scale, vf{}));
    });
  }
  for_activation(f.activation, [&]<Activation kind>() {
    for (std::int64_t i = 0; i < f.rows * f.columns * W; i += W) {
      store(f.dy + i, differentiate<kind>(load(f.dy + i), load(f.y + i) * (1.0f - d.rate), f.slope));
    }
  });
}

}  // namespace shoal::SHOAL_ISA
