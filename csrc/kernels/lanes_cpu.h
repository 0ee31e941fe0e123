// Products of tiny networks on the CPU: two loads feed kLaneM kLaneN multiply-adds per kLaneM + kLaneN vectors, all
// from L1 or L2.
#pragma once

#include "kernels/lanes.h"
#include "kernels/simd.h"
#include "kernels/update_cpu.h"

namespace shoal::SHOAL_ISA {

constexpr int kLaneM = W >= 16 ? 4 : 3;
constexpr int kLaneN = W >= 16 ? 5 : 3;

template <int M, int N>
SHOAL_INLINE void lane_tile(const LaneProduct& f, std::int64_t row, std::int64_t column) {
  const float* a = f.a + row * f.a_m * W;
  const float* b = f.b + column * f.b_n * W;
  vf sum[M][N] = {};
  for (std::int64_t i = 0; i < f.k; ++i, a += f.a_k * W, b += f.b_k * W) {
    vf bs[N];
    SHOAL_UNROLL
    for (int n = 0; n < N; ++n) bs[n] = load(b + n * f.b_n * W);
    SHOAL_UNROLL
    for (int m = 0; m < M; ++m) {
      const vf x = load(a + m * f.a_m * W);
      SHOAL_UNROLL
      for (int n = 0; n < N; ++n) sum[m][n] = fma(x, bs[n], sum[m][n]);
    }
  }
  SHOAL_UNROLL
  for (int m = 0; m < M; ++m) {
    SHOAL_UNROLL
    for (int n = 0; n < N; ++n) store(f.c + ((row + m) * f.n + column + n) * W, sum[m][n]);
  }
}

template <int M, int N>
SHOAL_INLINE void lane_rows(const LaneProduct& f, std::int64_t row, std::int64_t column) {
  for (; row + M <= f.m; row += M) lane_tile<M, N>(f, row, column);
  if constexpr (M > 1) {
    if (row < f.m) lane_rows<M - 1, N>(f, row, column);
  }
}

template <int N>
static void lane_panel(const LaneProduct& f, std::int64_t column) {
  lane_rows<kLaneM, N>(f, 0, column);
}

template <int N>
SHOAL_INLINE void lane_panel_of(std::int64_t n, const LaneProduct& f, std::int64_t column) {
  if (n == N) return lane_panel<N>(f, column);
  if constexpr (N > 1) lane_panel_of<N - 1>(n, f, column);
}

static void lane_product(const LaneProduct& f) {
  const std::int64_t panels = (f.n + kLaneN - 1) / kLaneN;
  for (std::int64_t p = 0; p < panels; ++p) {
    const std::int64_t first = f.n * p / panels;
    lane_panel_of<kLaneN>(f.n * (p + 1) / panels - first, f, first);
  }
}

static void lane_sum(const LaneSum& f) {
  for (std::int64_t column = 0; column < f.columns; ++column) {
    vf sum{};
    for (std::int64_t row = 0; row < f.rows; ++row) sum += load(f.dy + (row * f.columns + column) * W);
    store(f.sum + column * W, sum);
  }
}

static UpdateLanes lane_updates(const Update* updates) {
  UpdateLanes u{};
  for (int l = 0; l < W; ++l) {
    u.lr[l] = updates[l].lr;
    u.momentum[l] = updates[l].momentum;
    u.beta1[l] = updates[l].beta1;
    u.beta2[l] = updates[l].beta2;
    u.epsilon[l] = updates[l].epsilon;
    u.root[l] = updates[l].root;
    u.weight_decay[l] = updates[l].weight_decay;
    u.shrink[l] = updates[l].shrink;
    u.nesterov[l] = updates[l].nesterov ? -1 : 0;
  }
  return u;
}

static void lane_update(const LaneUpdate& f) {
  const UpdateLanes u = lane_updates(f.update);
  for_optimizer(f.update[0].optimizer, [&]<Optimizer kind>() {
    for (std::int64_t i = 0; i < f.weights * W; i += W)
      update<kind>(u, load(f.gradient + i), f.weight + i, f.slot_stride * W);
  });
}

}  // namespace shoal::SHOAL_ISA
