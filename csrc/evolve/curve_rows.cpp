#include "evolve/curve_rows.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "core/share.h"
#include "evolve/curve_frame.h"
#include "shoal/error.h"

namespace shoal {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::int64_t pieces(std::int64_t n, std::int64_t size) { return (n + size - 1) / size; }

// A power of two by which values of this size become 1 at most; neither it nor one over it is a denormal number.
double scale_of(double largest) {
  constexpr int kMost = 1000;
  return largest > 0 ? std::ldexp(1.0, -std::clamp(std::ilogb(largest) + 1, -kMost, kMost)) : 1;
}

Buffer floats(std::int64_t count) { return Buffer(static_cast<std::size_t>(count) * sizeof(float)); }

}  // namespace

double length(const double* row, std::int64_t points) {
  double sum = 0;
  for (std::int64_t t = 0; t < points; ++t) sum += row[t] * row[t];
  return std::sqrt(sum);
}

void CurveExtent::look(const Curves& curves, std::int64_t points) {
  const double* const end = curves.values + curves.count * points;
  for (const double* value = curves.values; value != end; ++value) {
    const double size = std::fabs(*value);
    masked |= size != size;
    largest = std::max(largest, size);  // largest where size is NaN
  }
  require(largest < kInfinity, kInfiniteCurve);
}

CurveRows::CurveRows(const Curves& curves, std::int64_t points, bool masked, ThreadPool& pool)
    : count_(curves.count),
      points_(points),
      stride_(pieces(points, kCurvePad) * kCurvePad),
      values_(static_cast<std::size_t>(count_ * stride_) * sizeof(double)) {
  const double padding = masked ? std::numeric_limits<double>::quiet_NaN() : 0;
  pool.run([&](int rank) {
    const Range mine = share(count_, rank, pool.size());
    for (std::int64_t i = mine.begin; i < mine.end; ++i) {
      double* row = reinterpret_cast<double*>(values_.data()) + i * stride_;
      std::copy_n(curves.values + i * points, points, row);
      std::fill(row + points, row + stride_, padding);
    }
  });
}

CurveBounds::CurveBounds(Distance distance, std::int64_t points, const CurveExtent& extent)
    : distance_(distance),
      points_(points),
      masked_(extent.masked),
      scale_(scale_of(extent.largest)),
      slack_(std::ldexp(static_cast<double>(points + 8), -23)),  // twice the roundings of 2^-24 each
      exact_(std::ldexp(static_cast<double>(points + 8), -51)) {}

double CurveBounds::factor(const double* row) const {
  if (!is_angle(distance_)) return scale_;
  const double size = length(row, points_);
  return size * size < kZeroSquares ? 0 : 1 / size;
}

double CurveBounds::level(const double* row, const std::vector<double>& line) const {
  if (masked_) return 0;
  const double level = std::inner_product(line.begin(), line.end(), row, 0.0) * factor(row);
  return distance_ == Distance::scaled ? std::fabs(level) : level;  // a multiple may be negative
}

void CurveBounds::normalise(std::vector<double>& line) const {
  double most = 0, sum = 0, squares = 0;
  for (const double v : line) {
    most = std::max(most, std::fabs(v));
    sum += std::fabs(v);
    squares += v * v;
  }
  const auto points = static_cast<double>(points_);
  const double size = distance_ == Distance::l1     ? points * most
                      : distance_ == Distance::linf ? sum
                                                    : std::sqrt(points * squares);
  for (double& v : line) v /= size;
}

CurveSum CurveBounds::sum() const {
  if (distance_ == Distance::l1) return CurveSum::absolute;
  return distance_ == Distance::linf ? CurveSum::largest : CurveSum::squared;
}

// The mean was subtracted in double from values of size 1 at most.
double CurveBounds::blur(double most) const { return (std::ldexp(most, -23) + std::ldexp(1.0, -50)) * (1 + slack_); }

std::pair<double, double> CurveBounds::limits(double farthest, double size) const {
  if (farthest == kInfinity) return {kInfinity, kInfinity};
  constexpr double kUnderflow = 1e-150;  // squares of what is smaller are lost in double
  if (!is_angle(distance_)) return {(farthest + kUnderflow) * scale_ * (1 + slack_), kInfinity};
  if (distance_ == Distance::cosine) return {of_cosine(farthest + exact_), kInfinity};
  // scaled: farthest / size is the sine of an angle, or of pi less it, as the best multiple may be negative.
  const double sine = (farthest + kUnderflow) / size + exact_;
  if (sine >= 1 || size * size < kZeroSquares) return {kInfinity, kInfinity};
  const double near = sine * sine / (1 + std::sqrt(1 - sine * sine));  // 1 - cos, without cancellation
  return {of_cosine(near), std::sqrt((4 - 2 * near) / static_cast<double>(points_)) * (1 - slack_)};
}

double CurveBounds::of_cosine(double distance) const {
  return std::sqrt(2 * distance / static_cast<double>(points_)) * (1 + slack_);
}

CurveTiles::CurveTiles(const CurveRows& rows, const CurveFrame& frame, std::int64_t width, const CurveBounds& bounds,
                       ThreadPool& pool)
    : width_(width),
      points_(rows.points()),
      count_(pieces(rows.count(), width)),
      order_(static_cast<std::size_t>(rows.count())),
      levels_(order_.size()),
      error_(bounds.level_error()),
      values_(floats(count_ * width * points_)),
      blur_(floats(count_ * width)),
      counts_(floats(count_ * width)) {
  std::vector<std::pair<double, std::int64_t>> places(order_.size());
  pool.for_each(rows.count(), [&](std::int64_t i, int) {
    places[static_cast<std::size_t>(i)] = {bounds.level(rows[i], frame.line), i};
  });
  std::sort(places.begin(), places.end());
  std::transform(places.begin(), places.end(), levels_.begin(), [](const auto& place) { return place.first; });
  std::transform(places.begin(), places.end(), order_.begin(), [](const auto& place) { return place.second; });
  pool.for_each(rows.count(), [&](std::int64_t i, int) {
    const double* const from = rows[row(i)];
    float* to = array(values_) + i / width * width * points_ + i % width;
    const double scale = bounds.factor(from);
    double most = 0;
    std::int64_t present = 0;
    for (std::int64_t t = 0; t < points_; ++t) {
      const double value = from[t] * scale - frame.mean[static_cast<std::size_t>(t)];
      to[t * width] = static_cast<float>(value);
      most = std::max(most, std::fabs(value));  // most where it is NaN
      present += value == value;
    }
    array(blur_)[i] = static_cast<float>(bounds.blur(most));
    array(counts_)[i] = static_cast<float>(present);
  });
}

}  // namespace shoal
