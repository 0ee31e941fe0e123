// Dense layers on the CPU: two register tiles, dot and outer, and the loops around them. Bound by FMA while a
// member's weights and a batch stay in L2: 2 B inputs outputs FLOPs each against 4 inputs outputs bytes of weights
// (16 with momentum in the update).
#pragma once

#include "kernels/dense.h"
#include "kernels/simd.h"
#include "kernels/update_cpu.h"

namespace shoal::SHOAL_ISA {

constexpr int kVectorsPerPad = static_cast<int>(kPad) / W;

// ---- dot: C[m][n] = sum_k A[m][k] B[n][k], lanes along k
// -----------------------------------------------------------------

template <int M, int N>
SHOAL_INLINE void dot_tile(std::int64_t k, const float* a, std::int64_t a_stride, const float* b, std::int64_t b_stride,
                           float* c, std::int64_t c_stride) {
  constexpr int kLanes = power_of_two(N);
  vf sum[M][kLanes] = {};
  for (std::int64_t i = 0; i < k; i += W) {
    vf bs[N];
    SHOAL_UNROLL
    for (int n = 0; n < N; ++n) bs[n] = load(b + n * b_stride + i);
    SHOAL_UNROLL
    for (int m = 0; m < M; ++m) {
      const vf x = load(a + m * a_stride + i);
      SHOAL_UNROLL
      for (int n = 0; n < N; ++n) sum[m][n] = fma(x, bs[n], sum[m][n]);
    }
  }
  SHOAL_UNROLL
  for (int m = 0; m < M; ++m) {
    if constexpr (kLanes <= W) {
      const vf sums = lane_sums<W, kLanes>(sum[m]);
      __builtin_memcpy(c + m * c_stride, &sums, N * sizeof(float));
    } else {  // more sums than lanes: W at a time
      SHOAL_UNROLL
      for (int n = 0; n < N; n += W) {
        const vf sums = lane_sums<W, W>(sum[m] + n);
        __builtin_memcpy(c + m * c_stride + n, &sums, (N - n < W ? N - n : W) * sizeof(float));
      }
    }
  }
}

// Rows of A in tiles of M, the rest in smaller ones.
template <int M, int N>
SHOAL_INLINE void dot_rows(std::int64_t rows, std::int64_t k, const float* a, std::int64_t a_stride, const float* b,
                           std::int64_t b_stride, float* c, std::int64_t c_stride) {
  for (; rows >= M; rows -= M, a += M * a_stride, c += M * c_stride)
    dot_tile<M, N>(k, a, a_stride, b, b_stride, c, c_stride);
  if constexpr (M > 1) {
    if (rows > 0) dot_rows<M - 1, N>(rows, k, a, a_stride, b, b_stride, c, c_stride);
  }
}

// The widest tile: kDotN weight rows stay in L1 while the batch streams past them.
constexpr int kDotN = W >= 16 ? 6 : 4;
constexpr int kDotM = 6;

template <int N>
static void dot_panel(const DenseForward& f, std::int64_t first) {
  const std::int64_t stride = padded(f.shape.inputs);
  constexpr int M = kAccumulators / N < kDotM ? kAccumulators / N : kDotM;
  dot_rows<M, N>(f.shape.rows, stride, f.x, stride, f.weight + first * stride, stride, f.y + first,
                 padded(f.shape.outputs));
}

template <int N>
SHOAL_INLINE void dot_panel_of(int n, const DenseForward& f, std::int64_t first) {
  if (n == N) return dot_panel<N>(f, first);
  if constexpr (N > 1) dot_panel_of<N - 1>(n, f, first);
}

static void dense_forward(const DenseForward& f, int rank, int size) {
  const std::int64_t panels = (f.shape.outputs + kDotN - 1) / kDotN;  // of nearly equal width
  const Range mine = share(panels, rank, size);
  for (std::int64_t p = mine.begin; p < mine.end; ++p) {
    const std::int64_t first = f.shape.outputs * p / panels, last = f.shape.outputs * (p + 1) / panels;
    dot_panel_of<kDotN>(static_cast<int>(last - first), f, first);
  }
}

// ---- outer: C[m][n] = sum_k A[k][m] B[k][n], lanes along n
// ---------------------------------------------------------------

constexpr int kOuterN = 2;  // vectors
constexpr int kOuterM = kAccumulators / kOuterN;

// A is walked by two strides, so that the same tile serves dy (k = row) and dy^T (k = output).
struct OuterA {
  const float* data;
  std::int64_t m_stride, k_stride;
};

template <int M, int N>
SHOAL_INLINE void outer_tile(std::int64_t k, const OuterA& a, const float* b, std::int64_t b_stride, float* c,
                             std::int64_t c_stride) {
  vf sum[M][N] = {};
  const float* as = a.data;
  for (std::int64_t i = 0; i < k; ++i, as += a.k_stride, b += b_stride) {
    vf bs[N];
    SHOAL_UNROLL
    for (int n = 0; n < N; ++n) bs[n] = load(b + n * W);
    SHOAL_UNROLL
    for (int m = 0; m < M; ++m) {
      const vf x = splat(as[m * a.m_stride]);
      SHOAL_UNROLL
      for (int n = 0; n < N; ++n) sum[m][n] = fma(x, bs[n], sum[m][n]);
    }
  }
  SHOAL_UNROLL
  for (int m = 0; m < M; ++m) {
    SHOAL_UNROLL
    for (int n = 0; n < N; ++n) store(c + m * c_stride + n * W, sum[m][n]);
  }
}

template <int M, int N>
SHOAL_INLINE void outer_tile_of(int m, std::int64_t k, const OuterA& a, const float* b, std::int64_t b_stride, float* c,
                                std::int64_t c_stride) {
  if (m == M) return outer_tile<M, N>(k, a, b, b_stride, c, c_stride);
  if constexpr (M > 1) outer_tile_of<M - 1, N>(m, k, a, b, b_stride, c, c_stride);
}

// One tile of m <= kOuterM rows and n <= kOuterN vectors.
static void outer(int m, int n, std::int64_t k, const OuterA& a, const float* b, std::int64_t b_stride, float* c,
                  std::int64_t c_stride) {
  if (n == kOuterN) return outer_tile_of<kOuterM, kOuterN>(m, k, a, b, b_stride, c, c_stride);
  outer_tile_of<kOuterM, 1>(m, k, a, b, b_stride, c, c_stride);
}

// Calls tile(row, m, column, n) for every tile of a (rows, padded(columns)) matrix in this thread's share; column
// and n in vectors. Columns go outermost: their slab of B stays in L1.
template <class Tile>
SHOAL_INLINE void for_outer_tiles(std::int64_t rows, std::int64_t columns, int rank, int size, const Tile& tile) {
  const std::int64_t vectors = padded(columns) / W;
  const std::int64_t slabs = (vectors + kOuterN - 1) / kOuterN, panels = (rows + kOuterM - 1) / kOuterM;
  const Range mine = share(slabs * panels, rank, size);
  for (std::int64_t t = mine.begin; t < mine.end; ++t) {
    const std::int64_t column = t / panels * kOuterN, p = t % panels;
    const std::int64_t row = rows * p / panels, next = rows * (p + 1) / panels;
    tile(row, static_cast<int>(next - row), column,
         static_cast<int>(vectors - column < kOuterN ? vectors - column : kOuterN));
  }
}

static void dense_forward_in_order(const DenseForwardInOrder& f) {
  const DenseShape& s = f.forward.shape;
  const std::int64_t stride = padded(s.inputs), y_stride = padded(s.outputs);
  for (std::int64_t i = 0; i < s.inputs; ++i) {
    float* row = f.transposed + i * y_stride;
    for (std::int64_t o = 0; o < y_stride; ++o) row[o] = o < s.outputs ? f.forward.weight[o * stride + i] : 0;
  }
  for_outer_tiles(s.rows, s.outputs, 0, 1, [&](std::int64_t row, int m, std::int64_t column, int n) {
    const OuterA a{f.forward.x + row * stride, stride, 1};
    outer(m, n, s.inputs, a, f.transposed + column * W, y_stride, f.forward.y + row * y_stride + column * W, y_stride);
  });
}

static void dense_backward_data(const DenseBackwardData& f, int rank, int size) {
  const std::int64_t stride = padded(f.shape.inputs), dy_stride = padded(f.shape.outputs);
  for_outer_tiles(f.shape.rows, f.shape.inputs, rank, size, [&](std::int64_t row, int m, std::int64_t column, int n) {
    const OuterA a{f.dy + row * dy_stride, dy_stride, 1};
    float* dx = f.dx + row * stride + column * W;
    if (!f.add) return outer(m, n, f.shape.outputs, a, f.weight + column * W, stride, dx, stride);
    alignas(64) float part[kOuterM * kOuterN * W];
    outer(m, n, f.shape.outputs, a, f.weight + column * W, stride, part, kOuterN * W);
    for (int i = 0; i < m; ++i) {
      for (int j = 0; j < n * W; j += W) {
        store(dx + i * stride + j, load(dx + i * stride + j) + load(part + i * kOuterN * W + j));
      }
    }
  });
}

// Updates with a gradient, or leaves it for the slices to come.
template <Optimizer kind>
SHOAL_INLINE void update_slice(const UpdateLanes& u, const SliceSum& sum, vf gradient, float* w, std::int64_t stride) {
  if (sum.gradient) {
    float* before = sum.gradient + (w - sum.origin);
    if (!sum.first) gradient += load(before);
    if (!sum.last) return store(before, gradient);
  }
  update<kind>(u, gradient, w, stride);
}

template <Optimizer kind>
static void update_tile(const UpdateLanes& u, const SliceSum& sum, const float* gradient, int m, int n, float* weight,
                        std::int64_t weight_stride, std::int64_t slot_stride) {
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < n; ++j) {
      update_slice<kind>(u, sum, load(gradient + (i * kOuterN + j) * W), weight + i * weight_stride + j * W,
                         slot_stride);
    }
  }
}

template <Optimizer kind>
static void update_bias(const UpdateLanes& u, const DenseBackwardWeights& f, int rank, int size) {
  const std::int64_t stride = padded(f.shape.outputs);
  const Range mine = share(stride / kPad, rank, size);
  for (std::int64_t i = mine.begin * kPad; i < mine.end * kPad; i += W) {
    vf sum{};
    for (std::int64_t row = 0; row < f.shape.rows; ++row) sum += load(f.dy + row * stride + i);
    update_slice<kind>(u, f.sum, sum, f.bias + i, f.slot_stride);
  }
}

static void dense_backward_weights(const DenseBackwardWeights& f, int rank, int size) {
  const std::int64_t stride = padded(f.shape.inputs), dy_stride = padded(f.shape.outputs);
  const UpdateLanes u = splat_update(f.update);
  for_optimizer(f.update.optimizer, [&]<Optimizer kind>() {
    for_outer_tiles(
        f.shape.outputs, f.shape.inputs, rank, size, [&](std::int64_t row, int m, std::int64_t column, int n) {
          float* weight = f.weight + row * stride + column * W;
          // The tile's weights and slots come from L2 in short strided runs that the hardware does not foresee.
          for (int i = 0; i < m; ++i) {
            __builtin_prefetch(weight + i * stride, 1);
            __builtin_prefetch(weight + i * stride + f.slot_stride, 1);
          }
          alignas(64) float gradient[kOuterM * kOuterN * W];
          outer(m, n, f.shape.rows, {f.dy + row, 1, dy_stride}, f.x + column * W, stride, gradient, kOuterN * W);
          update_tile<kind>(u, f.sum, gradient, m, n, weight, stride, f.slot_stride);
        });
    if (f.bias) update_bias<kind>(u, f, rank, size);
  });
}

}  // namespace shoal::SHOAL_ISA
