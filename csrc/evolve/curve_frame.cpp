#include "evolve/curve_frame.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace shoal {
namespace {

std::vector<double> mean_curve(const CurveRows& rows, const CurveBounds& bounds) {
  std::vector<double> mean(static_cast<std::size_t>(rows.points()));
  std::vector<std::int64_t> present(mean.size());
  for (std::int64_t i = 0; i < rows.count(); ++i) {
    const double scale = bounds.factor(rows[i]);
    for (std::size_t t = 0; t < mean.size(); ++t) {
      if (std::isnan(rows[i][t])) continue;
      mean[t] += rows[i][t] * scale;
      ++present[t];
    }
  }
  for (std::size_t t = 0; t < mean.size(); ++t) mean[t] /= static_cast<double>(std::max<std::int64_t>(1, present[t]));
  return mean;
}

// Three rounds of the power method towards the first principal component, from a few curves: any line would do.
std::vector<double> line_of(const CurveRows& rows, const std::vector<double>& mean, const CurveBounds& bounds) {
  constexpr std::int64_t kCurves = 1024;
  std::vector<double> line(mean.size(), 1), next(mean.size()), curve(mean.size());
  for (int round = 0; round < 3; ++round) {
    std::fill(next.begin(), next.end(), 0);
    for (std::int64_t i = 0; i < rows.count(); i += rows.count() / kCurves + 1) {
      const double factor = bounds.factor(rows[i]);
      for (std::size_t t = 0; t < mean.size(); ++t) curve[t] = rows[i][t] * factor - mean[t];
      const double along = std::inner_product(curve.begin(), curve.end(), line.begin(), 0.0);
      for (std::size_t t = 0; t < mean.size(); ++t) next[t] += along * curve[t];
    }
    const double size = length(next.data(), std::ssize(next));
    if (!(size > 0)) break;  // they are all alike, or points are missing
    std::transform(next.begin(), next.end(), line.begin(), [&](double v) { return v / size; });
  }
  bounds.normalise(line);
  return line;
}

}  // namespace

CurveFrame frame_of(const CurveRows& rows, const CurveBounds& bounds) {
  std::vector<double> mean = mean_curve(rows, bounds), line = line_of(rows, mean, bounds);
  return {std::move(mean), std::move(line)};
}

}  // namespace shoal
