// The nearest curves on a GPU, emulated: the processor's bits, wherever the curves are.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include <cuda_runtime.h>
#include "core/cuda.h"
#include "shoal/curves.h"
#include "shoal/error.h"

using namespace shoal;

namespace {

constexpr Distance kDistances[] = {Distance::l1, Distance::l2, Distance::linf, Distance::cosine, Distance::scaled};
constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

struct Set {
  std::int64_t count, points;
  std::vector<double> values;

  // Some are zero, some equal, and where points are missing one curve has none.
  Set(std::int64_t count_, std::int64_t points_, bool masked, unsigned seed)
      : count(count_), points(points_), values(static_cast<std::size_t>(count * points)) {
    std::mt19937 engine(seed);
    std::normal_distribution<double> draw;
    for (std::int64_t i = 0; i < count; ++i) {
      for (std::int64_t t = 0; t < points; ++t) {
        double& value = values[static_cast<std::size_t>(i * points + t)];
        value = i % 7 == 3 ? 0 : i % 5 == 4 ? values[static_cast<std::size_t>(t)] : draw(engine);
        if (masked && (engine() % 4 == 0 || i == 2)) value = kMissing;
      }
    }
  }
  Curves curves() const { return {count, values.data()}; }
};

struct Answer {
  std::vector<std::int64_t> index;
  std::vector<double> distances;
  bool operator==(const Answer&) const = default;
};

Answer nearest(const char* device, Distance distance, std::int64_t points, Curves queries, Curves stored,
               std::int64_t k) {
  const auto size = static_cast<std::size_t>(queries.count * k);
  Answer answer{std::vector<std::int64_t>(size), std::vector<double>(size)};
  nearest_curves({.distance = distance,
                  .points = points,
                  .queries = queries,
                  .stored = stored,
                  .neighbours = k,
                  .threads = 1,
                  .index = answer.index.data(),
                  .distances = answer.distances.data(),
                  .device = device});
  return answer;
}

}  // namespace

TEST_CASE("cuda: the nearest curves have the processor's bits") {
  struct Size {
    std::int64_t queries, stored, points, k;
  };
  for (const Size& size : {Size{1, 1, 1, 1}, Size{3, 5, 4, 7}, Size{6, 70, 8, 3}, Size{9, 150, 19, 40},
                           Size{2, 300, 3, 1}, Size{4, 0, 3, 2}, Size{0, 3, 3, 2}}) {
    for (const bool masked : {false, true}) {
      const Set queries(size.queries, size.points, masked, 1), stored(size.stored, size.points, masked, 2);
      for (const Distance distance : kDistances) {
        CAPTURE(size.stored);
        CAPTURE(masked);
        CAPTURE(static_cast<int>(distance));
        const Answer want = nearest("cpu", distance, size.points, queries.curves(), stored.curves(), size.k);
        CHECK(nearest("cuda:0", distance, size.points, queries.curves(), stored.curves(), size.k) == want);
      }
    }
  }
}

TEST_CASE("cuda: curves in a GPU's memory are used where they are") {
  const Set queries(5, 11, true, 3), stored(90, 11, true, 4);
  const cuda::Memory one(queries.values.size() * sizeof(double)), two(stored.values.size() * sizeof(double));
  std::memcpy(one.data(), queries.values.data(), one.size());
  std::memcpy(two.data(), stored.values.data(), two.size());
  const Answer want = nearest("cpu", Distance::l2, 11, queries.curves(), stored.curves(), 4);
  const int before = emulation::copies;
  CHECK(nearest("cuda:0", Distance::l2, 11, {5, one.as<double>()}, {90, two.as<double>()}, 4) == want);
  CHECK(emulation::copies - before == 3);  // what was found: a flag, rows, distances
}

TEST_CASE("cuda: curves with infinite values are refused, and so is a device that is not there") {
  Set stored(20, 6, false, 5);
  const Set queries(3, 6, false, 6);
  CHECK_THROWS_AS(nearest("cuda:7", Distance::l1, 6, queries.curves(), stored.curves(), 1), DeviceError);
  stored.values[77] = -INFINITY;
  for (const char* device : {"cpu", "cuda:0"}) {
    CHECK_THROWS_WITH_AS(nearest(device, Distance::l1, 6, queries.curves(), stored.curves(), 1),
                         "curves must be finite, or NaN where a point is missing; one has an infinite value",
                         InvalidArgument);
  }
}
