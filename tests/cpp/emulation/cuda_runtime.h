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

#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

#define __global__ inline  // kernels in headers may come into several files
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

inline dim3 gridDim, blockDim;  // of the launch under way

struct alignas(16) float4 {
  float x, y, z, w;
};

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

enum class Wait { none, cluster, block, warp, done };

struct Block;

// A line of the source that waits.
struct Place {
  const char* file = nullptr;
  int line = 0;
  bool operator==(const Place&) const = default;
};

// Where a fiber goes on, or where it begins.
struct Context {
  ucontext_t start{};
  void* at[5]{};
  bool begun = false;
};

// AddressSanitizer has to be told whose stack is in use.
#if defined(__SANITIZE_ADDRESS__)
inline void leave_for(const stack_t& stack) { __sanitizer_start_switch_fiber(nullptr, stack.ss_sp, stack.ss_size); }
inline stack_t arrive() {
  const void* bottom = nullptr;
  std::size_t size = 0;
  __sanitizer_finish_switch_fiber(nullptr, &bottom, &size);
  return {const_cast<void*>(bottom), 0, size};
}
#else
inline void leave_for(const stack_t&) {}
inline stack_t arrive() { return {}; }
#endif

__attribute__((noinline, no_sanitize_address)) inline void go_on(Context& context) {
  if (context.begun) __builtin_longjmp(context.at, 1);
  setcontext(&context.start);
}

// Returns when the other changes back. Not by swapcontext, which asks the kernel for the mask of signals every time, nor
// by the library's longjmp, at which AddressSanitizer clears its notes of the stack, and asks the kernel for another.
__attribute__((noinline, no_sanitize_address)) inline void change(Context& from, Context& to) {
  from.begun = true;
  leave_for(to.start.uc_stack);
  if (__builtin_setjmp(from.at) == 0) go_on(to);
  arrive();
}

struct Thread {
  Context context{};
  std::unique_ptr<char[]> stack;
  dim3 index;
  Block* block = nullptr;
  Wait wait = Wait::none;
  Place where;
  std::uint64_t exchange = 0;  // what a shuffle gives to the others
};

// Of a warp's product on tensor cores: A (16 x depth), B (depth x 8).
struct Factors {
  float a[16][16], b[16][8];
};

// The shared memory of a block, between pages that nobody may touch. It ends where they begin, but for what its own
// alignment leaves over; in front of it is the rest of its first page.
class SharedMemory {
 public:
  explicit SharedMemory(std::size_t bytes) : floats_(bytes / sizeof(float)) {
    open_ = whole_pages(bytes);
    void* const all = mmap(nullptr, open_ + 2 * kGuard, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) throw std::bad_alloc();
    start_ = static_cast<std::byte*>(all);
    mprotect(start_ + kGuard, open_, PROT_READ | PROT_WRITE);
    std::fill(first(), end(), std::bit_cast<float>(kUnwritten));
  }
  ~SharedMemory() { munmap(start_, open_ + 2 * kGuard); }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  float* data() const { return end() - (floats_ + kAligned - 1) / kAligned * kAligned; }
  bool guards(const void* address) const { return address >= start_ && address < start_ + open_ + 2 * kGuard; }
  // Throws if anything was written beside it.
  void check() const {
    const auto unwritten = [](float v) { return std::bit_cast<std::uint32_t>(v) == kUnwritten; };
    if (!std::all_of(first(), data(), unwritten)) throw Fault("a write in front of shared memory");
    if (!std::all_of(data() + floats_, end(), unwritten)) throw Fault("a write behind the end of shared memory");
  }

 private:
  static constexpr std::size_t kAligned = 4, kGuard = std::size_t{1} << 20;  // floats, bytes
  float* first() const { return reinterpret_cast<float*>(start_ + kGuard); }
  float* end() const { return reinterpret_cast<float*>(start_ + kGuard + open_); }

  std::size_t floats_, open_ = 0;
  std::byte* start_ = nullptr;
};

struct Block {
  dim3 index;
  std::vector<Thread> threads;
  std::vector<Factors> factors;  // by warp
  std::unique_ptr<SharedMemory> shared;
};

// Those that a barrier is for.
struct Group {
  Wait kind;
  std::vector<Thread*> threads;
};

struct Machine {
  Context scheduler{};
  Thread* current = nullptr;
  std::vector<Block> blocks;
  std::vector<Group> groups;
  std::function<void()> body;
  std::uint64_t progress = 0;  // barriers passed and threads ended
  std::exception_ptr error;
};

inline Machine*& machine() {
  static Machine* running = nullptr;
  return running;
}

inline Thread& self() { return *machine()->current; }

inline void leave(Wait wait, Place where) {
  Thread& thread = self();
  thread.wait = wait;
  thread.where = where;
  change(thread.context, machine()->scheduler);
}

inline void yield() { leave(Wait::none, {}); }
inline void cluster_sync(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  leave(Wait::cluster, {file, line});
}
inline float* shared_memory() { return self().block->shared->data(); }

inline void end_thread(Machine& m) {
  m.current->wait = Wait::done;
  ++m.progress;
  change(m.current->context, m.scheduler);
}

inline void run_thread() {
  Machine& m = *machine();
  m.scheduler.start.uc_stack = arrive();
  try {
    m.body();
  } catch (...) {
    m.error = std::current_exception();
  }
  end_thread(m);
}

// While it is there, a thread of a kernel that touches what it may not ends with a Fault instead of a signal.
class Trap {
 public:
  Trap() {
    struct sigaction action{};
    action.sa_sigaction = &caught;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;  // on the fiber's stack, and it does not return
    sigaction(SIGSEGV, &action, &before());
  }
  ~Trap() { sigaction(SIGSEGV, &before(), nullptr); }
  Trap(const Trap&) = delete;
  Trap& operator=(const Trap&) = delete;

 private:
  static struct sigaction& before() {
    static struct sigaction action{};
    return action;
  }
  static void caught(int, siginfo_t* info, void*) {
    Machine& m = *machine();
    const char* what = nullptr;
    for (const Block& block : m.blocks) {
      if (block.shared->guards(info->si_addr)) what = "a read or a write outside of shared memory";
    }
    if (allocation_of(info->si_addr)) what = "a kernel that touches the memory of another device";
    if (what) {
      m.error = std::make_exception_ptr(Fault(what));
      end_thread(m);
    }
    sigaction(SIGSEGV, &before(), nullptr);  // another mistake: it happens again, without this
  }
};

inline void make_fiber(Thread& thread) {
  constexpr std::size_t kStack = 128 * 1024;
  thread.stack.reset(new char[kStack]);  // not zeroed: most of it is never touched
  ucontext_t& start = thread.context.start;
  getcontext(&start);
  start.uc_stack.ss_sp = thread.stack.get();
  start.uc_stack.ss_size = kStack;
  makecontext(&start, &run_thread, 0);
}

inline std::vector<Group> groups_of(std::vector<Block>& blocks, unsigned cluster) {
  std::vector<Group> clusters((blocks.size() + cluster - 1) / cluster, {Wait::cluster, {}}), groups;
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    Group block{Wait::block, {}};
    for (Thread& thread : blocks[b].threads) {
      if (thread.index.x % kWarpSize == 0) groups.push_back({Wait::warp, {}});
      for (Group* group : {&clusters[b / cluster], &block, &groups.back()}) group->threads.push_back(&thread);
    }
    groups.push_back(std::move(block));
  }
  groups.insert(groups.end(), clusters.begin(), clusters.end());
  return groups;
}

// Lets a group go on if all of its threads that are not done wait for the same barrier.
inline void release(Machine& m, const Group& group) {
  Place where;
  bool any = false;
  for (const Thread* t : group.threads) {
    if (t->wait == Wait::done) continue;
    if (t->wait != group.kind) return;
    if (any && t->where != where) throw Fault("threads of one group wait at different barriers");
    where = t->where;
    any = true;
  }
  if (!any) return;
  for (Thread* t : group.threads) {
    if (t->wait == Wait::done) throw Fault("a barrier is not reached by all threads: some have ended");
    t->wait = Wait::none;
  }
  ++m.progress;
}

inline void run_blocks(Machine& m) {
  std::vector<Thread*> all;
  for (Block& block : m.blocks) {
    for (Thread& thread : block.threads) all.push_back(&thread);
  }
  std::mt19937_64 random(seed);
  std::uint64_t last_progress = 0;
  int idle = 0;
  while (std::any_of(all.begin(), all.end(), [](const Thread* t) { return t->wait != Wait::done; })) {
    std::shuffle(all.begin(), all.end(), random);
    const std::uint64_t late = m.blocks.size() > 1 ? random() : 0;  // blocks that do not run now: they do not keep step
    for (Thread* thread : all) {
      if (thread->wait != Wait::none || (late >> thread->block->index.x % 64 & 1)) continue;
      m.current = thread;
      change(m.scheduler, thread->context);
      if (m.error) std::rethrow_exception(m.error);
    }
    for (const Group& group : m.groups) release(m, group);
    idle = m.progress == last_progress ? idle + 1 : 0;
    last_progress = m.progress;
    if (idle > 1000) throw Fault("no thread can go on: a barrier is not reached by all threads");
  }
}

inline void launch(dim3 grid, dim3 block, std::size_t shared_bytes, std::function<void()> body, unsigned cluster = 1) {
  if (shared_bytes > kSharedLimit)
    throw Fault("a launch with " + std::to_string(shared_bytes) + " bytes of shared memory");
  if (block.x * block.y * block.z > 1024) throw Fault("a launch with more than 1024 threads a block");
  const Lock lock(one_at_a_time);
  Machine m;
  m.body = std::move(body);
  m.blocks = std::vector<Block>(grid.x);
  for (unsigned b = 0; b < grid.x; ++b) {
    Block& made = m.blocks[b];
    made.index = dim3(b);
    made.shared = std::make_unique<SharedMemory>(shared_bytes);
    made.threads = std::vector<Thread>(block.x);
    made.factors.resize((block.x + kWarpSize - 1) / kWarpSize);
    for (unsigned t = 0; t < block.x; ++t) {
      Thread& thread = made.threads[t];
      thread.index = dim3(t, 0, 0);
      thread.block = &made;
      make_fiber(thread);
    }
  }
  m.groups = groups_of(m.blocks, cluster);
  gridDim = grid;
  blockDim = block;
  const Trap trap;
  const OthersClosed others;
  Machine* const before = std::exchange(machine(), &m);
  try {
    run_blocks(m);
    for (const Block& each : m.blocks) each.shared->check();
  } catch (...) {
    machine() = before;
    throw;
  }
  machine() = before;
}

}  // namespace emulation

// ---- what kernels use

#define threadIdx (::emulation::self().index)
#define blockIdx (::emulation::self().block->index)

inline void __syncthreads(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  emulation::leave(emulation::Wait::block, {file, line});
}
inline void __syncwarp(unsigned = ~0u, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  emulation::leave(emulation::Wait::warp, {file, line});
}
inline void __threadfence() {}

template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  static_assert(sizeof(T) <= sizeof(std::uint64_t));
  emulation::Thread& mine = emulation::self();
  std::memcpy(&mine.exchange, &value, sizeof(T));
  __syncwarp();
  const auto lane = static_cast<unsigned>(mine.index.x) ^ static_cast<unsigned>(mask);
  T theirs;
  std::memcpy(&theirs, &mine.block->threads[lane].exchange, sizeof(T));
  __syncwarp();
  return theirs;
}

template <class T>
T __shfl_sync(unsigned, T value, int lane) {
  static_assert(sizeof(T) <= sizeof(std::uint64_t));
  emulation::Thread& mine = emulation::self();
  std::memcpy(&mine.exchange, &value, sizeof(T));
  __syncwarp();
  const unsigned first = static_cast<unsigned>(mine.index.x) / emulation::kWarpSize * emulation::kWarpSize;
  T theirs;
  std::memcpy(&theirs, &mine.block->threads[first + static_cast<unsigned>(lane)].exchange, sizeof(T));
  __syncwarp();
  return theirs;
}

inline unsigned __ballot_sync(unsigned, bool vote) {
  emulation::Thread& mine = emulation::self();
  mine.exchange = vote;
  __syncwarp();
  const unsigned first = static_cast<unsigned>(mine.index.x) / emulation::kWarpSize * emulation::kWarpSize;
  unsigned votes = 0;
  for (unsigned lane = 0; lane < emulation::kWarpSize; ++lane)
    votes |= static_cast<unsigned>(mine.block->threads[first + lane].exchange) << lane;
  __syncwarp();
  return votes;
}

inline int __ffs(int bits) { return bits == 0 ? 0 : std::countr_zero(static_cast<unsigned>(bits)) + 1; }

template <class T>
T atomicAdd(T* to, T value) {
  return std::exchange(*to, *to + value);
}

inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(static_cast<std::uint64_t>(a) * b >> 32);
}

inline float __uint_as_float(unsigned bits) { return std::bit_cast<float>(bits); }
inline unsigned __float_as_uint(float value) { return std::bit_cast<unsigned>(value); }

using std::isfinite;
using std::max;
using std::min;

// ---- what hosts use

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

#include "tensor_cores.h"
