// Arrays that other libraries have in a GPU's memory.
#include "core/cuda.h"
#include "engine/engine.h"
#include "kernels/finite_cuda.h"

namespace shoal {

void synchronise(int device) {
  const cuda::Current current(device);
  cuda::check(cudaDeviceSynchronize(), "waiting for a device");
}

int device_of(const void* pointer) {
  cudaPointerAttributes attributes{};
  cuda::check(cudaPointerGetAttributes(&attributes, pointer), "looking at a pointer");
  require(attributes.type == cudaMemoryTypeDevice || attributes.type == cudaMemoryTypeManaged,
          "an array that says it is on a GPU is not in its memory");
  return attributes.device;
}

bool finite_on_device(const float* values, std::int64_t count, int device) {
  const cuda::Current current(device);
  const cuda::Stream stream;
  const cuda::Memory broken(sizeof(int));
  int found = 0;
  stream.zero(broken.data(), sizeof(int));
  const cuda::FiniteLaunch<float> launch{values, count, false, broken.as<int>()};
  cuda::start_for(cuda::finite_kernel<float>, launch, (count + cuda::kThreads - 1) / cuda::kThreads, cuda::kThreads,
                  stream);
  stream.copy(broken.data(), sizeof(int), &found);
  stream.wait();
  return found == 0;
}

void copy_rows(int device, std::size_t rows, std::size_t bytes, const void* from, std::size_t from_step, void* to,
               std::size_t to_step) {
  const cuda::Current current(device);
  const cuda::Stream stream;
  cuda::check(cudaMemcpy2DAsync(to, to_step, from, from_step, bytes, rows, cudaMemcpyDefault, stream.get()),
              "copying memory");
  stream.wait();
}

}  // namespace shoal
