// Trains sixteen networks on handwritten digits at once, each with its own learning rate, and picks the best.
//
//   python make_digits.py digits.bin && ./train_digits digits.bin

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "shoal/population.h"

namespace {

namespace layer = shoal::layer;

constexpr std::int64_t kPixels = 64, kClasses = 10;
constexpr std::int64_t kTrain = 1200, kValid = 297, kTest = 300;
constexpr std::int64_t kMembers = 16, kEpochs = 30;

struct Digits {
  std::vector<std::uint8_t> pixels;  // (n, 8, 8), 0 to 16
  std::vector<std::int32_t> labels;  // (n,)
};

// The file has a label and 64 pixels for each image, a byte each.
Digits read_digits(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  Digits digits;
  char record[1 + kPixels];
  while (file.read(record, sizeof record)) {
    digits.labels.push_back(record[0]);
    digits.pixels.insert(digits.pixels.end(), record + 1, record + sizeof record);
  }
  if (digits.labels.size() != kTrain + kValid + kTest) throw std::runtime_error(path + " is not the file of digits");
  return digits;
}

// Images [first, first + count): pointers, nothing is copied. Pixels are scaled to [0, 1] as they are read.
shoal::Dataset part(const Digits& digits, std::int64_t first, std::int64_t count) {
  static const std::vector<float> scale(kPixels, 1.0f / 16);
  return {.samples = count,
          .shape = {8, 8},
          .x_u8 = digits.pixels.data() + first * kPixels,
          .scale = scale.data(),
          .labels = digits.labels.data() + first,
          .outputs = kClasses};
}

shoal::Population make_population() {
  const shoal::Network network{{layer::dense(64), layer::relu(), layer::dropout(0.2f), layer::dense(kClasses)}};
  shoal::Population population({8, 8}, shoal::Optimizer::sgd, shoal::Loss::cross_entropy);
  for (std::uint32_t id = 0; id < kMembers; ++id) {
    shoal::Hyperparameters h;
    h.lr = std::pow(10.0f, -4 + 4 * static_cast<float>(id) / (kMembers - 1));  // 0.0001 to 1
    h.momentum = 0.9f;
    population.add(network, h, id);
  }
  return population;
}

// Mean training loss of each member over all its steps.
std::vector<double> fit(shoal::Population& population, const shoal::Dataset& train) {
  const std::vector<std::int64_t> steps(kMembers, population.steps_to_epoch(0, train.samples, kEpochs));
  std::vector<double> losses(kMembers);
  population.fit(train, steps, /*record*/ steps[0], losses.data());
  return losses;
}

std::vector<float> accuracy(shoal::Population& population, const shoal::Dataset& data) {
  std::vector<std::int64_t> members(kMembers);
  std::iota(members.begin(), members.end(), 0);
  std::vector<float> losses(kMembers), shares(kMembers);
  population.evaluate(data, members, losses.data(), shares.data());
  return shares;
}

// Returns the test accuracy of the member that is best on the validation images.
float run(const std::string& path) {
  const Digits digits = read_digits(path);
  shoal::Population population = make_population();
  const std::vector<double> loss = fit(population, part(digits, 0, kTrain));
  const std::vector<float> valid = accuracy(population, part(digits, kTrain, kValid));
  const std::vector<float> test = accuracy(population, part(digits, kTrain + kValid, kTest));

  const auto best = std::max_element(valid.begin(), valid.end()) - valid.begin();
  std::printf("member        lr   training loss   validation     test\n");
  for (std::int64_t m = 0; m < kMembers; ++m) {
    const auto i = static_cast<std::size_t>(m);
    std::printf("%6d  %8.5f  %14.4f  %10.1f%%  %6.1f%% %s\n", static_cast<int>(m), population.hyperparameters(m).lr,
                loss[i], 100 * valid[i], 100 * test[i], m == best ? " <- best" : "");
  }
  return test[static_cast<std::size_t>(best)];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: train_digits FILE   (made by make_digits.py)\n");
    return 2;
  }
  try {
    return run(argv[1]) > 0.9f ? 0 : 1;  // it has learnt
  } catch (const std::exception& error) {
    std::fprintf(stderr, "train_digits: %s\n", error.what());
    return 1;
  }
}
