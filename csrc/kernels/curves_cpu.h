#pragma once

#include "kernels/curves.h"
#include "kernels/simd.h"

namespace shoal::SHOAL_ISA {

// ---- tiles of pairs in float32: the lanes along the stored curves, a query's value in all of them

// A bit a lane that is set in the mask.
SHOAL_INLINE std::uint64_t lane_bits(vi mask) {
#if defined(__AVX512F__)
  return _mm512_movepi32_mask(reinterpret_cast<__m512i>(mask));
#elif defined(__AVX2__)
  return static_cast<std::uint64_t>(_mm256_movemask_ps(reinterpret_cast<__m256>(mask)));
#else
  std::uint64_t bits = 0;
  for (int l = 0; l < W; ++l) bits |= static_cast<std::uint64_t>(mask[l] & 1) << l;
  return bits;
#endif
}

SHOAL_INLINE vf vabs(vf v) { return reinterpret_cast<vf>(reinterpret_cast<vi>(v) & 0x7FFFFFFF); }
SHOAL_INLINE vf vmin(vf a, vf b) { return a < b ? a : b; }

template <CurveSum sum, bool masked>
SHOAL_INLINE vf add_difference(vf total, vf d) {
  if constexpr (sum == CurveSum::largest) return vmax(vabs(d), total);  // total where d is NaN
  if constexpr (masked) d = select(d == d, d, vf{});
  return sum == CurveSum::squared ? fma(d, d, total) : total + vabs(d);
}

template <CurveSum sum>
SHOAL_INLINE vi near_lanes(vf total, vf low, vf high, vf blur, vf n) {
  const vf limit = low + blur;
  if constexpr (sum == CurveSum::largest) return total <= limit;
  if constexpr (sum == CurveSum::absolute) return total <= limit * n;
  const vf least = vmax(high - blur, vf{});
  return (total <= limit * limit * n) | (total >= least * least * n);
}

template <CurveSum sum, bool masked>
static void near_tile(const CurveTile& f) {
  constexpr int rows = kCurveRows, vectors = kAccumulators / rows;
  for (int first = 0; first < kCurveColumns; first += vectors * W) {
    vf total[rows][vectors] = {};
    for (std::int64_t t = 0; t < f.points; ++t) {
      vf stored[vectors];
      SHOAL_UNROLL
      for (int v = 0; v < vectors; ++v) stored[v] = in_register(load(f.stored + t * kCurveColumns + first + v * W));
      SHOAL_UNROLL
      for (int r = 0; r < rows; ++r) {
        const vf query = in_register(splat(f.queries[t * rows + r]));
        SHOAL_UNROLL
        for (int v = 0; v < vectors; ++v) total[r][v] = add_difference<sum, masked>(total[r][v], stored[v] - query);
      }
    }
    SHOAL_UNROLL
    for (int v = 0; v < vectors; ++v) {
      const int column = first + v * W;
      const vf blur = load(f.blur + column), counts = load(f.column_counts + column);
      SHOAL_UNROLL
      for (int r = 0; r < rows; ++r) {
        const vf n = vmin(counts, splat(f.row_counts[r]));
        const vi near = near_lanes<sum>(total[r][v], splat(f.low[r]), splat(f.high[r]), blur, n);
        f.near[r] |= lane_bits(near) << column;
      }
    }
  }
}

static void curves_near(const CurveTile& f) {
  for (int r = 0; r < kCurveRows; ++r) f.near[r] = 0;
  switch (f.sum) {
    case CurveSum::absolute:
      return f.masked ? near_tile<CurveSum::absolute, true>(f) : near_tile<CurveSum::absolute, false>(f);
    case CurveSum::squared:
      return f.masked ? near_tile<CurveSum::squared, true>(f) : near_tile<CurveSum::squared, false>(f);
    case CurveSum::largest: return near_tile<CurveSum::largest, false>(f);
  }
}

// ---- one pair in double: eight partial sums whatever the vectors, so that every instruction set gives the same bits

using vd = double __attribute__((vector_size(4 * W)));
inline constexpr int kDoubles = W / 2, kParts = kCurvePad / kDoubles;

SHOAL_INLINE vd load_doubles(const double* p) { return *reinterpret_cast<const vd*>(p); }
SHOAL_INLINE vd absolute(vd v) { return v < 0 ? -v : v; }

// Over all points a vector at a time, in `sums` running sums: add(part, a, b) adds to one part of each of them.
template <int sums, class Add, class Merge>
SHOAL_INLINE void over_points(const CurvePair& f, double (&result)[sums], const Add& add, const Merge& merge) {
  vd part[kParts][sums] = {};
  for (std::int64_t i = 0; i < f.points; i += kCurvePad) {
    SHOAL_UNROLL
    for (int p = 0; p < kParts; ++p)
      add(part[p], load_doubles(f.query + i + p * kDoubles), load_doubles(f.stored + i + p * kDoubles));
  }
  for (int s = 0; s < sums; ++s) {
    double all[kCurvePad];
    for (int p = 0; p < kParts; ++p) __builtin_memcpy(all + p * kDoubles, &part[p][s], sizeof part[p][s]);
    for (int width = kCurvePad / 2; width > 0; width /= 2) {
      for (int l = 0; l < width; ++l) all[l] = merge(all[l], all[l + width]);
    }
    result[s] = all[0];
  }
}

SHOAL_INLINE double plus(double x, double y) { return x + y; }
SHOAL_INLINE double larger(double x, double y) { return x > y ? x : y; }

// x, or zero where one of the curves has no point.
template <bool masked>
SHOAL_INLINE vd where_both(vd a, vd b, vd x) {
  if constexpr (!masked) return x;
  const vd difference = a - b;
  return difference == difference ? x : vd{};
}

// The mean of term(a, b) over the points that both have; infinite where there are none.
template <bool masked, class Term>
SHOAL_INLINE double mean_of(const CurvePair& f, const Term& term) {
  double sum[2];
  const auto add = [&](vd* part, vd a, vd b) {
    part[0] += where_both<masked>(a, b, term(a, b));
    if constexpr (masked) part[1] += where_both<masked>(a, b, vd{} + 1);
  };
  over_points<2>(f, sum, add, plus);
  const double n = masked ? sum[1] : static_cast<double>(f.points);
  return n > 0 ? sum[0] / n : __builtin_inf();
}

// Over the points that both have.
struct Products {
  double ab, aa, bb, n;
};

template <bool masked>
SHOAL_INLINE Products products(const CurvePair& f) {
  double sum[4];
  const auto add = [](vd* part, vd a, vd b) {
    part[0] += where_both<masked>(a, b, a * b);
    part[1] += where_both<masked>(a, b, a * a);
    part[2] += where_both<masked>(a, b, b * b);
    if constexpr (masked) part[3] += where_both<masked>(a, b, vd{} + 1);
  };
  over_points<4>(f, sum, add, plus);
  return {sum[0], sum[1], sum[2], masked ? sum[3] : static_cast<double>(f.points)};
}

// One root of the product is exact where both are equal, so that a curve's cosine with itself is 1; two have more range.
SHOAL_INLINE double cosine_distance(const Products& p) {
  if (p.n == 0) return __builtin_inf();
  const bool zero_a = p.aa < kZeroSquares, zero_b = p.bb < kZeroSquares;
  if (zero_a || zero_b) return zero_a && zero_b ? 0 : 1;
  const double product = p.aa * p.bb;
  const bool in_range = 1e-290 < product && product < 1e290;
  const double lengths = in_range ? __builtin_sqrt(product) : __builtin_sqrt(p.aa) * __builtin_sqrt(p.bb);
  const double cosine = p.ab / lengths;
  return 1 - (cosine > 1 ? 1 : cosine < -1 ? -1 : cosine);
}

template <bool masked>
SHOAL_INLINE double pair_distance(const CurvePair& f) {
  const auto squares = [](double factor) {
    return [factor](vd a, vd b) { return (a - factor * b) * (a - factor * b); };
  };
  switch (f.distance) {
    case Distance::l1: return mean_of<masked>(f, [](vd a, vd b) { return absolute(a - b); });
    case Distance::l2: return __builtin_sqrt(mean_of<masked>(f, squares(1)));
    case Distance::linf: {
      double most[2];  // and whether there is a point
      const auto add = [](vd* part, vd a, vd b) {
        const vd size = absolute(a - b);
        part[0] = size > part[0] ? size : part[0];
        part[1] = size == size ? vd{} + 1 : part[1];
      };
      over_points<2>(f, most, add, larger);
      return most[1] > 0 ? most[0] : __builtin_inf();
    }
    case Distance::cosine: return cosine_distance(products<masked>(f));
    case Distance::scaled: {
      const Products p = products<masked>(f);
      return __builtin_sqrt(mean_of<masked>(f, squares(p.bb >= kZeroSquares ? p.ab / p.bb : 0)));
    }
  }
  return 0;
}

static double curve_distance(const CurvePair& f) { return f.masked ? pair_distance<true>(f) : pair_distance<false>(f); }

}  // namespace shoal::SHOAL_ISA
