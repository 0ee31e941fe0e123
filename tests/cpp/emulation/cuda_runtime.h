// As much of CUDA as the project uses, on the processor: the C++ tests compile the kernels and the engine's .cu files
// with g++ against this header instead of the toolkit's.
//
// A CUDA thread is a fiber that runs until it waits for others. Which fiber runs next is drawn from a seed, so that a
// missing barrier gives wrong numbers. Shared memory starts as NaN. A barrier that not all threads of a block or cluster
// reach, or that they reach in different places, a read behind the shared memory, a write behind or in front of it, and a
// launch that no device could hold throw emulation::Fault.
//
// Memory, streams and what a kernel is allowed belong to the device that was current on their thread. A kernel that
// touches the memory of another device, and a copy in a stream of another one, throw emulation::Fault, too.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <map>
#include <type_traits>
#include <utility>

#include "kernel.h"
#include "tensor_cores.h"

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInsufficientDriver = 35,
  cudaErrorCooperativeLaunchTooLarge = 82,
  cudaErrorNoDevice = 100,
  cudaErrorInvalidDevice = 101,
  cudaErrorUnsupportedPtxVersion = 222,
  cudaErrorInvalidResourceHandle = 400
};
enum cudaMemcpyKind { cudaMemcpyDefault = 4 };
enum cudaDeviceAttr {
  cudaDevAttrMultiProcessorCount = 16,
  cudaDevAttrMaxSharedMemoryPerBlockOptin = 97,
  cudaDevAttrMaxSharedMemoryPerMultiprocessor = 81,
  cudaDevAttrReservedSharedMemoryPerBlock = 111,
  cudaDevAttrComputeCapabilityMajor = 75,
  cudaDevAttrComputeCapabilityMinor = 76,
  cudaDevAttrClusterLaunch = 120
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
enum cudaMemoryType { cudaMemoryTypeUnregistered = 0, cudaMemoryTypeDevice = 2, cudaMemoryTypeManaged = 3 };
inline constexpr unsigned cudaStreamNonBlocking = 1;
struct CUstream_st {
  int device;
};
using cudaStream_t = CUstream_st*;  // null: the current device's own

struct cudaPointerAttributes {
  cudaMemoryType type;
  int device;
};
struct cudaUUID_t {
  char bytes[16];
};
struct cudaDeviceProp {
  char name[256];
  cudaUUID_t uuid;
  std::size_t totalGlobalMem;
  int major, minor, multiProcessorCount;
};

namespace emulation {

inline bool is_of_current(cudaStream_t stream) { return !stream || stream->device == current_device(); }

// CUDA copies in any stream; but what is called for one device while another is current makes a context there.
inline void copy_in(cudaStream_t stream) {
  if (!is_of_current(stream)) throw Fault("a copy in a stream of another device than the current one");
  make_context();
}

// Bytes of shared memory that a kernel may be launched with, by device.
inline std::map<std::pair<int, const void*>, std::size_t>& allowed() {
  static std::map<std::pair<int, const void*>, std::size_t> all;
  return all;
}
template <class Kernel>
std::size_t& allowed_for(Kernel kernel) {
  return allowed().try_emplace({current_device(), reinterpret_cast<const void*>(kernel)}, 48 * 1024).first->second;
}
template <class Kernel>
cudaError_t check_launch(Kernel kernel, std::size_t shared_bytes, cudaStream_t stream) {
  if (!is_of_current(stream)) return cudaErrorInvalidResourceHandle;
  return shared_bytes <= allowed_for(kernel) ? cudaSuccess : cudaErrorInvalidValue;
}

}  // namespace emulation

inline const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorInvalidResourceHandle: return "invalid resource handle";
    case cudaErrorCooperativeLaunchTooLarge: return "too many blocks in cooperative launch";
    default: return "invalid argument";
  }
}
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline cudaError_t cudaDriverGetVersion(int* version) { return *version = emulation::driver, cudaSuccess; }
inline cudaError_t cudaRuntimeGetVersion(int* version) { return *version = emulation::runtime, cudaSuccess; }
// A driver takes all that was built for its major version, but for what it has to compile itself.
inline cudaError_t cudaGetDeviceCount(int* count) {
  if (emulation::driver / 1000 < emulation::runtime / 1000) return cudaErrorInsufficientDriver;
  return *count = emulation::devices, *count > 0 ? cudaSuccess : cudaErrorNoDevice;
}
inline cudaError_t cudaGetDevice(int* device) { return *device = emulation::current_device(), cudaSuccess; }
inline cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= emulation::devices) return cudaErrorInvalidDevice;
  const emulation::Lock lock(emulation::one_at_a_time);
  emulation::current_device() = device;
  return emulation::make_context(), cudaSuccess;
}
inline constexpr unsigned long long cudaEnableDefault = 0;
inline cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned, unsigned long long) {
  if (std::strcmp(name, "cuDevicePrimaryCtxGetState") != 0) return cudaErrorInvalidValue;
  return *function = reinterpret_cast<void*>(&emulation::context_state), cudaSuccess;
}
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr which, int device) {
  if (device < 0 || device >= emulation::devices) return cudaErrorInvalidDevice;
  switch (which) {
    case cudaDevAttrMultiProcessorCount: return *value = emulation::kProcessors, cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      return *value = static_cast<int>(emulation::kSharedLimit), cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
      return *value = static_cast<int>(emulation::kSharedLimit + emulation::kReserved), cudaSuccess;
    case cudaDevAttrReservedSharedMemoryPerBlock: return *value = static_cast<int>(emulation::kReserved), cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor: return *value = emulation::capability.first, cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor: return *value = emulation::capability.second, cudaSuccess;
    case cudaDevAttrClusterLaunch: return *value = emulation::capability.first >= 9, cudaSuccess;
    default: return *value = 0, cudaSuccess;
  }
}
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device < 0 || device >= emulation::devices) return cudaErrorInvalidDevice;
  const cudaUUID_t uuid{{'\xE0', 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, '\xFE', static_cast<char>(device)}};
  *properties = {
      "emulated GPU",        uuid, emulation::memory_limit, emulation::capability.first, emulation::capability.second,
      emulation::kProcessors};
  return cudaSuccess;
}
inline cudaError_t cudaMalloc(void** data, std::size_t bytes) {
  const emulation::Lock lock(emulation::one_at_a_time);
  emulation::make_context();
  if (bytes > emulation::free_memory()) return cudaErrorMemoryAllocation;
  const std::size_t whole = emulation::whole_pages(bytes);
  auto* const memory = static_cast<std::byte*>(std::aligned_alloc(emulation::whole_pages(1), whole));
  std::memset(memory, 0xFB, bytes);
#if defined(__SANITIZE_ADDRESS__)
  __asan_poison_memory_region(memory + bytes, whole - bytes);
#endif
  emulation::memory_used += bytes;
  ++emulation::mallocs;
  emulation::allocations().push_back({memory, bytes, emulation::current_device()});
  return *data = memory, cudaSuccess;
}
inline cudaError_t cudaFree(void* data) {
  const emulation::Lock lock(emulation::one_at_a_time);
  emulation::make_context();
  auto& all = emulation::allocations();
  const auto found = std::find_if(all.begin(), all.end(), [&](const auto& a) { return a.data == data; });
  if (found == all.end()) return data ? cudaErrorInvalidValue : cudaSuccess;
  emulation::memory_used -= found->bytes;
  all.erase(found);
  std::free(data);
  return cudaSuccess;
}
inline cudaError_t cudaMallocHost(void** data, std::size_t bytes) {
  const emulation::Lock lock(emulation::one_at_a_time);
  emulation::make_context();
  *data = std::malloc(bytes);
  return *data ? cudaSuccess : cudaErrorMemoryAllocation;
}
inline cudaError_t cudaFreeHost(void* data) {
  const emulation::Lock lock(emulation::one_at_a_time);
  emulation::make_context();
  return std::free(data), cudaSuccess;
}
inline cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  const emulation::Lock lock(emulation::one_at_a_time);
  *free = emulation::free_memory();
  return *total = emulation::memory_limit, cudaSuccess;
}
inline cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  const emulation::Lock lock(emulation::one_at_a_time);
  const emulation::Allocation* const found = emulation::allocation_of(pointer);
  *attributes = found ? cudaPointerAttributes{cudaMemoryTypeDevice, found->device}
                      : cudaPointerAttributes{cudaMemoryTypeUnregistered, 0};
  return cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind, cudaStream_t stream) {
  const emulation::Lock lock(emulation::one_at_a_time);
  emulation::copy_in(stream);
  ++emulation::copies;
  std::memmove(to, from, bytes);
  return cudaSuccess;
}
inline cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  return cudaMemcpyAsync(to, from, bytes, kind, nullptr);
}
inline cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_step, const void* from, std::size_t from_step,
                                     std::size_t bytes, std::size_t rows, cudaMemcpyKind, cudaStream_t stream) {
  const emulation::Lock lock(emulation::one_at_a_time);
  if (bytes > to_step || bytes > from_step) return cudaErrorInvalidValue;
  emulation::copy_in(stream);
  ++emulation::copies;
  for (std::size_t row = 0; row < rows; ++row)
    std::memcpy(static_cast<std::byte*>(to) + row * to_step, static_cast<const std::byte*>(from) + row * from_step,
                bytes);
  return cudaSuccess;
}
inline cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  const emulation::Lock lock(emulation::one_at_a_time);
  emulation::copy_in(stream);
  std::memset(to, value, bytes);
  return cudaSuccess;
}
inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  const emulation::Lock lock(emulation::one_at_a_time);
  emulation::make_context();
  return *stream = new CUstream_st{emulation::current_device()}, cudaSuccess;
}
inline cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const emulation::Lock lock(emulation::one_at_a_time);
  emulation::make_context();
  delete stream;
  return cudaSuccess;
}
inline cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return ++emulation::waits, cudaSuccess; }
template <class Kernel>
cudaError_t cudaFuncSetAttribute(Kernel kernel, cudaFuncAttribute, int bytes) {
  const emulation::Lock lock(emulation::one_at_a_time);
  emulation::make_context();
  if (static_cast<std::size_t>(bytes) > emulation::kSharedLimit) return cudaErrorInvalidValue;
  emulation::allowed_for(kernel) = static_cast<std::size_t>(bytes);
  return cudaSuccess;
}
struct cudaFuncAttributes {
  int ptxVersion;
};
template <class Kernel>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, Kernel) {
  const bool compiled = emulation::compiled_for / 10 == emulation::capability.first;
  if (!compiled && emulation::driver < emulation::runtime) return cudaErrorUnsupportedPtxVersion;
  return attributes->ptxVersion = emulation::compiled_for, cudaSuccess;
}
template <class Kernel>
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, Kernel, int threads, std::size_t shared_bytes) {
  const int most = emulation::kMostThreads / threads;
  const std::size_t fit = shared_bytes ? emulation::kSharedLimit / shared_bytes : static_cast<std::size_t>(most);
  return *blocks = static_cast<int>(std::min<std::size_t>(fit, static_cast<std::size_t>(most))), cudaSuccess;
}
template <class Argument>
cudaError_t cudaLaunchCooperativeKernel(void (*kernel)(Argument), dim3 grid, dim3 block, void** arguments,
                                        std::size_t shared_bytes, cudaStream_t stream) {
  const emulation::Lock lock(emulation::one_at_a_time);
  const cudaError_t status = emulation::check_launch(kernel, shared_bytes, stream);
  if (status != cudaSuccess) return status;
  int fit = 0;
  cudaOccupancyMaxActiveBlocksPerMultiprocessor(&fit, kernel, static_cast<int>(block.x), shared_bytes);
  if (grid.x > static_cast<unsigned>(fit * emulation::kProcessors)) return cudaErrorCooperativeLaunchTooLarge;
  ++emulation::launches;
  emulation::shared_bytes_of_launches.push_back(shared_bytes);
  const auto& argument = *static_cast<const std::remove_const_t<Argument>*>(arguments[0]);
  emulation::launch(grid, block, shared_bytes, [&] { kernel(argument); });
  return cudaSuccess;
}

enum cudaLaunchAttributeID { cudaLaunchAttributeClusterDimension = 4 };
struct cudaLaunchAttribute {
  cudaLaunchAttributeID id;
  struct {
    dim3 clusterDim;
  } val;
};
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  std::size_t dynamicSmemBytes;
  cudaStream_t stream;
  cudaLaunchAttribute* attrs;
  unsigned numAttrs;
};
template <class Kernel>
cudaError_t cudaOccupancyMaxActiveClusters(int* clusters, Kernel kernel, const cudaLaunchConfig_t* config) {
  const unsigned cluster = config->attrs[0].val.clusterDim.x;
  if (emulation::capability.first < 9 || cluster > emulation::kMostOfCluster || config->gridDim.x % cluster != 0)
    return cudaErrorInvalidValue;
  int fit = 0;
  cudaOccupancyMaxActiveBlocksPerMultiprocessor(&fit, kernel, static_cast<int>(config->blockDim.x),
                                                config->dynamicSmemBytes);
  return *clusters = fit * emulation::kProcessors / static_cast<int>(cluster), cudaSuccess;
}
template <class Argument>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Argument), const Argument& argument) {
  const emulation::Lock lock(emulation::one_at_a_time);
  const cudaError_t status = emulation::check_launch(kernel, config->dynamicSmemBytes, config->stream);
  if (status != cudaSuccess) return status;
  int fit = 0;
  if (cudaOccupancyMaxActiveClusters(&fit, kernel, config) != cudaSuccess || fit == 0) return cudaErrorInvalidValue;
  ++emulation::launches, ++emulation::cluster_launches;
  emulation::shared_bytes_of_launches.push_back(config->dynamicSmemBytes);
  emulation::launch(
      config->gridDim, config->blockDim, config->dynamicSmemBytes, [&] { kernel(argument); },
      config->attrs[0].val.clusterDim.x);
  return cudaSuccess;
}
