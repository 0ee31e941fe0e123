// In place of the .cu files, in a build without CUDA.
#include "engine/engine.h"
#include "shoal/error.h"

namespace shoal {

bool has_cuda() { return false; }
std::vector<Device> cuda_devices() { return {}; }

void copy_to_host(const void*, std::size_t, void*) { throw DeviceError("this build of shoal has no CUDA"); }

std::unique_ptr<Engine> make_cuda_engine(Loss, const std::string& device) {
  throw DeviceError("there is no device \"" + device + "\": this build of shoal has no CUDA");
}

}  // namespace shoal
