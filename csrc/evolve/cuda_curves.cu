#include "evolve/cuda_curves.h"

#include <algorithm>

#include "core/cuda.h"
#include "evolve/curve_rows.h"
#include "kernels/curves_cuda.h"
#include "kernels/finite_cuda.h"

namespace shoal {
namespace cuda {
namespace {

constexpr std::int64_t kWarpsOfBlock = kThreads / kWarp;

std::int64_t blocks_for(std::int64_t work, std::int64_t of_block) { return (work + of_block - 1) / of_block; }

// Curves in the device's memory: where they are, or a copy.
class DeviceCurves {
 public:
  DeviceCurves(const Curves& curves, std::int64_t points, int device, const Stream& stream) : values_(curves.values) {
    const std::size_t bytes = static_cast<std::size_t>(curves.count * points) * sizeof(double);
    if (bytes == 0 || is_on_device(curves.values, device)) return;
    copy_ = Memory(bytes);
    stream.copy(curves.values, bytes, copy_.data());
    values_ = copy_.as<double>();
  }
  const double* values() const { return values_; }

 private:
  const double* values_;
  Memory copy_;
};

class CurveSearch {
 public:
  CurveSearch(const NearestCurves& task, int device)
      : task_(task),
        queries_(task.queries, task.points, device, stream_),
        stored_(task.stored, task.points, device, stream_),
        infinite_(sizeof(int)) {}

  void run() {
    int infinite = 0;
    stream_.zero(infinite_.data(), sizeof(int));
    look(queries_.values(), task_.queries.count);
    look(stored_.values(), task_.stored.count);
    stream_.copy(infinite_.data(), sizeof(int), &infinite);
    stream_.wait();
    require(infinite == 0, kInfiniteCurve);
    if (task_.queries.count == 0 || task_.stored.count == 0) return;
    switch (task_.distance) {
      case Distance::l1: return search(nearest_kernel<Distance::l1>);
      case Distance::l2: return search(nearest_kernel<Distance::l2>);
      case Distance::linf: return search(nearest_kernel<Distance::linf>);
      case Distance::cosine: return search(nearest_kernel<Distance::cosine>);
      case Distance::scaled: return search(nearest_kernel<Distance::scaled>);
    }
  }

 private:
  void look(const double* values, std::int64_t curves) {
    const std::int64_t count = curves * task_.points;
    const FiniteLaunch<double> launch{values, count, true, infinite_.as<int>()};
    start_for(finite_kernel<double>, launch, blocks_for(count, kThreads), kThreads, stream_);
  }

  // Enough slices to give every warp some work, and to let those that are done early take more.
  void search(void (*kernel)(CurveLaunch)) {
    constexpr std::int64_t kItemsOfWarp = 4, kLeast = 64;  // stored curves of a slice
    const std::int64_t queries = task_.queries.count, stored = task_.stored.count, k = task_.neighbours;
    const std::int64_t tiles = (queries + kPairQueries - 1) / kPairQueries;
    const std::int64_t warps = kWarpsOfBlock * resident_blocks(kernel, kThreads, 0);
    const std::int64_t slices = std::clamp<std::int64_t>(kItemsOfWarp * warps / tiles, 1, stored / kLeast + 1);
    const auto numbers = static_cast<std::size_t>(queries * k), all = static_cast<std::size_t>(slices) * numbers;
    const Memory index(all * sizeof(std::int64_t)), distances(all * sizeof(double));
    const CurveLaunch launch{.points = task_.points,
                             .queries = queries,
                             .stored = stored,
                             .neighbours = k,
                             .slices = slices,
                             .query = queries_.values(),
                             .library = stored_.values(),
                             .index = index.as<std::int64_t>(),
                             .distances = distances.as<double>()};
    start_for(kernel, launch, blocks_for(tiles * slices, kWarpsOfBlock), kThreads, stream_);
    if (slices > 1) start_for(merge_kernel, launch, blocks_for(queries, kWarpsOfBlock), kThreads, stream_);
    stream_.copy(index.data(), numbers * sizeof(std::int64_t), task_.index);
    stream_.copy(distances.data(), numbers * sizeof(double), task_.distances);
    stream_.wait();
  }

  const NearestCurves& task_;
  Stream stream_;
  DeviceCurves queries_, stored_;
  Memory infinite_;
};

}  // namespace
}  // namespace cuda

void nearest_curves_on_gpu(const NearestCurves& task) {
  const int device = cuda::device_number(task.device);
  const cuda::Current current(device);
  cuda::CurveSearch(task, device).run();
}

}  // namespace shoal
