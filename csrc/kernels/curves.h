// Distances of learning curves (shoal/curves.h has the formulas), in two steps. `curves_near` looks at a tile of pairs in
// float32 and names those that may be near enough; what it leaves out is proven to be farther away. `curve_distance`
// computes one pair in double. So nearly all work has the speed of float32, and the result the bits of double.
#pragma once

#include <cstdint>

#include "shoal/curves.h"

namespace shoal {

inline constexpr std::int64_t kCurveRows = 6, kCurveColumns = 64;  // of a tile: queries, stored curves

enum class CurveSum { absolute, squared, largest };  // of the differences: sum |d|, sum d^2, max |d|

// A pair is near unless its sum S over the points that both have shows the contrary. With limit = low + blur, of its row
// and of its column, and n the smaller one of their counts it is near if
//   S <= limit n (absolute), limit^2 n (squared), limit (largest);   or, squared: S >= max(0, high - blur)^2 n
struct CurveTile {
  CurveSum sum;
  bool masked;  // there are NaN: missing points, which are left out of the sums
  std::int64_t points;
  const float* queries;                  // (points, kCurveRows)
  const float* stored;                   // (points, kCurveColumns), on a cache line
  const float *low, *high, *row_counts;  // (kCurveRows,)
  const float *blur, *column_counts;     // (kCurveColumns,), on a cache line
  std::uint64_t* near;                   // (kCurveRows,) out: a bit a column
};

// An angle's curve counts as zero below this sum of squares: products of smaller ones leave the range of double.
inline constexpr double kZeroSquares = 1e-280;

inline constexpr std::int64_t kCurvePad = 8;  // rows of doubles are padded to a multiple

struct CurvePair {
  Distance distance;
  bool masked;
  std::int64_t points;
  const double *query, *stored;  // (points,), padded with NaN where masked, else with zeros; on a cache line
};

}  // namespace shoal
