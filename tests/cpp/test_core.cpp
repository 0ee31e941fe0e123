#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <numbers>
#include <set>
#include <stdexcept>

#include "core/normal.h"
#include "core/rng.h"
#include "core/thread_pool.h"

using namespace shoal;

namespace {

using Words = std::array<std::uint32_t, 4>;

std::array<double, 2> normals(const Words& words) {
  const std::uint32_t drawn[4] = {words[0], words[1], words[2], words[3]};
  std::array<double, 2> pair{};
  normal_pair<OneDouble>(drawn, pair[0], pair[1]);
  return pair;
}

}  // namespace

// The known answers that Philox's authors publish (Random123, kat_vectors).
TEST_CASE("philox gives its published answers") {
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}) == Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("normal numbers are those of Box and Muller's formula") {
  const auto unit = [](std::uint32_t high, std::uint32_t low) {
    return ((high >> 5) * 67108864.0L + (low >> 6)) / 9007199254740992.0L;
  };
  std::vector<Words> cases{{0, 0, 0, 0}, {~0u, ~0u, ~0u, ~0u}, {~0u, ~0u, 0, 0}, {0, 0, ~0u, ~0u}, {1u << 31, 0, 1, 1}};
  for (std::uint32_t i = 0; i < 1000; ++i) cases.push_back(philox({i, 0, 0, 0}, {3, 4}));
  for (std::uint32_t i = 0; i < 8; ++i) cases.push_back({1u << 30, 0, i << 29, 0});  // eighths of the circle
  for (const Words& w : cases) {
    const long double radius = std::sqrt(-2 * std::log(unit(w[0], w[1]) + 1 / 9007199254740992.0L));
    const long double angle = 2 * std::numbers::pi_v<long double> * unit(w[2], w[3]);
    const auto [a, b] = normals(w);
    CAPTURE(w[0]);
    CAPTURE(w[2]);
    CHECK(std::abs(static_cast<double>(a - radius * std::cos(angle))) < 1e-14);
    CHECK(std::abs(static_cast<double>(b - radius * std::sin(angle))) < 1e-14);
  }
}

TEST_CASE("normal numbers have mean 0, variance 1 and a normal fourth moment") {
  double sum = 0, squares = 0, fourth = 0;
  constexpr int kPairs = 50000;
  for (std::uint32_t i = 0; i < kPairs; ++i) {
    for (const double x : normals(philox({i, 0, 0, 0}, {1, 2}))) {
      sum += x;
      squares += x * x;
      fourth += x * x * x * x;
    }
  }
  // five standard errors
  CHECK(std::abs(sum / (2 * kPairs)) < 5 / std::sqrt(2.0 * kPairs));
  CHECK(std::abs(squares / (2 * kPairs) - 1) < 5 * std::sqrt(2.0 / (2 * kPairs)));
  CHECK(std::abs(fourth / (2 * kPairs) - 3) < 5 * std::sqrt(96.0 / (2 * kPairs)));
}

TEST_CASE("a shuffle is a permutation, differs by epoch and leaves few samples in place") {
  for (const std::uint32_t n : {1u, 2u, 3u, 5u, 16u, 17u, 100u, 255u, 256u, 257u, 1000u, 60000u}) {
    CAPTURE(n);
    const Shuffle first(n, {7, 3}, 0), second(n, {7, 3}, 1);
    std::set<std::uint32_t> seen;
    std::uint32_t fixed = 0, same = 0;
    for (std::uint32_t i = 0; i < n; ++i) {
      const std::uint32_t to = shuffled(first, i);
      CHECK(to < n);
      seen.insert(to);
      fixed += to == i;
      same += to == shuffled(second, i);
    }
    CHECK(seen.size() == n);
    if (n < 100) continue;
    CHECK(fixed <= 8);  // one is expected; nine or more has probability 1e-6
    CHECK(same <= 8);
  }
}

TEST_CASE("a shuffle sends every place to every sample about equally often") {
  constexpr std::uint32_t n = 10, kEpochs = 20000;
  double chi2 = 0;
  std::vector<int> counts(n * n);
  for (std::uint32_t epoch = 0; epoch < kEpochs; ++epoch) {
    const Shuffle s(n, {1, 1}, epoch);
    for (std::uint32_t i = 0; i < n; ++i) ++counts[i * n + shuffled(s, i)];
  }
  for (const int count : counts) chi2 += (count - 2000.0) * (count - 2000.0) / 2000.0;
  CHECK(chi2 < 140);  // 81 degrees of freedom: mean 81, p = 5e-5 at 140
}

TEST_CASE("a thread pool does every item once and passes exceptions on") {
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    CHECK(pool.size() == threads);
    for (int repeat = 0; repeat < 50; ++repeat) {
      std::vector<std::atomic<int>> done(37);
      pool.for_each(37, [&](std::int64_t item, int) { ++done[static_cast<std::size_t>(item)]; });
      for (const auto& count : done) CHECK(count == 1);
    }
    CHECK_THROWS_AS(pool.run([](int rank) {
      if (rank == 0) throw std::runtime_error("no");
    }),
                    std::runtime_error);
    std::atomic<int> after{0};
    pool.run([&](int) { ++after; });
    CHECK(after == threads);
  }
}

TEST_CASE("denormal numbers are zero inside a pool, and only there") {
  volatile float tiny = 1e-38f;
  ThreadPool pool(2);
  std::atomic<int> zero{0};
  pool.run([&](int) { zero += tiny * 0.1f == 0; });
#if defined(__x86_64__)
  CHECK(zero == 2);
#endif
  CHECK(tiny * 0.1f > 0);
}

TEST_CASE("a barrier lets nobody through early") {
  constexpr int kThreads = 3, kRounds = 500;
  ThreadPool pool(kThreads);
  Barrier barrier(kThreads);
  std::vector<int> written(kThreads, -1);
  std::atomic<int> wrong{0};
  pool.run([&](int rank) {
    for (int round = 0; round < kRounds; ++round) {
      written[static_cast<std::size_t>(rank)] = round;
      barrier.wait();
      for (const int value : written) wrong += value != round;
      barrier.wait();
    }
  });
  CHECK(wrong == 0);
}
