// What this machine can train on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
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

// What the factors of matrix products are rounded to on a GPU, dense layers and convolutions, forward and backward. Sums,
// weights and everything else are fp32. The CPU knows fp32 alone.
//   tf32    10 bits of fraction, on tensor cores
//   bf16    7 bits of fraction, on tensor cores
//   tf32x3  tf32 three times, each factor as a sum of two: about 21 bits of fraction
enum class Precision { fp32, tf32, bf16, tf32x3 };

// Where a GPU keeps a member while it trains. The bits are the same. Tiny networks, which fit into shared memory with all
// values of a batch, are trained there in fp32 whatever the engine.
//   resident   in the shared memory of one block: needs weights and optimiser state to fit there
//   teams      in its own memory and caches, several blocks to a member where there are fewer members than blocks
//   automatic  resident where at least as many members as the GPU has processors train and two fit into one, else teams
enum class EngineKind { automatic, resident, teams };

// GPUs first, fastest by the driver's count, then the processor: the first is the one to train on.
std::vector<Device> devices();

// In one line: no driver, one that is too old and what to do, a build without CUDA. Empty where devices() has a GPU.
std::string why_no_gpu();

// Memory for members on their way from process to process; Population::read_state and write_state take both. The first is
// a GPU's, for an MPI that is CUDA-aware. The second is the host's, page-locked for a GPU: it and a network card read and
// write it by themselves. Throw DeviceError without the GPU or without CUDA, OutOfMemory (std::bad_alloc).
std::shared_ptr<std::byte> device_memory(int device, std::size_t bytes);
std::shared_ptr<std::byte> pinned_memory(int device, std::size_t bytes);

// In this thread, for libraries that go by the GPU that is current, as an MPI may. The core itself does not.
void make_current(int device);

// Instruction sets this processor can run, best first: "avx512", "avx2", "portable". The environment variable
// SHOAL_ISA picks a lower one (for tests and for comparing machines).
std::vector<std::string> instruction_sets();

// Measured: 10^9 float operations a second of multiply-adds in registers on `threads` threads (0: all cores), the
// ceiling of every kernel.
double peak_gflops(int threads = 0);

}  // namespace shoal
