// Matrix products by the blocks of a team: C[m][n] = sum_k A(m, k) B(n, k), where A, B and what becomes of C are given
// as small objects, so that one loop serves all products of dense layers and convolutions.
//
// A tile of C is BM x BN; slices of A and B, BK deep, pass through shared memory in two buffers, one barrier a slice,
// while the next one is on its way from memory. A thread keeps TM x TN sums in registers. Where that takes fewer
// threads than a block has, groups of threads share the depth of a slice, and their sums are added in the order of the
// groups. The order of a sum follows from the tile and the depth alone.
#pragma once

#include "core/share.h"
#include "kernels/device.h"

namespace shoal::cuda {

inline constexpr int kProductFloats = 9728;  // of shared memory, enough for all tiles below on tensor cores too

template <int BM_, int BN_, int BK_, int TM_, int TN_>
struct Tile {
  static constexpr int BM = BM_, BN = BN_, BK = BK_, TM = TM_, TN = TN_;
  static constexpr int kAcross = BN / TN;                         // threads along n
  static constexpr int kGroups = kThreads / (BM / TM * kAcross);  // that share the depth
  static constexpr int kDepth = BK / kGroups;                     // of one group in a slice
  static constexpr int kStrideA = BM + 4, kStrideB = BN + 4;      // rows start in different banks, on 16 bytes
  static constexpr int kStage = BK * (kStrideA + kStrideB);       // floats
  static constexpr int kSums = kGroups > 1 ? kGroups * BM * BN : 0;
  static constexpr int kFloats = 2 * kStage > kSums ? 2 * kStage : kSums;  // of shared memory

  static_assert(kThreads % BM == 0 && kThreads % BN == 0 && kThreads % BK == 0);
  static_assert(kGroups * (BM / TM) * kAcross == kThreads && kGroups * kDepth == BK);
  static_assert(BM * BK % kThreads == 0 && BN * BK % kThreads == 0 && TM % 4 == 0 && TN % 4 == 0);
  static_assert(kFloats <= kProductFloats);
};

// body(tile) with a tile that leaves few threads idle; how a sum is cut depends on it, and so on the shape alone.
// Positions of images, or samples, by channels:
template <class Body>
SHOAL_HD auto with_position_tile(std::int64_t rows, std::int64_t columns, const Body& body) {
  if (rows < 128 && columns <= 32) return body(Tile<32, 32, 32, 4, 4>{});
  if (rows < 128) return body(Tile<32, 64, 16, 4, 4>{});
  if (columns <= 8) return body(Tile<128, 8, 32, 4, 4>{});
  if (columns <= 16) return body(Tile<128, 16, 16, 4, 4>{});
  if (columns <= 32) return body(Tile<256, 32, 16, 8, 4>{});
  return body(Tile<128, 64, 16, 8, 4>{});
}
// Filters by inputs:
template <class Body>
SHOAL_HD auto with_weight_tile(std::int64_t filters, const Body& body) {
  if (filters <= 16) return body(Tile<16, 128, 16, 4, 4>{});
  if (filters <= 32) return body(Tile<32, 128, 16, 4, 4>{});
  return body(Tile<64, 64, 16, 4, 4>{});
}

template <int count>
SHOAL_DEVICE void load_vectors(const float* from, float (&to)[count]) {
#pragma unroll
  for (int i = 0; i < count; i += 4) {
    const float4 v = *reinterpret_cast<const float4*>(from + i);
    to[i] = v.x, to[i + 1] = v.y, to[i + 2] = v.z, to[i + 3] = v.w;
  }
}

// One thread's share of a slice of an operand, `rows` x BK: fetched to registers, then handed on. Neighbouring threads
// take neighbours in memory: along k, or along the rows. An operand has
//   kAlongDepth          whether its neighbours in memory are neighbours in k
//   row(i)               what depends on the row alone
//   at(row, k)           the value; called for rows and k inside of the product only
template <class Operand, int rows, int depth>
class Fetch {
 public:
  __device__ Fetch(const Operand& operand, int first_row, int row_end) : operand_(operand), first_(first_row) {
#pragma unroll
    for (int e = 0; e < kRows; ++e) {
      const int i = first_ + row(e);
      inside_[e] = i < row_end;
      rows_[e] = operand_.row(inside_[e] ? i : first_);
    }
  }

  __device__ void fetch(int k, int k_end) {
#pragma unroll
    for (int e = 0; e < kCount; ++e) {
      const int r = Operand::kAlongDepth ? e : 0, at = k + this->depth_of(e);
      values_[e] = inside_[r] && at < k_end ? operand_.at(rows_[r], at) : 0.0f;
    }
  }

  // put(row, depth, deeper, value) for each, which lies in the slice at this row and depth + deeper. `deeper` is known
  // when the kernel is compiled; it is even, or the depth is 0.
  template <class Put>
  __device__ void each(const Put& put) const {
#pragma unroll
    for (int e = 0; e < kCount; ++e) put(row(e), depth_of(0), e * kDeeper, values_[e]);
  }

 private:
  static constexpr int kCount = rows * depth / kThreads;
  static constexpr int kRows = Operand::kAlongDepth ? kCount : 1;  // that one thread sees
  static constexpr int kDeeper = Operand::kAlongDepth ? 0 : kThreads / rows;
  static_assert(kDeeper % 2 == 0 || rows == kThreads);

  static __device__ int row(int e) {
    const int t = static_cast<int>(threadIdx.x);
    return Operand::kAlongDepth ? t / depth + e * (kThreads / depth) : t % rows;
  }
  static __device__ int depth_of(int e) {
    const int t = static_cast<int>(threadIdx.x);
    return Operand::kAlongDepth ? t % depth : t / rows + e * kDeeper;
  }

  const Operand& operand_;
  int first_;
  typename Operand::Row rows_[kRows];
  bool inside_[kRows];
  float values_[kCount];
};

// The slices of both operands over k in [k_begin, k_end), through two buffers of `kStage` floats: store(stage) puts what
// was fetched into one, sum(stage) makes use of it, while the next slice is on its way.
template <int BK, int kStage, class FetchA, class FetchB, class Store, class Sum>
SHOAL_DEVICE void for_slices(FetchA& from_a, FetchB& from_b, int k_begin, int k_end, float* shared, const Store& store,
                             const Sum& sum) {
  from_a.fetch(k_begin, k_end);
  from_b.fetch(k_begin, k_end);
  float* stage = shared;
  for (int k = k_begin; k < k_end; k += BK) {
    store(stage);
    __syncthreads();
    if (k + BK < k_end) {
      from_a.fetch(k + BK, k_end);
      from_b.fetch(k + BK, k_end);
    }
    sum(stage);
    stage = stage == shared ? shared + kStage : shared;
  }
  __syncthreads();  // shared memory is free again
}

// The sums of one tile over k in [k_begin, k_end), this thread's TM x TN of them (and this group's share of k).
template <class T, class A, class B>
SHOAL_DEVICE void sum_tile(const A& a, const B& b, int m, int m_end, int n, int n_end, int k_begin, int k_end,
                           float* shared, float (&sum)[T::TM][T::TN]) {
  const int thread = static_cast<int>(threadIdx.x), lane = thread % (kThreads / T::kGroups);
  const int group = thread / (kThreads / T::kGroups);
  const int across = lane % T::kAcross * T::TN, down = lane / T::kAcross * T::TM;
  Fetch<A, T::BM, T::BK> from_a(a, m, m_end);
  Fetch<B, T::BN, T::BK> from_b(b, n, n_end);
  constexpr int kFloatsA = T::BK * T::kStrideA;
  const auto store = [&](float* stage) {
    from_a.each(
        [&](int row, int depth, int deeper, float value) { stage[(depth + deeper) * T::kStrideA + row] = value; });
    from_b.each([&](int row, int depth, int deeper, float value) {
      stage[kFloatsA + (depth + deeper) * T::kStrideB + row] = value;
    });
  };
  for_slices<T::BK, T::kStage>(from_a, from_b, k_begin, k_end, shared, store, [&](const float* stage) {
#pragma unroll
    for (int i = 0; i < T::kDepth; ++i) {
      const int depth = group * T::kDepth + i;
      float x[T::TM], y[T::TN];
      load_vectors(stage + depth * T::kStrideA + down, x);
      load_vectors(stage + kFloatsA + depth * T::kStrideB + across, y);
#pragma unroll
      for (int r = 0; r < T::TM; ++r) {
#pragma unroll
        for (int c = 0; c < T::TN; ++c) sum[r][c] = fmaf(x[r], y[c], sum[r][c]);
      }
    }
  });
}

// store(m, n, value(row, column)) for every element of a tile that lies inside. Neighbouring threads take neighbours
// along m or along n, as the result lies in memory.
template <class T, class Store, class Value>
SHOAL_DEVICE void store_values(const Store& store, int m, int m_end, int n, int n_end, const Value& value) {
  for (int e = static_cast<int>(threadIdx.x); e < T::BM * T::BN; e += kThreads) {
    const int row = Store::kAlongRows ? e % T::BM : e / T::BN, column = Store::kAlongRows ? e / T::BM : e % T::BN;
    if (m + row < m_end && n + column < n_end) store(m + row, n + column, value(row, column));
  }
}

// The same from the sums of all groups, `sum` being this thread's.
template <class T, class Store>
SHOAL_DEVICE void store_tile(const Store& store, int m, int m_end, int n, int n_end, float* shared,
                             const float (&sum)[T::TM][T::TN]) {
  const int thread = static_cast<int>(threadIdx.x), lane = thread % (kThreads / T::kGroups);
  const int group = thread / (kThreads / T::kGroups);
  const int across = lane % T::kAcross * T::TN, down = lane / T::kAcross * T::TM;
  if constexpr (T::kGroups == 1) {
#pragma unroll
    for (int c = 0; c < T::TN; ++c) {
#pragma unroll
      for (int r = 0; r < T::TM; ++r) {
        if (m + down + r < m_end && n + across + c < n_end) store(m + down + r, n + across + c, sum[r][c]);
      }
    }
  } else {
#pragma unroll
    for (int r = 0; r < T::TM; ++r) {
#pragma unroll
      for (int c = 0; c < T::TN; ++c) shared[(group * T::BM + down + r) * T::BN + across + c] = sum[r][c];
    }
    __syncthreads();
    store_values<T>(store, m, m_end, n, n_end, [&](int row, int column) {
      float value = 0;
#pragma unroll
      for (int g = 0; g < T::kGroups; ++g) value += shared[(g * T::BM + row) * T::BN + column];
      return value;
    });
    __syncthreads();
  }
}

// body(part, m, n, k_begin, k_end) for the team's tiles of a product whose depth is cut into parts of `part` each.
template <class T, class Body>
SHOAL_DEVICE void for_tiles(const Team& team, int m_end, int n_end, int k_end, int part, const Body& body) {
  const int tiles_m = (m_end + T::BM - 1) / T::BM, tiles_n = (n_end + T::BN - 1) / T::BN;
  const int parts = (k_end + part - 1) / part;
  for (int t = team.rank; t < tiles_m * tiles_n * parts; t += team.size) {
    const int p = t / (tiles_m * tiles_n), n = t % tiles_n * T::BN, m = t / tiles_n % tiles_m * T::BM;
    body(p, m, n, p * part, min((p + 1) * part, k_end));
  }
}

// The whole product: store(m, n, value) is told of each part of the depth by store.part(p).
template <class T, class A, class B, class Store>
SHOAL_DEVICE void product(const Team& team, int m_end, int n_end, int k_end, int part, const A& a, const B& b,
                          const Store& store) {
  for_tiles<T>(team, m_end, n_end, k_end, part, [&](int p, int m, int n, int k_begin, int tile_end) {
    float sum[T::TM][T::TN] = {};
    sum_tile<T>(a, b, m, m_end, n, n_end, k_begin, tile_end, shared_memory(), sum);
    store_tile<T>(store.part(p), m, m_end, n, n_end, shared_memory(), sum);
  });
}

}  // namespace shoal::cuda
