// The matrix products of product_cuda.h on tensor cores: the same tiles, operands and results. Factors are rounded to F
// (mma_cuda.h) on their way to shared memory, sums stay fp32. Eight warps divide a tile, each one's part being a grid of
// fragments; no two warps share a sum, so its order is that of k.
#pragma once

#include <type_traits>

#include "kernels/mma_cuda.h"
#include "kernels/product_cuda.h"
#include "shoal/device.h"

namespace shoal::cuda {

// Where the words of a slice of an operand lie in shared memory: as their neighbours do in the operand, so that threads
// store side by side, in strides that take the words of a fragment, 8 rows by 4, from 32 banks.
template <class F, class Operand, int rows, int BK>
struct Slice {
  static constexpr int kWords = BK / F::kPerWord;  // along k
  static constexpr int kStride = Operand::kAlongDepth ? kWords + 4 : rows + (40 - rows % 32) % 32;
  static constexpr int kFloats = kStride * (Operand::kAlongDepth ? rows : kWords);
  static_assert(kWords % kFragmentWords == 0);

  static __device__ int at(int row, int word) {
    return Operand::kAlongDepth ? row * kStride + word : word * kStride + row;
  }
  // See Fetch::each.
  static __device__ void put(float* stage, int row, int depth, int deeper, float value) {
    constexpr int n = F::kPerWord;
    F::put(stage + at(row, depth / n + deeper / n), depth % n + deeper % n, value);
  }
};

// A warp's part of a tile.
template <class T>
struct WarpTile {
  static constexpr int kWarps = kThreads / kWarp;
  static constexpr int kDown = T::BM / kFragmentRows < kWarps ? T::BM / kFragmentRows : kWarps;  // warps along m
  static constexpr int kAcross = kWarps / kDown;
  static constexpr int kRows = T::BM / kDown, kColumns = T::BN / kAcross;
  static constexpr int kM = kRows / kFragmentRows, kN = kColumns / kFragmentColumns;  // fragments
  static_assert(kM * kFragmentRows * kDown == T::BM && kN * kFragmentColumns * kAcross == T::BN);

  static __device__ int first_row() { return static_cast<int>(threadIdx.x) / kWarp / kAcross * kRows; }
  static __device__ int first_column() { return static_cast<int>(threadIdx.x) / kWarp % kAcross * kColumns; }
};

// This lane's words of a fragment, four of A (16 rows) or two of B (8), from its first row and word on.
template <class Place, int count>
SHOAL_DEVICE void load_fragment(const float* stage, int first_row, int first_word, unsigned (&words)[count]) {
  constexpr int kRowsOf8 = count / 2;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
#pragma unroll
  for (int i = 0; i < count; ++i)
    words[i] = __float_as_uint(
        stage[Place::at(first_row + i % kRowsOf8 * 8 + lane / 4, first_word + i / kRowsOf8 * 4 + lane % 4)]);
}

// The sums of one tile over k in [k_begin, k_end): this lane's, by fragment.
template <class F, class T, class A, class B>
SHOAL_DEVICE void sum_fragments(const A& a, const B& b, int m, int m_end, int n, int n_end, int k_begin, int k_end,
                                float* shared, float (&sum)[WarpTile<T>::kM][WarpTile<T>::kN][4]) {
  using W = WarpTile<T>;
  using PlaceA = Slice<F, A, T::BM, T::BK>;
  using PlaceB = Slice<F, B, T::BN, T::BK>;
  constexpr int kStage = PlaceA::kFloats + PlaceB::kFloats;
  static_assert(2 * kStage <= kProductFloats);
  Fetch<A, T::BM, T::BK> from_a(a, m, m_end);
  Fetch<B, T::BN, T::BK> from_b(b, n, n_end);
  const auto store = [&](float* stage) {
    from_a.each([&](int row, int depth, int deeper, float value) { PlaceA::put(stage, row, depth, deeper, value); });
    from_b.each([&](int row, int depth, int deeper, float value) {
      PlaceB::put(stage + PlaceA::kFloats, row, depth, deeper, value);
    });
  };
  for_slices<T::BK, kStage>(from_a, from_b, k_begin, k_end, shared, store, [&](const float* stage) {
    const float* const stage_b = stage + PlaceA::kFloats;
#pragma unroll
    for (int word = 0; word < PlaceA::kWords; word += kFragmentWords) {
      unsigned x[W::kM][4], y[W::kN][2];
#pragma unroll
      for (int r = 0; r < W::kM; ++r) load_fragment<PlaceA>(stage, W::first_row() + r * kFragmentRows, word, x[r]);
#pragma unroll
      for (int c = 0; c < W::kN; ++c)
        load_fragment<PlaceB>(stage_b, W::first_column() + c * kFragmentColumns, word, y[c]);
#pragma unroll
      for (int r = 0; r < W::kM; ++r) {
#pragma unroll
        for (int c = 0; c < W::kN; ++c) F::multiply_add(x[r], y[c], sum[r][c]);
      }
    }
  });
}

// Through shared memory to store(m, n, value).
template <class T, class Store>
SHOAL_DEVICE void store_fragments(const Store& store, int m, int m_end, int n, int n_end, float* shared,
                                  const float (&sum)[WarpTile<T>::kM][WarpTile<T>::kN][4]) {
  using W = WarpTile<T>;
  constexpr int kStride = (Store::kAlongRows ? T::BM : T::BN) + 4;
  static_assert(kStride * (Store::kAlongRows ? T::BN : T::BM) <= kProductFloats);
  const auto at = [](int row, int column) {
    return Store::kAlongRows ? column * kStride + row : row * kStride + column;
  };
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
#pragma unroll
  for (int r = 0; r < W::kM; ++r) {
#pragma unroll
    for (int c = 0; c < W::kN; ++c) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        shared[at(W::first_row() + r * kFragmentRows + i / 2 * 8 + lane / 4,
                  W::first_column() + c * kFragmentColumns + lane % 4 * 2 + i % 2)] = sum[r][c][i];
      }
    }
  }
  __syncthreads();
  store_values<T>(store, m, m_end, n, n_end, [&](int row, int column) { return shared[at(row, column)]; });
  __syncthreads();
}

// The whole product, as product_cuda.h has it, of factors F.
template <class F, class T, class A, class B, class Store>
SHOAL_DEVICE void multiply(const Team& team, int m_end, int n_end, int k_end, int part, const A& a, const B& b,
                           const Store& store) {
  if constexpr (std::is_same_v<F, Fp32>) {
    product<T>(team, m_end, n_end, k_end, part, a, b, store);
  } else {
    using W = WarpTile<T>;
    for_tiles<T>(team, m_end, n_end, k_end, part, [&](int p, int m, int n, int k_begin, int tile_end) {
      float sum[W::kM][W::kN][4] = {};
      sum_fragments<F, T>(a, b, m, m_end, n, n_end, k_begin, tile_end, shared_memory(), sum);
      store_fragments<T>(store.part(p), m, m_end, n, n_end, shared_memory(), sum);
    });
  }
}

// body.operator()<F>() with the factors of a precision that is known when the kernel runs.
template <class Body>
SHOAL_DEVICE void with_factors(Precision precision, const Body& body) {
  switch (precision) {
    case Precision::fp32: return body.template operator()<Fp32>();
    case Precision::tf32: return body.template operator()<Tf32>();
    case Precision::bf16: return body.template operator()<Bf16>();
    case Precision::tf32x3: return body.template operator()<SplitTf32>();
  }
}

}  // namespace shoal::cuda
