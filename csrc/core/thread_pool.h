// Threads that wait for work, and teams of them that share one member.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

namespace shoal {

int available_cores();  // the cores this process may run on

class ThreadPool {
 public:
  explicit ThreadPool(int threads);  // throws DeviceError where the system does not give so many
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return size_; }

  // Calls task(rank) once for every rank in [0, size) at the same time, rank 0 on the caller; returns when all have.
  // The first exception is thrown again here. Denormal numbers count as zero inside. Not re-entrant. A forked process,
  // which has none of the threads, starts its own at its first call.
  void run(const std::function<void(int rank)>& task);

  // Calls task(item, rank) once for each item in [0, items), next free thread first. Items run in any order.
  void for_each(std::int64_t items, const std::function<void(std::int64_t item, int rank)>& task);

 private:
  class Crew;
  bool forked() const;

  int size_;
  pid_t process_;
  std::unique_ptr<Crew> crew_;
};

// Makes `size` threads wait for each other. A wait is a fraction of a microsecond, so it spins before it yields.
class Barrier {
 public:
  explicit Barrier(int size) : size_(size) {}
  void wait();

 private:
  const int size_;
  std::atomic<int> waiting_{0};
  std::atomic<std::uint32_t> phase_{0};
};

// One thread's place in a team: which share of each op is its own.
struct Team {
  int rank = 0, size = 1;
  Barrier* barrier = nullptr;
  void wait() const {
    if (size > 1) barrier->wait();
  }
};

}  // namespace shoal
