// Trains and evolves eight LeNets at once on images that it draws itself: discs, rings, squares and crosses in noise.
// They differ in learning rate and in structure, kernels and pooling; after every epoch the worst becomes a copy of the
// best that goes on at another rate.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "shoal/device.h"
#include "shoal/population.h"

namespace {

namespace layer = shoal::layer;

constexpr std::int64_t kSize = 28, kPixels = kSize * kSize, kClasses = 4;
constexpr std::array<const char*, kClasses> kNames{"disc", "ring", "square", "cross"};
constexpr std::int64_t kTrain = 2000, kTest = 500, kMembers = 8, kEpochs = 6;

// ---- images

// Whether a shape of this radius covers the point (y, x), seen from its centre.
bool covers(std::int32_t shape, float y, float x, float radius) {
  const float away = std::hypot(y, x), wide = std::max(std::abs(y), std::abs(x));
  const float narrow = std::min(std::abs(y), std::abs(x));
  switch (shape) {
    case 0: return away < radius;
    case 1: return away < radius && away > 0.6f * radius;
    case 2: return wide < 0.85f * radius;
    default: return wide < radius && narrow < 0.3f * radius;
  }
}

struct Images {
  std::vector<std::uint8_t> pixels;  // (n, 28, 28)
  std::vector<std::int32_t> labels;  // (n,)
};

Images draw(std::int64_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  const auto uniform = [&](float low, float high) {
    return low + (high - low) * static_cast<float>(random()) / 4294967296.0f;  // the same numbers with every library
  };
  Images images;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto shape = static_cast<std::int32_t>(random() % kClasses);
    const float radius = uniform(5, 11), top = uniform(radius, kSize - radius), left = uniform(radius, kSize - radius);
    for (std::int64_t p = 0; p < kPixels; ++p) {
      const auto y = static_cast<float>(p / kSize) - top, x = static_cast<float>(p % kSize) - left;
      const float light = uniform(0, 0.5f) + (covers(shape, y, x, radius) ? 0.5f : 0.0f);
      images.pixels.push_back(static_cast<std::uint8_t>(255 * light));
    }
    images.labels.push_back(shape);
  }
  return images;
}

// Pointers, nothing is copied. Pixels are scaled to [-1, 1] as they are read.
shoal::Dataset dataset(const Images& images) {
  static const std::vector<float> scale(kPixels, 2.0f / 255), shift(kPixels, -1);
  return {.samples = static_cast<std::int64_t>(images.labels.size()),
          .shape = {kSize, kSize},
          .x_u8 = images.pixels.data(),
          .scale = scale.data(),
          .shift = shift.data(),
          .labels = images.labels.data(),
          .outputs = kClasses};
}

// ---- the population

shoal::Network lenet(std::int64_t kernel, shoal::Pooling pooling) {
  return {{layer::conv2d(6, kernel), layer::relu(), layer::pooling(pooling, 2),
           layer::conv2d(16, kernel, 1, shoal::Padding::valid()), layer::relu(), layer::pooling(pooling, 2),
           layer::dense(84), layer::relu(), layer::dense(kClasses)}};
}

shoal::Population make_population() {
  shoal::Population population({kSize, kSize}, shoal::Optimizer::sgd, shoal::Loss::cross_entropy,
                               {.device = shoal::devices().front().name});  // a GPU where there is one
  for (std::uint32_t id = 0; id < kMembers; ++id) {
    const auto pooling = id % 2 == 0 ? shoal::Pooling::max : shoal::Pooling::average;
    const float lr = std::pow(10.0f, -3 + 2 * static_cast<float>(id) / (kMembers - 1));  // 0.001 to 0.1
    population.add(lenet(2 + id / 2, pooling), {.lr = lr, .momentum = 0.9f, .augment_pad = 2}, id);
  }
  return population;
}

void train_to(shoal::Population& population, const shoal::Dataset& data, std::int64_t epoch) {
  std::vector<std::int64_t> steps(kMembers);
  for (std::int64_t row = 0; row < kMembers; ++row)
    steps[static_cast<std::size_t>(row)] = population.steps_to_epoch(row, data.samples, epoch);
  std::vector<double> losses(kMembers);
  population.fit(data, steps, *std::max_element(steps.begin(), steps.end()), losses.data());
}

std::vector<float> accuracy(shoal::Population& population, const shoal::Dataset& data) {
  std::vector<std::int64_t> rows(kMembers);
  std::iota(rows.begin(), rows.end(), 0);
  std::vector<float> losses(kMembers), shares(kMembers);
  population.evaluate(data, rows, losses.data(), shares.data());
  return shares;
}

// The heir takes over structure, weights and optimiser state, and goes on at another learning rate.
void inherit(shoal::Population& population, std::int64_t heir, std::int64_t donor) {
  shoal::Hyperparameters h = population.hyperparameters(donor);
  h.lr *= heir % 2 == 0 ? 0.8f : 1.25f;
  const shoal::Network network = population.network(donor);
  population.reset(heir, network, h, static_cast<std::uint32_t>(heir));
  population.copy({donor}, {heir});
}

// ---- what is shown

void show(const shoal::Population& population, const std::vector<float>& shares, std::int64_t epoch) {
  std::printf("\nafter epoch %d\nmember  kernel  pooling        lr   accuracy\n", static_cast<int>(epoch));
  for (std::int64_t row = 0; row < kMembers; ++row) {
    const std::vector<shoal::Layer>& layers = population.network(row).layers;
    const bool max = layers[2].pooling == shoal::Pooling::max;
    std::printf("%6d   %d x %d  %-7s  %8.4f   %7.1f%%\n", static_cast<int>(row),
                static_cast<int>(layers[0].kernel.height), static_cast<int>(layers[0].kernel.width),
                max ? "max" : "average", population.hyperparameters(row).lr,
                100 * shares[static_cast<std::size_t>(row)]);
  }
}

// The first four images side by side, two rows of pixels in one of letters, and what the network takes them for.
void show_images(shoal::Population& population, std::int64_t row, const Images& images) {
  constexpr std::int64_t kShown = 4;
  std::vector<float> p(images.labels.size() * kClasses);
  population.predict(dataset(images), row, p.data());
  std::printf("\n");
  for (std::int64_t y = 0; y < kSize; y += 2) {
    for (std::int64_t at = y * kSize; at < kShown * kPixels; at += kPixels) {
      for (std::int64_t x = 0; x < kSize; ++x) {
        const auto pixel = static_cast<std::size_t>(at + x);
        std::putchar(" .:-=+*#%@"[(images.pixels[pixel] + images.pixels[pixel + kSize]) / 52]);
      }
      std::printf("   ");
    }
    std::putchar('\n');
  }
  for (std::int64_t i = 0; i < kShown; ++i) {
    const float* first = p.data() + i * kClasses;
    const auto guess = static_cast<std::size_t>(std::max_element(first, first + kClasses) - first);
    const auto truth = static_cast<std::size_t>(images.labels[static_cast<std::size_t>(i)]);
    std::printf("%-6s %3.0f%% (%s)%*s", kNames[guess], 100 * first[guess], kNames[truth],
                static_cast<int>(17 - std::char_traits<char>::length(kNames[truth])), "");
  }
  std::printf("\n");
}

// Returns the best member's accuracy.
float run() {
  const Images train = draw(kTrain, 0), test = draw(kTest, 1);
  shoal::Population population = make_population();
  std::vector<float> shares;
  for (std::int64_t epoch = 1; epoch <= kEpochs; ++epoch) {
    train_to(population, dataset(train), epoch);
    shares = accuracy(population, dataset(test));
    if (epoch == 1 || epoch == kEpochs) show(population, shares, epoch);
    const auto [worst, best] = std::minmax_element(shares.begin(), shares.end());
    if (epoch < kEpochs) inherit(population, worst - shares.begin(), best - shares.begin());
  }
  const auto best = std::max_element(shares.begin(), shares.end());
  show_images(population, best - shares.begin(), test);
  return *best;
}

}  // namespace

int main() {
  try {
    return run() > 0.9f ? 0 : 1;  // it has learnt
  } catch (const std::exception& error) {
    std::fprintf(stderr, "train_lenet: %s\n", error.what());
    return 1;
  }
}
