#include "core/rng.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace shoal {
std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> c, PhiloxKey key) {
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

std::array<double, 2> normal_pair(const std::array<std::uint32_t, 4>& words) {
  // 53 random bits; u in (0, 1], so the logarithm is finite.
  const auto unit = [](std::uint32_t high, std::uint32_t low) {
    return (static_cast<double>(high >> 5) * 67108864.0 + (low >> 6) + 1.0) / 9007199254740992.0;
  };
  const double radius = std::sqrt(-2.0 * std::log(unit(words[0], words[1])));
  const double angle = 2.0 * std::numbers::pi * unit(words[2], words[3]);
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

Shuffle::Shuffle(std::uint32_t count, PhiloxKey key, std::uint32_t epoch) : n(count), bits(0) {
  while ((std::uint64_t{1} << (2 * bits)) < count) ++bits;
  left = static_cast<std::uint32_t>((std::uint64_t{count} + (1u << bits) - 1) >> bits);
  const auto low = philox({0, 0, epoch, stream(Purpose::data_order)}, key);
  const auto high = philox({1, 0, epoch, stream(Purpose::data_order)}, key);
  const std::uint32_t words[kShuffleRounds] = {low[0], low[1], low[2], low[3], high[0], high[1]};
  std::copy(words, words + kShuffleRounds, keys);
}

}  // namespace shoal
