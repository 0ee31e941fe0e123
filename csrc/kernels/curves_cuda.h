// The nearest learning curves on the GPU (shoal/curves.h has the formulas): all pairs in double. A GPU for computing has
// double at half the rate of float32 and needs no search in two steps; the sums are the processor's, in its order, and so
// are the bits. Warps work alone: nothing is shared and no barrier is needed.
#pragma once

#include <limits>

#include "kernels/curves.h"
#include "kernels/device.h"

namespace shoal::cuda {

struct CurveLaunch {
  std::int64_t points, queries, stored, neighbours;
  std::int64_t slices;            // parts of the stored curves, each with lists of its own
  const double *query, *library;  // (queries, points), (stored, points)
  std::int64_t* index;            // (slices, queries, neighbours) out
  double* distances;              // likewise; ascending
};

inline constexpr int kPairQueries = 4, kPairStored = 2;  // pairs of a group of kCurvePad lanes
inline constexpr int kWarpStored = kWarp / kCurvePad * kPairStored;

// Pairs of curves, and what each lane has of them: the points lane % kCurvePad, and every kCurvePad-th after it.
struct Pairs {
  const double* query[kPairQueries];
  const double* stored[kPairStored];
  std::int64_t points;
};

template <class T>
struct OfPairs {
  T at[kPairQueries][kPairStored];
};

template <class Body>
SHOAL_DEVICE void for_pairs(const Body& body) {
#pragma unroll
  for (int q = 0; q < kPairQueries; ++q) {
#pragma unroll
    for (int s = 0; s < kPairStored; ++s) body(q, s);
  }
}

// Calls body(q, s, a, b) for the lane's points that both curves of a pair have.
template <class Body>
SHOAL_DEVICE void over_points(const Pairs& f, const Body& body) {
#pragma unroll 1
  for (std::int64_t t = threadIdx.x % kCurvePad; t < f.points; t += kCurvePad) {
    double a[kPairQueries], b[kPairStored];
#pragma unroll
    for (int q = 0; q < kPairQueries; ++q) a[q] = f.query[q][t];
#pragma unroll
    for (int s = 0; s < kPairStored; ++s) b[s] = f.stored[s][t];
    for_pairs([&](int q, int s) {
      const double difference = a[q] - b[s];
      if (difference == difference) body(q, s, a[q], b[s]);
    });
  }
}

// The lanes' parts merged, on all of them: by halves, as the processor's are.
template <class T, class Merge>
SHOAL_DEVICE void merge_parts(OfPairs<T>& parts, const Merge& merge) {
  for_pairs([&](int q, int s) {
    T& part = parts.at[q][s];
    for (int width = kCurvePad / 2; width > 0; width /= 2)
      part = merge(part, __shfl_xor_sync(0xFFFFFFFFu, part, width));
  });
}

template <class T>
SHOAL_DEVICE void add_parts(OfPairs<T>& parts) {
  merge_parts(parts, [](T x, T y) { return x + y; });
}

SHOAL_DEVICE double infinity() { return std::numeric_limits<double>::infinity(); }

// The mean of term(q, s, a, b) for each pair; infinite where no point is in both.
template <class Term>
SHOAL_DEVICE OfPairs<double> means(const Pairs& f, const Term& term) {
  OfPairs<double> sums{};
  OfPairs<int> counts{};
  over_points(f, [&](int q, int s, double a, double b) {
    sums.at[q][s] += term(q, s, a, b);
    ++counts.at[q][s];
  });
  add_parts(sums);
  add_parts(counts);
  for_pairs([&](int q, int s) {
    const int n = counts.at[q][s];
    sums.at[q][s] = n > 0 ? sums.at[q][s] / n : infinity();
  });
  return sums;
}

SHOAL_DEVICE OfPairs<double> largest(const Pairs& f) {
  OfPairs<double> most;
  for_pairs([&](int q, int s) { most.at[q][s] = -1; });
  const auto larger = [](double x, double y) { return x > y ? x : y; };
  over_points(f, [&](int q, int s, double a, double b) { most.at[q][s] = larger(fabs(a - b), most.at[q][s]); });
  merge_parts(most, larger);
  for_pairs([&](int q, int s) { most.at[q][s] = most.at[q][s] < 0 ? infinity() : most.at[q][s]; });
  return most;
}

struct Products {
  OfPairs<double> ab, aa, bb;
  OfPairs<int> n;
};

SHOAL_DEVICE Products products(const Pairs& f) {
  Products sums{};
  over_points(f, [&](int q, int s, double a, double b) {
    sums.ab.at[q][s] += a * b;
    sums.aa.at[q][s] += a * a;
    sums.bb.at[q][s] += b * b;
    ++sums.n.at[q][s];
  });
  add_parts(sums.ab);
  add_parts(sums.aa);
  add_parts(sums.bb);
  add_parts(sums.n);
  return sums;
}

// As cosine_distance of curves_cpu.h, which gives the reasons.
SHOAL_DEVICE double cosine_distance(double ab, double aa, double bb, int n) {
  if (n == 0) return infinity();
  const bool zero_a = aa < kZeroSquares, zero_b = bb < kZeroSquares;
  if (zero_a || zero_b) return zero_a && zero_b ? 0 : 1;
  const double product = aa * bb;
  const double lengths = 1e-290 < product && product < 1e290 ? sqrt(product) : sqrt(aa) * sqrt(bb);
  const double cosine = ab / lengths;
  return 1 - (cosine > 1 ? 1 : cosine < -1 ? -1 : cosine);
}

template <Distance distance>
SHOAL_DEVICE OfPairs<double> distances_of(const Pairs& f) {
  OfPairs<double> result;
  if constexpr (distance == Distance::l1) {
    return means(f, [](int, int, double a, double b) { return fabs(a - b); });
  } else if constexpr (distance == Distance::linf) {
    return largest(f);
  } else if constexpr (distance == Distance::cosine) {
    const Products p = products(f);
    for_pairs([&](int q, int s) {
      result.at[q][s] = cosine_distance(p.ab.at[q][s], p.aa.at[q][s], p.bb.at[q][s], p.n.at[q][s]);
    });
    return result;
  } else {
    OfPairs<double> factor;
    if constexpr (distance == Distance::scaled) {
      const Products p = products(f);
      for_pairs(
          [&](int q, int s) { factor.at[q][s] = p.bb.at[q][s] >= kZeroSquares ? p.ab.at[q][s] / p.bb.at[q][s] : 0; });
    } else {
      for_pairs([&](int q, int s) { factor.at[q][s] = 1; });
    }
    result = means(f, [&](int q, int s, double a, double b) {
      const double d = a - factor.at[q][s] * b;
      return d * d;
    });
    for_pairs([&](int q, int s) { result.at[q][s] = sqrt(result.at[q][s]); });
    return result;
  }
}

// The nearest so far of one query, ascending; of equals the lower row is first. A warp keeps it.
struct NearList {
  std::int64_t size;
  double* distances;
  std::int64_t* index;
  double farthest;

  __device__ NearList(const CurveLaunch& f, std::int64_t slice, std::int64_t query)
      : size(f.neighbours),
        distances(f.distances + (slice * f.queries + query) * size),
        index(f.index + (slice * f.queries + query) * size),
        farthest(infinity()) {}

  __device__ void clear() const {
    for (std::int64_t i = threadIdx.x % kWarp; i < size; i += kWarp) {
      distances[i] = infinity();
      index[i] = -1;
    }
    __syncwarp();
  }

  // The candidates of the lanes, whose rows ascend with the lane and from call to call.
  __device__ void offer(double distance, std::int64_t row) {
    for (unsigned near = __ballot_sync(0xFFFFFFFFu, distance < farthest); near != 0; near &= near - 1) {
      const int lane = __ffs(static_cast<int>(near)) - 1;
      const double candidate = __shfl_sync(0xFFFFFFFFu, distance, lane);
      const std::int64_t its_row = __shfl_sync(0xFFFFFFFFu, row, lane);
      if (!(candidate < farthest)) continue;
      insert(candidate, its_row);
      farthest = distances[size - 1];
    }
  }

  // Behind all that are as near; what is farther moves on by one, the last one out.
  __device__ void insert(double distance, std::int64_t row) const {
    for (std::int64_t first = (size - 1) / kWarp * kWarp; first >= 0; first -= kWarp) {
      const std::int64_t i = first + threadIdx.x % kWarp;
      const bool moves = i < size && distances[i] > distance;
      const double old = moves ? distances[i] : 0;
      const std::int64_t old_row = moves ? index[i] : 0;
      const bool here = moves && (i == 0 || distances[i - 1] <= distance);
      __syncwarp();  // all have read
      if (moves && i + 1 < size) {
        distances[i + 1] = old;
        index[i + 1] = old_row;
      }
      if (here) {
        distances[i] = distance;
        index[i] = row;
      }
      __syncwarp();
    }
  }
};

// Some queries through one slice, by a warp.
template <Distance distance>
SHOAL_DEVICE void search_slice(const CurveLaunch& f, std::int64_t first_query, std::int64_t slice) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp, group = lane / kCurvePad, part = lane % kCurvePad;
  const std::int64_t begin = f.stored * slice / f.slices, end = f.stored * (slice + 1) / f.slices;
  const auto at_most = [](std::int64_t i, std::int64_t last) { return i < last ? i : last; };
  Pairs pairs;
  pairs.points = f.points;
#pragma unroll
  for (int q = 0; q < kPairQueries; ++q) pairs.query[q] = f.query + at_most(first_query + q, f.queries - 1) * f.points;
  double farthest[kPairQueries];
#pragma unroll
  for (int q = 0; q < kPairQueries; ++q) {
    farthest[q] = infinity();
    if (first_query + q < f.queries) NearList(f, slice, first_query + q).clear();
  }
  for (std::int64_t first = begin; first < end; first += kWarpStored) {
    const std::int64_t mine = first + group * kPairStored;
#pragma unroll
    for (int s = 0; s < kPairStored; ++s) pairs.stored[s] = f.library + at_most(mine + s, end - 1) * f.points;
    const OfPairs<double> found = distances_of<distance>(pairs);
#pragma unroll
    for (int q = 0; q < kPairQueries; ++q) {
      if (first_query + q >= f.queries) continue;
      double candidate = infinity();  // of row mine + part
#pragma unroll
      for (int s = 0; s < kPairStored; ++s) {
        if (part == s && mine + s < end) candidate = found.at[q][s];
      }
      NearList list(f, slice, first_query + q);
      list.farthest = farthest[q];
      list.offer(candidate, mine + part);
      farthest[q] = list.farthest;
    }
  }
}

// Of a processor: the sums of an angle need the registers of two.
constexpr int blocks_of_processor(Distance d) { return d == Distance::cosine || d == Distance::scaled ? 1 : 2; }

// A warp takes kPairQueries queries and a slice at a time. Bound by double arithmetic: 4 to 9 operations a point of a pair.
template <Distance distance>
__global__ void __launch_bounds__(kThreads, blocks_of_processor(distance))
    nearest_kernel(const __grid_constant__ CurveLaunch launch) {
  constexpr int kWarps = kThreads / kWarp;
  const std::int64_t tiles = (launch.queries + kPairQueries - 1) / kPairQueries;
  for (std::int64_t item = std::int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp; item < tiles * launch.slices;
       item += std::int64_t{gridDim.x} * kWarps)
    search_slice<distance>(launch, item % tiles * kPairQueries, item / tiles);
}

// The lists of all slices become one, in the place of the first: a warp takes a query.
__global__ void __launch_bounds__(kThreads) merge_kernel(const __grid_constant__ CurveLaunch launch) {
  constexpr int kWarps = kThreads / kWarp;
  for (std::int64_t query = std::int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp; query < launch.queries;
       query += std::int64_t{gridDim.x} * kWarps) {
    NearList all(launch, 0, query);
    all.farthest = all.distances[all.size - 1];
    for (std::int64_t slice = 1; slice < launch.slices; ++slice) {
      const NearList its(launch, slice, query);
      for (std::int64_t first = 0; first < its.size; first += kWarp) {
        const std::int64_t i = first + threadIdx.x % kWarp;
        all.offer(i < its.size ? its.distances[i] : infinity(), i < its.size ? its.index[i] : 0);
      }
    }
  }
}

}  // namespace shoal::cuda
