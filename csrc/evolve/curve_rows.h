// Learning curves as the kernels take them: in double, as they are; in float32, for tiles of pairs.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/buffer.h"
#include "core/thread_pool.h"
#include "kernels/curves.h"

namespace shoal {

inline bool is_angle(Distance d) { return d == Distance::cosine || d == Distance::scaled; }

inline constexpr const char* kInfiniteCurve =
    "curves must be finite, or NaN where a point is missing; one has an infinite value";

// All that the curves of one call have in common.
struct CurveExtent {
  double largest = 0;   // absolute value
  bool masked = false;  // there are NaN

  void look(const Curves& curves, std::int64_t points);  // throws InvalidArgument
};

// For curve_distance: (count, points), each row on a cache line.
class CurveRows {
 public:
  CurveRows(const Curves& curves, std::int64_t points, bool masked, ThreadPool& pool);
  const double* operator[](std::int64_t i) const { return reinterpret_cast<double*>(values_.data()) + i * stride_; }
  std::int64_t count() const { return count_; }
  std::int64_t points() const { return points_; }

 private:
  std::int64_t count_, points_, stride_;
  Buffer values_;
};

// What sums in float32 tell of distances.
class CurveBounds {
 public:
  CurveBounds(Distance distance, std::int64_t points, const CurveExtent& extent);

  CurveSum sum() const;
  // What a curve is multiplied by before it becomes float32: an angle's by one over its length, so that
  // |a/|a| - b/|b||^2 = 2 (1 - cos); all others by one power of two, so that no square overflows.
  double factor(const double* row) const;
  // Scales the direction v of a line so that levels v.a differ by no more than the curves do, by Hoelder's inequality:
  // |v.a - v.b| <= mean |a - b| T max |v|, sqrt(mean (a - b)^2) sqrt(T) |v|, max |a - b| sum |v|.
  void normalise(std::vector<double>& line) const;
  // Where a curve, times its factor, lies on a line; all at 0 where points are missing.
  double level(const double* row, const std::vector<double>& line) const;
  double level_error() const { return exact_; }
  // How far values of at most this size may be from what they were before they became float32.
  double blur(double most) const;
  // CurveTile's low and high for a query with this root mean square whose k-th nearest curve is at `farthest`.
  std::pair<double, double> limits(double farthest, double size) const;

 private:
  double of_cosine(double distance) const;

  Distance distance_;
  std::int64_t points_;
  bool masked_;
  double scale_;
  double slack_;  // relative, of a sum in float32
  double exact_;  // absolute, of a cosine, a sine or a level in double
};

struct CurveFrame;

// For curves_near: `width` curves side by side in the order of their levels, less the mean of the stored ones, so that an
// offset that all have costs no digits.
class CurveTiles {
 public:
  CurveTiles(const CurveRows& rows, const CurveFrame& frame, std::int64_t width, const CurveBounds& bounds,
             ThreadPool& pool);

  std::int64_t count() const { return count_; }
  std::int64_t row(std::int64_t place) const { return order_[static_cast<std::size_t>(place)]; }
  // No curve of the tile lies outside of [lowest, highest].
  double lowest(std::int64_t tile) const { return levels_[static_cast<std::size_t>(tile * width_)] - error_; }
  double highest(std::int64_t tile) const {
    return levels_[std::min(static_cast<std::size_t>((tile + 1) * width_), levels_.size()) - 1] + error_;
  }
  std::int64_t at_level(double level) const {  // the first tile that reaches it
    return (std::lower_bound(levels_.begin(), levels_.end(), level) - levels_.begin()) / width_;
  }
  const float* values(std::int64_t tile) const { return array(values_) + tile * width_ * points_; }
  const float* blur(std::int64_t tile) const { return array(blur_) + tile * width_; }
  const float* counts(std::int64_t tile) const { return array(counts_) + tile * width_; }

 private:
  static float* array(const Buffer& buffer) { return reinterpret_cast<float*>(buffer.data()); }

  std::int64_t width_, points_, count_;
  std::vector<std::int64_t> order_;
  std::vector<double> levels_;  // ascending
  double error_;
  Buffer values_, blur_, counts_;  // (tiles, points, width), (tiles, width) twice
};

// Root of the sum of squares of a curve without missing points.
double length(const double* row, std::int64_t points);

}  // namespace shoal
