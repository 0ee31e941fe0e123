// How a launch divides the device: how many teams there are, of what blocks, and with what memory.
#pragma once

#include <algorithm>

#include "engine/cuda_kernels.h"
#include "engine/cuda_resident.h"

namespace shoal::cuda {

inline constexpr std::size_t kProductBytes = kProductFloats * sizeof(float);

// Of shared memory that a block takes for a member with so much state and a team's workspace.
inline std::size_t shared_bytes(OnChip on_chip, std::int64_t state, std::int64_t workspace) {
  switch (on_chip) {
    case OnChip::nothing: break;
    case OnChip::parameters: return kProductBytes + bytes_of(state);
    case OnChip::everything: return bytes_of(state + workspace);
  }
  return kProductBytes;
}

// What jobs of one launch need, at most.
struct Demand {
  OnChip on_chip = OnChip::nothing;
  std::int64_t jobs = 0;
  std::int64_t workspace = 0;  // floats of one team, in memory
  std::int64_t widest = 1;     // tiles of the largest product
  std::int64_t multiply_adds = 0;
  std::size_t shared = 0;  // bytes of a block

  // `state`: floats of the member.
  void add(const ResidentPlan& plan, std::int64_t state) {
    ++jobs;
    if (on_chip != OnChip::everything) workspace = std::max(workspace, plan.program.floats);
    widest = std::max(widest, plan.widest);
    multiply_adds = std::max(multiply_adds, plan.multiply_adds);
    shared = std::max(shared, shared_bytes(on_chip, state, plan.program.floats));
  }
};

// On the device that is current when it is made, and in its calls.
class Launcher {
 public:
  explicit Launcher(const Stream& stream) : stream_(stream) {
    has_clusters_ = attribute(cudaDevAttrClusterLaunch, current_device()) != 0 && compiled_for(train_kernel) >= 90;
  }

  // As many teams as the device holds at once, or as there are jobs; fewer where its memory is short. Blocks that are
  // left over make the teams larger.
  template <class Launch>
  Teams teams_for(void (*kernel)(Launch), const Demand& demand, Room& room) const {
    const int threads = threads_for(kernel, demand);
    const std::int64_t blocks = resident_blocks(kernel, threads, demand.shared);
    std::int64_t teams = that_fit(std::min(demand.jobs, blocks), demand, room);
    if (teams == 0) throw OutOfMemory(bytes_of(demand.workspace));
    std::int64_t size = size_for(blocks / teams, blocks, demand);
    const std::int64_t cluster = cluster_for(kernel, size, demand);
    if (cluster > 0) {
      size = cluster;
      teams = std::min(teams, clusters_of(kernel, cluster));
    }
    const auto count = static_cast<std::size_t>(teams);
    auto* const workspaces = room.workspaces.take<float>(count * static_cast<std::size_t>(demand.workspace));
    auto* const control = room.control.take<unsigned>(2 * count + 1);
    stream_.zero(control, (2 * count + 1) * sizeof(unsigned));
    return {.size = static_cast<int>(size),
            .count = static_cast<int>(teams),
            .threads = threads,
            .clusters = cluster > 0,
            .jobs = static_cast<int>(demand.jobs),
            .workspaces = workspaces,
            .workspace_floats = demand.workspace,
            .arrivals = control,
            .taken = reinterpret_cast<int*>(control + count),
            .queue = reinterpret_cast<int*>(control + 2 * count)};
  }

  // The blocks of a team are on the device at once, so that they can wait for each other.
  template <class Launch>
  void start(void (*kernel)(Launch), const Launch& launch, const Demand& demand) const {
    const Teams& teams = launch.teams;
    const std::int64_t blocks = std::int64_t{teams.size} * teams.count;
    if (teams.clusters) {
      ClusterLaunch(blocks, teams.size, teams.threads, demand.shared, stream_.get()).start(kernel, launch);
    } else {
      cuda::start(kernel, launch, blocks, teams.threads, demand.shared, stream_);
    }
  }

 private:
  // Blocks of a team whose steps are short: with more, waiting for each other costs more than they bring.
  static constexpr std::int64_t kMostBlocks = 64, kLongStep = 250'000'000;  // multiply-adds
  // With still shorter ones it pays to be one cluster, which is smaller, but waits in hardware.
  static constexpr std::int64_t kMostOfCluster = 8, kShortStep = 30'000'000;

  // The compute capability, times ten, that a kernel's code is compiled for. A driver translates older code for newer
  // devices, and in that cluster_sync() does nothing.
  template <class Launch>
  static int compiled_for(void (*kernel)(Launch)) {
    cudaFuncAttributes attributes{};
    check(cudaFuncGetAttributes(&attributes, kernel), "looking at a kernel");
    return attributes.ptxVersion;
  }

  // Of a block. One that has a tiny member for itself has the most with which the device holds as many of them at once as
  // with one warp.
  template <class Launch>
  static int threads_for(void (*kernel)(Launch), const Demand& demand) {
    if (demand.on_chip != OnChip::everything) return kThreads;
    const auto at_once = [&](int threads) {
      return std::min(demand.jobs, resident_blocks(kernel, threads, demand.shared));
    };
    int threads = kThreads;
    while (at_once(threads) < at_once(kWarp)) threads /= 2;
    return threads;
  }

  // So many teams as memory has workspaces for. The driver, which takes its time, is asked only if they are not there.
  static std::int64_t that_fit(std::int64_t teams, const Demand& demand, const Room& room) {
    const std::size_t one = bytes_of(demand.workspace);
    if (one * static_cast<std::size_t>(teams) <= room.workspaces.size()) return teams;
    std::size_t free = 0, total = 0;
    check(cudaMemGetInfo(&free, &total), "asking for free memory");
    return std::min(teams, static_cast<std::int64_t>((room.workspaces.size() + free / 2) / one));
  }

  // Of the blocks that there are for a team, how many it has.
  static std::int64_t size_for(std::int64_t most, std::int64_t all, const Demand& demand) {
    if (demand.on_chip != OnChip::nothing) return 1;  // what is on chip belongs to one block
    const std::int64_t worth = demand.multiply_adds < kLongStep ? kMostBlocks : all;
    return std::clamp<std::int64_t>(most, 1, std::min(worth, demand.widest));
  }

  // Blocks of the cluster that does the work of a team of this size; 0: better none.
  template <class Launch>
  std::int64_t cluster_for(void (*kernel)(Launch), std::int64_t size, const Demand& demand) const {
    if (!has_clusters_ || size == 1 || demand.multiply_adds >= kShortStep) return 0;
    std::int64_t cluster = kMostOfCluster;
    while (cluster > size) cluster /= 2;
    return clusters_of(kernel, cluster) > 0 ? cluster : 0;
  }

  // Clusters of a kernel that the device holds at once.
  template <class Launch>
  std::int64_t clusters_of(void (*kernel)(Launch), std::int64_t blocks) const {
    return ClusterLaunch(blocks, blocks, kThreads, kProductBytes, stream_.get()).resident(kernel);
  }

  const Stream& stream_;
  bool has_clusters_;
};

}  // namespace shoal::cuda
