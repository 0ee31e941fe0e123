// In place of the .cu files, in a build without CUDA.
#include "engine/engine.h"
#include "shoal/error.h"

namespace shoal {
namespace {

[[noreturn]] void no_cuda() { throw DeviceError(why_no_gpu()); }

}  // namespace

std::string why_no_gpu() { return "this build of shoal has no CUDA: install it where nvcc is found"; }
std::vector<Device> cuda_devices() { return {}; }

void copy_to_host(int, const void*, std::size_t, void*) { no_cuda(); }
void synchronise(int) { no_cuda(); }
int device_of(const void*) { no_cuda(); }
bool finite_on_device(const float*, std::int64_t, int) { no_cuda(); }
void copy_rows(int, std::size_t, std::size_t, const void*, std::size_t, void*, std::size_t) { no_cuda(); }
std::shared_ptr<std::byte> device_memory(int, std::size_t) { no_cuda(); }
std::shared_ptr<std::byte> pinned_memory(int, std::size_t) { no_cuda(); }
void make_current(int) { no_cuda(); }

std::unique_ptr<Engine> make_cuda_engine(Loss, const Options& options) {
  throw DeviceError("there is no device \"" + options.device + "\": " + why_no_gpu());
}

}  // namespace shoal
