#include "shoal/device.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>

#include "core/thread_pool.h"
#include "engine/engine.h"
#include "kernels/kernels.h"

namespace shoal {
namespace {

std::string processor_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "processor";
}

}  // namespace

std::vector<Device> devices() {
  std::vector<Device> all = cuda_devices();
  all.push_back({.name = "cpu",
                 .description = processor_name() + ", " + kernels().name,
                 .cores = available_cores(),
                 .memory = std::int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE)});
  return all;
}

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  for (const Kernels* table : available_kernels()) names.emplace_back(table->name);
  return names;
}

double peak_gflops(int threads) {
  constexpr int kRepeats = 5;
  constexpr std::int64_t kRounds = 2'000'000;
  ThreadPool pool(threads > 0 ? threads : available_cores());
  double best = 0;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    std::atomic<std::int64_t> operations{0};
    const auto start = std::chrono::steady_clock::now();
    pool.run([&](int) { operations += static_cast<std::int64_t>(kernels().multiply_adds(kRounds)); });
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::max(best, static_cast<double>(operations) / seconds.count() / 1e9);
  }
  return best;
}

}  // namespace shoal
