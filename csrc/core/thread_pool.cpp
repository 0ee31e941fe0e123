#include "core/thread_pool.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "shoal/error.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace shoal {
namespace {

// Treats denormal numbers as zero while it lives: momentum of weights that see no input decays into them, and
// arithmetic with them can be a hundred times slower.
class FlushDenormals {
 public:
#if defined(__x86_64__)
  FlushDenormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | kFlushToZero | kDenormalsAreZero); }
  ~FlushDenormals() { _mm_setcsr(before_); }

 private:
  static constexpr unsigned kFlushToZero = 0x8000, kDenormalsAreZero = 0x0040;
  unsigned before_;
#else
  FlushDenormals() {}
  ~FlushDenormals() {}
#endif
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;
};

}  // namespace

int available_cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

// The threads of a pool, and what they share with the caller.
class ThreadPool::Crew {
 public:
  explicit Crew(int threads) {
    try {
      for (int rank = 1; rank < threads; ++rank) workers_.emplace_back([this, rank] { work(rank); });
    } catch (const std::system_error& error) {
      const std::size_t started = workers_.size() + 1;
      dismiss();  // a thread that is not joined would end the process
      throw DeviceError("threads: only " + std::to_string(started) + " of " + std::to_string(threads) +
                        " could be started: " + error.what());
    }
  }
  ~Crew() { dismiss(); }
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  void run(const std::function<void(int)>& task) {
    {
      const std::lock_guard lock(mutex_);
      task_ = &task;
      running_ = static_cast<int>(workers_.size());
      ++generation_;
    }
    wake_.notify_all();
    call(0);
    std::unique_lock lock(mutex_);
    done_.wait(lock, [&] { return running_ == 0; });
    if (const std::exception_ptr error = std::exchange(error_, nullptr)) std::rethrow_exception(error);
  }

 private:
  void dismiss() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
    workers_.clear();
  }

  void call(int rank) {
    const FlushDenormals flush;
    try {
      (*task_)(rank);
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
    }
  }

  void work(int rank) {
    std::uint64_t seen = 0;
    while (true) {
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return stop_ || generation_ != seen; });
        if (stop_) return;
        seen = generation_;
      }
      call(rank);
      const std::lock_guard lock(mutex_);
      if (--running_ == 0) done_.notify_one();
    }
  }

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  const std::function<void(int)>* task_ = nullptr;
  std::uint64_t generation_ = 0;
  int running_ = 0;
  bool stop_ = false;
  std::exception_ptr error_;
};

ThreadPool::ThreadPool(int threads)
    : size_(std::max(1, threads)), process_(getpid()), crew_(std::make_unique<Crew>(threads)) {}

// After a fork the threads cannot be joined, and their lock may be held for ever: what they share is left as it is.
ThreadPool::~ThreadPool() {
  if (forked()) static_cast<void>(crew_.release());
}

bool ThreadPool::forked() const { return getpid() != process_; }

void ThreadPool::run(const std::function<void(int)>& task) {
  if (forked()) {
    auto crew = std::make_unique<Crew>(size_);
    static_cast<void>(crew_.release());
    crew_ = std::move(crew);
    process_ = getpid();
  }
  crew_->run(task);
}

void ThreadPool::for_each(std::int64_t items, const std::function<void(std::int64_t, int)>& task) {
  std::atomic<std::int64_t> next{0};
  run([&](int rank) {
    for (std::int64_t item = next++; item < items; item = next++) task(item, rank);
  });
}

void Barrier::wait() {
  constexpr int kSpins = 2000;
  const std::uint32_t phase = phase_.load(std::memory_order_relaxed);
  if (waiting_.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
    waiting_.store(0, std::memory_order_relaxed);
    phase_.store(phase + 1, std::memory_order_release);
    return;
  }
  for (int spin = 0; phase_.load(std::memory_order_acquire) == phase; ++spin) {
    if (spin > kSpins) std::this_thread::yield();
  }
}

}  // namespace shoal
