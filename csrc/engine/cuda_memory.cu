// Memory that is not a population's: for members on their way from process to process.
#include <utility>

#include "core/cuda.h"
#include "shoal/device.h"

namespace shoal {
namespace {

template <class Memory>
std::shared_ptr<std::byte> shared(Memory memory) {
  auto owner = std::make_shared<Memory>(std::move(memory));
  std::byte* const data = owner->data();
  return {std::move(owner), data};
}

}  // namespace

std::shared_ptr<std::byte> device_memory(int device, std::size_t bytes) {
  const cuda::Current current(device);
  return shared(cuda::Memory(bytes));
}

std::shared_ptr<std::byte> pinned_memory(int device, std::size_t bytes) {
  const cuda::Current current(device);
  return shared(cuda::PinnedMemory(bytes));
}

void make_current(int device) { cuda::check(cudaSetDevice(device), "choosing a device"); }

}  // namespace shoal
