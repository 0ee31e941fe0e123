// How alike learning curves are: the nearest of many stored ones.
#pragma once

#include <cstdint>
#include <string>

namespace shoal {

// Of curves a and b over the n points that both have; `scaled` is the l2 distance to the best multiple f of the stored
// curve b, f = a.b / b.b (0 where b is zero). Two zero curves (b.b < 1e-280) have the cosine distance 0, a zero and another one 1.
//   l1  mean |a - b|    l2  sqrt(mean (a - b)^2)    linf  max |a - b|    cosine  1 - a.b / (|a| |b|)
//   scaled  sqrt(mean (a - f b)^2)
enum class Distance { l1, l2, linf, cosine, scaled };

// Curves at the same points: (count, points) in rows. NaN: the point is missing. For a GPU they may be in its memory.
struct Curves {
  std::int64_t count;
  const double* values;
};

struct NearestCurves {
  Distance distance;
  std::int64_t points;  // T
  Curves queries, stored;
  std::int64_t neighbours;     // k
  int threads = 0;             // 0: all cores this process may use
  std::int64_t* index;         // (queries, k) out: rows of `stored`, the nearest first; of equals the lower row first
  double* distances;           // (queries, k) out
  std::string device = "cpu";  // or "cuda:0", ...: the name of one of devices()
};

// Distances are computed in double, each sum in one order: they do not depend on threads, on the instruction set or on the
// other curves, and a curve's distance to its equal is 0. A stored curve that has no point in common with a query is
// never near it, nor one whose distance is beyond the range of double (squares of 10^154); where
// there are fewer than k others, index is -1 and the distance infinite. A GPU gives the same bits, unless a number on the way
// is below 2^-1022, which counts as zero on the processor. Throws InvalidArgument for infinite values.
void nearest_curves(const NearestCurves& task);

}  // namespace shoal
