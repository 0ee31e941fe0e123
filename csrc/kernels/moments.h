// Means, sums of squared deviations and of their product of two series, in one pass that loses no digits to a common
// offset: a value at a time (Welford 1962), or two parts merged (Chan, Golub and LeVeque 1979).
#pragma once

#include <cmath>

#include "core/share.h"

namespace shoal {

struct Moments {
  double count = 0;
  double mean_y = 0, mean_t = 0;
  double yy = 0, tt = 0, yt = 0;  // sums of (y - mean y)^2, (t - mean t)^2, (y - mean y) (t - mean t)

  SHOAL_HD void add(double y, double t) { merge({1, y, t, 0, 0, 0}); }

  SHOAL_HD void merge(const Moments& other) {
    if (other.count == 0) return;
    const double before = count;
    count += other.count;
    const double share = other.count / count, dy = other.mean_y - mean_y, dt = other.mean_t - mean_t;
    mean_y += dy * share;
    mean_t += dt * share;
    yy += other.yy + dy * dy * before * share;
    tt += other.tt + dt * dt * before * share;
    yt += other.yt + dy * dt * before * share;
  }

  // Pearson's, in [-1, 1]; 0 where one of the series is constant.
  double correlation() const {
    if (yy == 0 || tt == 0) return 0 * (yy + tt);  // NaN where they are not finite
    const double r = yt / (std::sqrt(yy) * std::sqrt(tt));
    return r > 1 ? 1 : r < -1 ? -1 : r;
  }

  // 1 - squares / tt, `squares` being the sum of (y - t)^2. Of a constant t it is 1 where y equals it, else 0.
  double r2(double squares) const {
    if (tt == 0) return squares == 0 ? 1 : 0 * squares;  // NaN where they are not finite
    return 1 - squares / tt;
  }
};

}  // namespace shoal
