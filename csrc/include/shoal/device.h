// What this machine can train on.
#pragma once

#include <string>
#include <vector>

namespace shoal {

struct Device {
  std::string name;         // "cpu"
  std::string description;  // processor and instruction set used
  int cores = 0;
};

std::vector<Device> devices();

// Instruction sets this processor can run, best first: "avx512", "avx2", "portable". The environment variable
// SHOAL_ISA picks a lower one (for tests and for comparing machines).
std::vector<std::string> instruction_sets();

// Measured: 10^9 float operations a second of multiply-adds in registers on `threads` threads (0: all cores), the
// ceiling of every kernel.
double peak_gflops(int threads = 0);

}  // namespace shoal
