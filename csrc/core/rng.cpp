#include "core/rng.h"

#include <cmath>
#include <numbers>

namespace shoal {

std::array<double, 2> normal_pair(const std::array<std::uint32_t, 4>& words) {
  // 53 random bits; u in (0, 1], so the logarithm is finite.
  const auto unit = [](std::uint32_t high, std::uint32_t low) {
    return (static_cast<double>(high >> 5) * 67108864.0 + (low >> 6) + 1.0) / 9007199254740992.0;
  };
  const double radius = std::sqrt(-2.0 * std::log(unit(words[0], words[1])));
  const double angle = 2.0 * std::numbers::pi * unit(words[2], words[3]);
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

}  // namespace shoal
