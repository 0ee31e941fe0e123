// The distances of learning curves, on every instruction set this machine has.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "kernels/kernels.h"

using namespace shoal;

namespace {

constexpr Distance kDistances[] = {Distance::l1, Distance::l2, Distance::linf, Distance::cosine, Distance::scaled};

struct Floats {
  explicit Floats(std::int64_t count) : buffer(static_cast<std::size_t>(count) * sizeof(float)) {}
  float* data() const { return reinterpret_cast<float*>(buffer.data()); }
  float& operator[](std::int64_t i) const { return data()[i]; }
  Buffer buffer;
};

// A padded row of doubles.
struct Row {
  Row(std::int64_t points, bool masked, std::mt19937& engine)
      : buffer(static_cast<std::size_t>((points + kCurvePad - 1) / kCurvePad * kCurvePad) * sizeof(double)) {
    std::normal_distribution<double> draw;
    const double missing = std::numeric_limits<double>::quiet_NaN();
    const auto size = static_cast<std::int64_t>(buffer.size() / sizeof(double));
    for (std::int64_t t = 0; t < size; ++t) {
      const bool hole = t >= points || engine() % 4 == 0;
      data()[t] = hole && masked ? missing : t < points ? draw(engine) : 0;
    }
  }
  double* data() const { return reinterpret_cast<double*>(buffer.data()); }
  Buffer buffer;
};

}  // namespace

TEST_CASE("curves: a distance in double has the same bits on every instruction set") {
  std::mt19937 engine(3);
  for (const std::int64_t points : {1, 7, 8, 9, 100}) {
    for (const bool masked : {false, true}) {
      const Row a(points, masked, engine), b(points, masked, engine);
      for (const Distance distance : kDistances) {
        const CurvePair pair{distance, masked, points, a.data(), b.data()};
        const double want = kernels().curve_distance(pair);
        CHECK(want >= 0);
        for (const Kernels* k : available_kernels()) CHECK(k->curve_distance(pair) == want);
      }
    }
  }
}

TEST_CASE("curves: a tile names the pairs within the limits") {
  std::mt19937 engine(5);
  std::uniform_real_distribution<float> draw(-1, 1);
  for (const CurveSum sum : {CurveSum::absolute, CurveSum::squared, CurveSum::largest}) {
    for (const bool masked : {false, true}) {
      const std::int64_t points = 19;
      const Floats queries(points * kCurveRows), stored(points * kCurveColumns);
      const Floats low(kCurveRows), high(kCurveRows), rows(kCurveRows), blur(kCurveColumns), columns(kCurveColumns);
      const auto value = [&] { return masked && engine() % 4 == 0 ? std::nanf("") : draw(engine); };
      for (std::int64_t i = 0; i < points * kCurveRows; ++i) queries[i] = value();
      for (std::int64_t i = 0; i < points * kCurveColumns; ++i) stored[i] = value();
      for (std::int64_t r = 0; r < kCurveRows; ++r) {
        low[r] = sum == CurveSum::largest ? 1.2f : 0.5f + 0.05f * static_cast<float>(r);
        high[r] = r % 2 == 0 ? 0.9f : std::numeric_limits<float>::infinity();
        rows[r] = static_cast<float>(r == 0 ? 0 : points - r);
      }
      for (std::int64_t c = 0; c < kCurveColumns; ++c) {
        blur[c] = 0.002f * static_cast<float>(c);
        columns[c] = static_cast<float>(points - c % 5);
      }
      for (const Kernels* k : available_kernels()) {
        std::uint64_t near[kCurveRows];
        k->curves_near({sum, masked, points, queries.data(), stored.data(), low.data(), high.data(), rows.data(),
                        blur.data(), columns.data(), near});
        for (std::int64_t r = 0; r < kCurveRows; ++r) {
          for (std::int64_t c = 0; c < kCurveColumns; ++c) {
            double total = 0;
            for (std::int64_t t = 0; t < points; ++t) {
              const double d = std::fabs(double{queries[t * kCurveRows + r]} - double{stored[t * kCurveColumns + c]});
              if (std::isnan(d)) continue;
              total = sum == CurveSum::largest ? std::max(total, d) : total + (sum == CurveSum::squared ? d * d : d);
            }
            const double limit = low[r] + blur[c], least = std::max(0.0f, high[r] - blur[c]);
            const double n = std::min(rows[r], columns[c]);
            const double most = sum == CurveSum::largest    ? limit
                                : sum == CurveSum::absolute ? limit * n
                                                            : limit * limit * n;
            const bool far_side = sum == CurveSum::squared && total >= least * least * n;
            CAPTURE(std::string(k->name));
            CHECK(((near[r] >> c & 1) != 0) == (total <= most || far_side));
          }
        }
      }
    }
  }
}
