// A kernel's blocks, whose threads are fibers: barriers, shared memory between closed pages, and a launch that runs them
// in an order drawn from a seed.
#pragma once

#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <bit>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "devices.h"
#include "fiber.h"

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

inline dim3 gridDim, blockDim;  // of the launch under way

namespace emulation {

enum class Wait { none, cluster, block, warp, done };

struct Block;

// A line of the source that waits.
struct Place {
  const char* file = nullptr;
  int line = 0;
  bool operator==(const Place&) const = default;
};

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
