// The devices that the machine seems to have: what a test sets and counts of them, their memory, their contexts.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

namespace emulation {

struct Fault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline constexpr int kWarpSize = 32;
inline constexpr std::size_t kSharedLimit = 227 * 1024, kReserved = 1024;
inline constexpr int kProcessors = 2, kMostThreads = 512;  // of one processor
inline constexpr unsigned kMostOfCluster = 8;              // blocks that every device with clusters takes
inline constexpr std::uint32_t kUnwritten = 0x7FBADBADu;   // a NaN

inline std::uint64_t seed = 1;  // of the order of fibers
inline int setting(const char* name, int otherwise) {
  const char* const text = std::getenv(name);
  return text ? std::atoi(text) : otherwise;
}
inline int devices = setting("SHOAL_EMULATED_GPUS", 1);                          // that the machine seems to have
inline int runtime = 13000, driver = setting("SHOAL_EMULATED_DRIVER", runtime);  // CUDA versions; no driver: 0
inline std::pair<int, int> capability{9, 0};
inline int compiled_for = 90;                            // as a cudaFuncAttributes::ptxVersion
inline std::size_t memory_limit = std::size_t{8} << 30;  // of each device
inline std::size_t memory_used = 0;                      // of all
inline int launches = 0, copies = 0;  // so far: of kernels; of memory, to or from a device or within it
inline int cluster_launches = 0;      // those with clusters among them
inline int mallocs = 0, waits = 0;    // so far: memory taken from a device; streams waited for
inline std::vector<std::size_t> shared_bytes_of_launches;

inline std::recursive_mutex one_at_a_time;  // for all of this, whatever thread it is called on
using Lock = std::scoped_lock<std::recursive_mutex>;

inline int& current_device() {
  static thread_local int device = 0;
  return device;
}

// Devices that something was done on, each of which costs memory there.
inline std::set<int>& contexts() {
  static std::set<int> all;
  return all;
}
inline void make_context() { contexts().insert(current_device()); }

// cuDevicePrimaryCtxGetState
inline int context_state(int device, unsigned* flags, int* active) {
  const Lock lock(one_at_a_time);
  *flags = 0;
  return *active = contexts().contains(device), 0;
}

inline std::size_t whole_pages(std::size_t bytes) {
  static const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

// Device memory, in pages of its own.
struct Allocation {
  std::byte* data;
  std::size_t bytes;
  int device;

  bool holds(const void* address) const { return address >= data && address < data + bytes; }
};

inline std::vector<Allocation>& allocations() {
  static std::vector<Allocation> all;
  return all;
}
inline const Allocation* allocation_of(const void* address) {
  const auto& all = allocations();
  const auto found = std::find_if(all.begin(), all.end(), [&](const Allocation& a) { return a.holds(address); });
  return found == all.end() ? nullptr : &*found;
}
inline std::size_t free_memory() {
  std::size_t free = memory_limit;
  for (const Allocation& each : allocations()) free -= each.device == current_device() ? std::min(free, each.bytes) : 0;
  return free;
}

// While a kernel runs, the memory of other devices is out of its reach.
class OthersClosed {
 public:
  OthersClosed() { protect(PROT_NONE); }
  ~OthersClosed() { protect(PROT_READ | PROT_WRITE); }
  OthersClosed(const OthersClosed&) = delete;
  OthersClosed& operator=(const OthersClosed&) = delete;

 private:
  static void protect(int how) {
    for (const Allocation& each : allocations()) {
      if (each.device != current_device()) mprotect(each.data, whole_pages(each.bytes), how);
    }
  }
};

}  // namespace emulation
