#include "engine/hot.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "shoal/error.h"

namespace shoal {
namespace {

using H = Hyperparameters;
using Field = std::variant<float H::*, std::int64_t H::*, std::vector<float> H::*, bool H::*>;

struct Named {
  std::string_view name;
  Field field;
};

// In the order of their draws: new ones go to the end.
constexpr Named kHot[] = {{"lr", &H::lr},
                          {"momentum", &H::momentum},
                          {"decay", &H::decay},
                          {"lr_decay", &H::lr_decay},
                          {"decay_every", &H::decay_every},
                          {"weight_decay", &H::weight_decay},
                          {"beta1", &H::beta1},
                          {"beta2", &H::beta2},
                          {"epsilon", &H::epsilon},
                          {"batch_size", &H::batch_size},
                          {"dropout", &H::dropout},
                          {"augment_pad", &H::augment_pad},
                          {"nesterov", &H::nesterov},
                          {"augment_flip", &H::augment_flip}};

std::size_t number(const std::string& name) {
  const auto* const found =
      std::find_if(std::begin(kHot), std::end(kHot), [&](const Named& h) { return h.name == name; });
  require(found != std::end(kHot), "there is no hyperparameter \"" + name + "\"");
  require(!std::holds_alternative<bool H::*>(found->field), name + " has no range: it is true or false");
  return static_cast<std::size_t>(found - std::begin(kHot));
}

double fraction(std::uint32_t word) { return (word + 0.5) / 4294967296.0; }

// What becomes of a value; words 0 to 2 are: whether it is drawn anew, its place in the range, its factor.
struct Move {
  const HotRange& range;
  const Perturbation& how;
  const std::array<std::uint32_t, 4>& words;

  bool anew() const { return fraction(words[0]) < how.resample; }
  double factor() const { return how.factors[std::uint64_t{words[2]} * how.factors.size() >> 32]; }
  double drawn() const {
    const double place = fraction(words[1]);
    return range.log ? range.low * std::pow(range.high / range.low, place)
                     : range.low + (range.high - range.low) * place;
  }
  double inside(double value) const { return std::clamp(value, range.low, range.high); }

  void operator()(float& value) const { value = static_cast<float>(inside(anew() ? drawn() : value * factor())); }

  // Nearest whole numbers; a factor moves by one at least.
  void operator()(std::int64_t& value) const {
    const auto old = static_cast<double>(value);
    double next = std::round(anew() ? drawn() : old * factor());
    if (!anew() && next == old && factor() != 1) next += factor() > 1 ? 1 : -1;
    value = static_cast<std::int64_t>(inside(next));
  }

  // The rates of all layers together.
  void operator()(std::vector<float>& rates) const {
    for (float& rate : rates) (*this)(rate);
  }
  void operator()(bool&) const {}
};

template <class Body>
void with_field(Hyperparameters& values, const Field& field, const Body& body) {
  std::visit([&](auto member) { body(values.*member); }, field);
}

}  // namespace

Hyperparameters cross(const Hyperparameters& first, const Hyperparameters& second, std::uint64_t share, PhiloxKey key,
                      std::uint32_t step) {
  Hyperparameters heir = first;
  for (std::uint32_t h = 0; h < std::size(kHot); ++h) {
    if (philox({h, 0, step, stream(Purpose::cross_hyperparameters)}, key)[0] >= share) continue;
    std::visit([&](auto member) { heir.*member = second.*member; }, kHot[h].field);
  }
  return heir;
}

Hyperparameters perturb(Hyperparameters values, const Perturbation& how, PhiloxKey key, std::uint32_t step) {
  for (const HotRange& range : how.ranges) {
    const std::size_t h = number(range.name);
    const auto words = philox({static_cast<std::uint32_t>(h), 0, step, stream(Purpose::perturb_hyperparameters)}, key);
    with_field(values, kHot[h].field, Move{range, how, words});
  }
  return values;
}

Hyperparameters at_end(Hyperparameters values, const Perturbation& how, double HotRange::* end) {
  for (const HotRange& range : how.ranges) {
    with_field(values, kHot[number(range.name)].field, [&]<class V>(V& value) {
      if constexpr (std::is_same_v<V, std::vector<float>>) {
        require(!value.empty(), "dropout: the network has no dropout layer");
        std::fill(value.begin(), value.end(), static_cast<float>(range.*end));
      } else {
        value = static_cast<V>(range.*end);
      }
    });
  }
  return values;
}

void check(const Perturbation& how) {
  require(how.resample >= 0 && how.resample <= 1, "resample must be in [0, 1], got " + std::to_string(how.resample));
  require(!how.factors.empty(), "factors must be at least one number, got none");
  for (const double factor : how.factors)
    require(factor > 0 && std::isfinite(factor), "factors must be > 0 and finite, got " + std::to_string(factor));
  for (const HotRange& range : how.ranges) {
    const std::string got = ", got " + std::to_string(range.low) + " to " + std::to_string(range.high);
    const bool whole = std::holds_alternative<std::int64_t H::*>(kHot[number(range.name)].field);
    require(std::isfinite(range.low) && std::isfinite(range.high) && range.low <= range.high,
            range.name + ": its range must be finite and not fall" + got);
    require(!range.log || range.low > 0, range.name + ": a range on a log scale must be above 0" + got);
    require(!whole || (std::floor(range.low) == range.low && std::floor(range.high) == range.high &&
                       std::fabs(range.low) < 0x1p31 && std::fabs(range.high) < 0x1p31),
            range.name + ": its range must be of whole numbers below 2^31" + got);
    const auto same = [&](const HotRange& other) { return other.name == range.name; };
    require(std::count_if(how.ranges.begin(), how.ranges.end(), same) == 1, range.name + " has two ranges");
  }
}

}  // namespace shoal
