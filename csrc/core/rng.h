// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
// key = (study seed, member id); counter = (element, row, step, purpose). A number depends on what it is for, never on
// thread, row of the population or call order.
#pragma once

#include <array>
#include <cstdint>

#include "core/share.h"

namespace shoal {

enum class Purpose : std::uint32_t {
  initial_weights = 1,
  data_order = 2,
  dropout = 3,
  augment = 4,
  crossover = 5,
  mutation = 6,
  cross_hyperparameters = 7,
  perturb_hyperparameters = 8
};

struct PhiloxKey {
  std::uint32_t seed, id;
};

inline constexpr std::uint32_t kPhiloxM0 = 0xD2511F53u, kPhiloxM1 = 0xCD9E8D57u;
inline constexpr std::uint32_t kPhiloxW0 = 0x9E3779B9u, kPhiloxW1 = 0xBB67AE85u;
inline constexpr int kPhiloxRounds = 10;

// The fourth counter word: which stream, and within it which layer.
SHOAL_HD inline std::uint32_t stream(Purpose purpose, std::uint32_t layer = 0) {
  return static_cast<std::uint32_t>(purpose) << 24 | layer;
}

SHOAL_HD inline std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> c, PhiloxKey key) {
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const std::uint64_t p0 = std::uint64_t{kPhiloxM0} * c[0];
    const std::uint64_t p1 = std::uint64_t{kPhiloxM1} * c[2];
    c = {static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ key.seed, static_cast<std::uint32_t>(p1),
         static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ key.id, static_cast<std::uint32_t>(p0)};
    key.seed += kPhiloxW0;
    key.id += kPhiloxW1;
  }
  return c;
}

// A random permutation of [0, n) that can be evaluated at any point: a Feistel network of kShuffleRounds rounds over
// [0, left) x [0, 2^bits), left * 2^bits >= n, walking on where the value falls outside [0, n) (Black and Rogaway
// 2002). Fewer than 2^bits of the values fall outside, about one in sqrt(n).
inline constexpr int kShuffleRounds = 6;

struct Shuffle {
  SHOAL_HD Shuffle(std::uint32_t count, PhiloxKey key, std::uint32_t epoch) : n(count), bits(0) {
    while ((std::uint64_t{1} << (2 * bits)) < count) ++bits;
    left = static_cast<std::uint32_t>((std::uint64_t{count} + (1u << bits) - 1) >> bits);
    const auto low = philox({0, 0, epoch, stream(Purpose::data_order)}, key);
    const auto high = philox({1, 0, epoch, stream(Purpose::data_order)}, key);
    for (unsigned i = 0; i < kShuffleRounds; ++i) keys[i] = i < 4 ? low[i] : high[i - 4];
  }

  std::uint32_t n, left, bits;
  std::uint32_t keys[kShuffleRounds];
};

// One pass of the network, for a number or for a vector of them; the result may be n or more.
template <class U>
SHOAL_HD SHOAL_INLINE U shuffle_pass(const Shuffle& s, U i) {
  const std::uint32_t mask = (1u << s.bits) - 1;
  U a = i >> s.bits, b = i & mask;
  for (int round = 0; round < kShuffleRounds; round += 2) {
    // Every bit of b reaches the upper half of x, which is scaled to [0, left) without a division; then the same for b.
    U x = (b ^ s.keys[round]) * 0x85EBCA6Bu;
    x = (x ^ x >> 15) * 0xC2B2AE35u;
    a += (x >> 16) * s.left >> 16;
    a = a < s.left ? a : a - s.left;
    U y = (a ^ s.keys[round + 1]) * 0x85EBCA6Bu;
    y = (y ^ y >> 15) * 0xC2B2AE35u;
    b = (b + (y >> 16)) & mask;
  }
  return a << s.bits | b;
}

SHOAL_HD SHOAL_INLINE std::uint32_t shuffled(const Shuffle& s, std::uint32_t i) {
  do i = shuffle_pass(s, i);
  while (i >= s.n);
  return i;
}

}  // namespace shoal
