// The CUDA runtime with owners: errors are exceptions, memory and streams belong to one object each. The only file that
// calls cudaMalloc, and what goes with it; a machine without a driver has zero devices.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "core/buffer.h"
#include "shoal/error.h"

namespace shoal::cuda {

// CUDA's numbers of versions: 12040 is 12.4.
inline std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

// What an error says, and what to do where the driver is older than this build: its own text names no version.
inline std::string text(cudaError_t status) {
  if (status != cudaErrorInsufficientDriver && status != cudaErrorUnsupportedPtxVersion)
    return cudaGetErrorString(status);
  int driver = 0, runtime = 0;
  static_cast<void>(cudaDriverGetVersion(&driver));
  static_cast<void>(cudaRuntimeGetVersion(&runtime));
  if (driver == 0) return "no NVIDIA driver was found";
  return "the NVIDIA driver is for CUDA " + version_text(driver) + ", and this build of shoal is for CUDA " +
         version_text(runtime) + ": update the driver, or build shoal with an older CUDA toolkit";
}

// Throws DeviceError; the runtime's own record of the error is cleared, so that the next call works.
inline void check(cudaError_t status, const char* doing) {
  if (status == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());
  throw DeviceError(std::string(doing) + ": " + text(status));
}

// Devices, or why there are none.
struct Found {
  int count = 0;
  std::string why_none;
};

inline Found find_devices() {
  Found found;
  const cudaError_t status = cudaGetDeviceCount(&found.count);
  if (status == cudaSuccess && found.count > 0) return found;
  static_cast<void>(cudaGetLastError());
  const bool none = status == cudaSuccess || status == cudaErrorNoDevice;
  return {0, none ? "the NVIDIA driver finds no GPU: see nvidia-smi and CUDA_VISIBLE_DEVICES" : text(status)};
}

// 8-4-4-4-12 hexadecimal digits (RFC 9562).
inline std::string text(const cudaUUID_t& uuid) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string digits;
  for (const char byte : uuid.bytes) {
    if (digits.size() == 8 || digits.size() == 13 || digits.size() == 18 || digits.size() == 23) digits += '-';
    digits += kDigits[static_cast<unsigned char>(byte) >> 4];
    digits += kDigits[byte & 15];
  }
  return digits;
}

// Its number, by the name that devices() gives it.
inline int device_number(const std::string& name) {
  const Found found = find_devices();
  for (int i = 0; i < found.count; ++i) {
    if (name == "cuda:" + std::to_string(i)) return i;
  }
  const std::string last = "the last one here is \"cuda:" + std::to_string(found.count - 1) + "\"";
  throw DeviceError("there is no device \"" + name + "\": " + (found.count > 0 ? last : found.why_none));
}

inline int current_device() {
  int device = 0;
  check(cudaGetDevice(&device), "asking for the current device");
  return device;
}

// Whether anything in this process uses the device yet. Only the driver can be asked without making a context there.
inline bool has_context(int device) {
  using State = int (*)(int device, unsigned* flags, int* active);
  void* state = nullptr;
  check(cudaGetDriverEntryPointByVersion("cuDevicePrimaryCtxGetState", &state, 7000, cudaEnableDefault),
        "looking at the driver");
  unsigned flags = 0;
  int active = 0;
  return reinterpret_cast<State>(state)(device, &flags, &active) == 0 && active != 0;
}

// Makes a device current on this thread for a scope. Choosing one makes a context there, some hundred MB; so a thread that
// comes from a device that nothing uses, as new threads do from the first one, stays. Else all ranks would be on that one.
class Current {
 public:
  explicit Current(int device) : before_(current_device()) {
    if (before_ == device) return;
    check(cudaSetDevice(device), "choosing a device");
    goes_back_ = has_context(before_);
  }
  ~Current() {
    if (goes_back_) static_cast<void>(cudaSetDevice(before_));
  }
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;

 private:
  int before_;
  bool goes_back_ = false;
};

// Gives back what belongs to a device, on any thread. When a process ends the driver may be gone before its owner.
template <class Release>
void give_back(int device, const Release& release) noexcept {
  try {
    const Current current(device);
    release();
  } catch (const DeviceError&) {
  }
}

// An owner of memory, which is not zeroed, on the device that is current when it is made.
template <cudaError_t (*allocate)(void**, std::size_t), cudaError_t (*release)(void*)>
class OwnedMemory {
 public:
  OwnedMemory() = default;
  explicit OwnedMemory(std::size_t bytes) : size_(bytes) {
    if (bytes == 0) return;
    const cudaError_t status = allocate(&data_, bytes);
    if (status == cudaErrorMemoryAllocation) {
      static_cast<void>(cudaGetLastError());
      throw OutOfMemory(bytes);
    }
    check(status, "allocating memory");
    device_ = current_device();
  }
  ~OwnedMemory() {
    if (data_) give_back(device_, [this] { static_cast<void>(release(data_)); });
  }
  OwnedMemory(OwnedMemory&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)), device_(other.device_) {}
  OwnedMemory& operator=(OwnedMemory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(device_, other.device_);
    return *this;
  }

  std::byte* data() const { return static_cast<std::byte*>(data_); }
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }
  std::size_t size() const { return size_; }

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
  int device_ = 0;
};

using Memory = OwnedMemory<cudaMalloc, cudaFree>;                // of the device
using PinnedMemory = OwnedMemory<cudaMallocHost, cudaFreeHost>;  // of the host, page-locked

// Whether kernels on the device read it where it is: managed memory, or the device's own.
inline bool is_on_device(const void* pointer, int device) {
  cudaPointerAttributes attributes{};
  check(cudaPointerGetAttributes(&attributes, pointer), "looking at a pointer");
  return attributes.type == cudaMemoryTypeManaged ||
         (attributes.type == cudaMemoryTypeDevice && attributes.device == device);
}

class Stream {
 public:
  Stream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream"); }
  ~Stream() {
    give_back(device_, [this] { static_cast<void>(cudaStreamDestroy(stream_)); });
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  cudaStream_t get() const { return stream_; }
  void wait() const { check(cudaStreamSynchronize(stream_), "training on the device"); }
  // Between any two memories.
  void copy(const void* from, std::size_t bytes, void* to) const {
    if (bytes) check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream_), "copying memory");
  }
  void zero(void* to, std::size_t bytes) const {
    if (bytes) check(cudaMemsetAsync(to, 0, bytes, stream_), "zeroing memory");
  }

 private:
  int device_ = current_device();
  cudaStream_t stream_ = nullptr;
};

inline int attribute(cudaDeviceAttr which, int device) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, device), "reading the device's limits");
  return value;
}

// Blocks of a kernel that the current device holds at once.
template <class Launch>
std::int64_t resident_blocks(void (*kernel)(Launch), int threads, std::size_t shared_bytes) {
  const int processors = attribute(cudaDevAttrMultiProcessorCount, current_device());
  int blocks = 0;
  check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, threads, shared_bytes),
        "asking how many blocks fit");
  return std::int64_t{blocks} * processors;
}

// All blocks are on the device at once, so that they can wait for each other.
template <class Launch>
void start(void (*kernel)(Launch), Launch launch, std::int64_t blocks, int threads, std::size_t shared_bytes,
           const Stream& stream) {
  void* arguments[] = {&launch};
  check(cudaLaunchCooperativeKernel(kernel, dim3(static_cast<unsigned>(blocks)), dim3(static_cast<unsigned>(threads)),
                                    arguments, shared_bytes, stream.get()),
        "starting a kernel");
}

// A launch whose blocks come in clusters, each on the device at once; the others may come later.
class ClusterLaunch {
 public:
  ClusterLaunch(std::int64_t blocks, std::int64_t cluster, int threads, std::size_t shared_bytes, cudaStream_t stream) {
    cluster_.id = cudaLaunchAttributeClusterDimension;
    cluster_.val.clusterDim.x = static_cast<unsigned>(cluster);
    cluster_.val.clusterDim.y = cluster_.val.clusterDim.z = 1;
    config_.gridDim = dim3(static_cast<unsigned>(blocks));
    config_.blockDim = dim3(static_cast<unsigned>(threads));
    config_.dynamicSmemBytes = shared_bytes;
    config_.stream = stream;
    config_.attrs = &cluster_;
    config_.numAttrs = 1;
  }
  ClusterLaunch(const ClusterLaunch&) = delete;
  ClusterLaunch& operator=(const ClusterLaunch&) = delete;

  // Clusters of a kernel that the current device holds at once.
  template <class Launch>
  std::int64_t resident(void (*kernel)(Launch)) const {
    int clusters = 0;
    check(cudaOccupancyMaxActiveClusters(&clusters, kernel, &config_), "asking how many clusters fit");
    return clusters;
  }
  template <class Launch>
  void start(void (*kernel)(Launch), const Launch& launch) const {
    check(cudaLaunchKernelEx(&config_, kernel, launch), "starting a kernel");
  }

 private:
  cudaLaunchAttribute cluster_{};
  cudaLaunchConfig_t config_{};
};

// As many blocks as there is work for, or as the device holds.
template <class Launch>
void start_for(void (*kernel)(Launch), const Launch& launch, std::int64_t blocks, int threads, const Stream& stream,
               std::size_t shared_bytes = 0) {
  blocks = std::min(blocks, resident_blocks(kernel, threads, shared_bytes));
  if (blocks > 0) start(kernel, launch, blocks, threads, shared_bytes, stream);
}

}  // namespace shoal::cuda
