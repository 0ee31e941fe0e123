// What this machine can train on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace shoal {

struct Device {
  std::string name;         // "cpu", "cuda:0"
  std::string description;  // processor and instruction set used; GPU and its memory
  int cores = 0;            // of a GPU its multiprocessors
  std::int64_t memory = 0;  // bytes
  // Of a GPU or a MIG instance, as nvidia-smi -L has it after "GPU-" or "MIG-"; empty for the processor. Where each
  // process is shown other GPUs, "cuda:0" is another one for each of them, and this tells them apart.
  std::string uuid;
};

// GPUs first, fastest by the driver's count, then the processor: the first is the one to train on.
std::vector<Device> devices();

bool has_cuda();  // whether this build can use a GPU

// Instruction sets this processor can run, best first: "avx512", "avx2", "portable". The environment variable
// SHOAL_ISA picks a lower one (for tests and for comparing machines).
std::vector<std::string> instruction_sets();

// Measured: 10^9 float operations a second of multiply-adds in registers on `threads` threads (0: all cores), the
// ceiling of every kernel.
double peak_gflops(int threads = 0);

}  // namespace shoal
