// The nearest curves of many. They are passed by in the order of their levels, from a query's own level to both sides, and
// those left alone whose level is farther away than the k nearest so far: of learning curves most are, of noise none
// (Friedman, Baskett and Shustek 1975, "An algorithm for finding nearest neighbors", IEEE Transactions on Computers C-24).
// Of the others sums in float32 name those that may be among the k nearest, by a bound that covers all their roundings; the
// distances of these in double decide. What is left out could not have changed the answer, so it is that of double
// alone, and no (queries, stored) matrix is kept.
#include "shoal/curves.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "evolve/cuda_curves.h"
#include "evolve/curve_frame.h"
#include "evolve/curve_rows.h"
#include "kernels/kernels.h"
#include "shoal/error.h"

namespace shoal {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The k nearest so far: a heap with the farthest on top; of equals the higher row counts as farther.
class Nearest {
 public:
  explicit Nearest(std::int64_t k) : k_(static_cast<std::size_t>(k)) {}

  // Whether `farthest` has changed.
  bool offer(double distance, std::int64_t row) {
    const std::pair found{distance, row};
    const bool full = heap_.size() == k_;
    if (!(distance < kInfinity) || (full && !(found < heap_.front()))) return false;
    if (full) std::pop_heap(heap_.begin(), heap_.end());
    if (full) heap_.pop_back();
    heap_.push_back(found);
    std::push_heap(heap_.begin(), heap_.end());
    return heap_.size() == k_;
  }
  double farthest() const { return heap_.size() < k_ ? kInfinity : heap_.front().first; }

  // What they leave of k stays as it was.
  void write(std::int64_t* index, double* distances) {
    std::sort_heap(heap_.begin(), heap_.end());
    for (const auto& [distance, row] : heap_) {
      *distances++ = distance;
      *index++ = row;
    }
  }

 private:
  std::size_t k_;
  std::vector<std::pair<double, std::int64_t>> heap_;
};

class Search {
 public:
  Search(const NearestCurves& task, const CurveExtent& extent, ThreadPool& pool)
      : task_(task),
        extent_(extent),
        pool_(pool),
        queries_(task.queries, task.points, extent.masked, pool),
        stored_(task.stored, task.points, extent.masked, pool),
        bounds_(task.distance, task.points, extent) {}

  // Few queries do not repay the tiles; angles over missing points have lengths of their own for each pair.
  void run() {
    constexpr std::int64_t kMostPoints = std::int64_t{1} << 20;  // beyond it float32 sums mean little
    const bool in_tiles = task_.queries.count >= kCurveRows && !(extent_.masked && is_angle(task_.distance)) &&
                          task_.points <= kMostPoints;
    in_tiles ? by_tiles() : by_pairs();
  }

 private:
  Nearest none() const { return Nearest(std::min(task_.neighbours, task_.stored.count)); }

  double distance(std::int64_t query, std::int64_t row) const {
    return kernels().curve_distance({task_.distance, extent_.masked, task_.points, queries_[query], stored_[row]});
  }

  void write(Nearest& nearest, std::int64_t query) const {
    nearest.write(task_.index + query * task_.neighbours, task_.distances + query * task_.neighbours);
  }

  void by_pairs() {
    pool_.for_each(task_.queries.count, [&](std::int64_t query, int) {
      Nearest nearest = none();
      for (std::int64_t row = 0; row < task_.stored.count; ++row) nearest.offer(distance(query, row), row);
      write(nearest, query);
    });
  }

  // A thread takes some tiles of queries, which stay in its cache, and passes by the stored curves, from where the queries
  // are to both sides in turn.
  void by_tiles() {
    const CurveFrame frame = frame_of(stored_, bounds_);
    const CurveTiles queries(queries_, frame, kCurveRows, bounds_, pool_);
    const CurveTiles stored(stored_, frame, kCurveColumns, bounds_, pool_);
    const std::int64_t most = std::clamp<std::int64_t>(queries.count() / (4 * pool_.size()), 1, 16);
    pool_.for_each((queries.count() + most - 1) / most, [&](std::int64_t block, int) {
      std::vector<Group> groups;
      for (std::int64_t tile = block * most; tile < std::min((block + 1) * most, queries.count()); ++tile)
        groups.emplace_back(*this, queries, tile);
      const std::int64_t start = stored.at_level(queries.lowest(block * most + std::ssize(groups) / 2));
      for (std::int64_t i = 0; i < 2 * stored.count(); ++i) {
        const std::int64_t tile = i % 2 == 0 ? start + i / 2 : start - (i + 1) / 2;
        if (tile < 0 || tile >= stored.count()) continue;
        for (Group& group : groups) group.pass(stored, tile);
      }
      for (Group& group : groups) group.write();
    });
  }

  // The queries of one tile.
  class Group {
   public:
    Group(const Search& search, const CurveTiles& queries, std::int64_t tile)
        : search_(search),
          queries_(queries),
          tile_(tile),
          first_(tile * kCurveRows),
          rows_(std::min(kCurveRows, search.task_.queries.count - first_)),
          nearest_(static_cast<std::size_t>(rows_), search.none()) {
      const double root = std::sqrt(static_cast<double>(search.task_.points));
      for (std::int64_t r = 0; r < rows_; ++r) {
        size_[r] = length(search.queries_[query(r)], search.task_.points) / root;
        limit(r);
      }
    }

    void pass(const CurveTiles& stored, std::int64_t tile) {
      const double gap =
          std::max(stored.lowest(tile) - queries_.highest(tile_), queries_.lowest(tile_) - stored.highest(tile));
      if (gap > *std::max_element(low_, low_ + rows_)) return;
      std::uint64_t near[kCurveRows];
      kernels().curves_near({.sum = search_.bounds_.sum(),
                             .masked = search_.extent_.masked,
                             .points = search_.task_.points,
                             .queries = queries_.values(tile_),
                             .stored = stored.values(tile),
                             .low = low_,
                             .high = high_,
                             .row_counts = queries_.counts(tile_),
                             .blur = stored.blur(tile),
                             .column_counts = stored.counts(tile),
                             .near = near});
      const std::int64_t columns = search_.task_.stored.count - tile * kCurveColumns;
      const std::uint64_t here = columns < kCurveColumns ? (std::uint64_t{1} << columns) - 1 : ~std::uint64_t{0};
      for (std::int64_t r = 0; r < rows_; ++r) look(r, near[r] & here, stored, tile * kCurveColumns);
    }

    void write() {
      for (std::int64_t r = 0; r < rows_; ++r) search_.write(nearest_[static_cast<std::size_t>(r)], query(r));
    }

   private:
    std::int64_t query(std::int64_t r) const { return queries_.row(first_ + r); }

    void look(std::int64_t r, std::uint64_t near, const CurveTiles& stored, std::int64_t first) {
      bool changed = false;
      for (; near != 0; near &= near - 1) {
        const std::int64_t row = stored.row(first + std::countr_zero(near));
        changed |= nearest_[static_cast<std::size_t>(r)].offer(search_.distance(query(r), row), row);
      }
      if (changed) limit(r);
    }

    void limit(std::int64_t r) {
      const double blur = queries_.blur(tile_)[r];
      const double farthest = nearest_[static_cast<std::size_t>(r)].farthest();
      const auto [low, high] = search_.bounds_.limits(farthest, size_[r]);
      low_[r] = static_cast<float>(low + blur);
      high_[r] = static_cast<float>(high - blur);
    }

    const Search& search_;
    const CurveTiles& queries_;
    std::int64_t tile_, first_, rows_;
    std::vector<Nearest> nearest_;
    double size_[kCurveRows] = {};  // root mean squares
    float low_[kCurveRows] = {}, high_[kCurveRows] = {};
  };

  const NearestCurves& task_;
  const CurveExtent& extent_;
  ThreadPool& pool_;
  CurveRows queries_, stored_;
  CurveBounds bounds_;
};

// Threads that little work would only wait for are not started.
int useful_threads(const NearestCurves& task) {
  constexpr double kWork = 1 << 20;  // differences
  const double work = static_cast<double>(task.queries.count) * static_cast<double>(task.stored.count) *
                      static_cast<double>(task.points);
  const int most = task.threads > 0 ? task.threads : available_cores();
  return static_cast<int>(std::min(static_cast<double>(most), 1 + work / kWork));
}

}  // namespace

void nearest_curves(const NearestCurves& task) {
  require(task.neighbours >= 1, "neighbours must be >= 1, got " + std::to_string(task.neighbours));
  require(task.threads >= 0, "threads must be >= 0 (0: all cores), got " + std::to_string(task.threads));
  std::fill_n(task.index, task.queries.count * task.neighbours, -1);
  std::fill_n(task.distances, task.queries.count * task.neighbours, kInfinity);
  if (task.device != "cpu") return nearest_curves_on_gpu(task);
  CurveExtent extent;
  extent.look(task.queries, task.points);
  extent.look(task.stored, task.points);
  if (task.queries.count == 0 || task.stored.count == 0) return;
  ThreadPool pool(useful_threads(task));
  Search(task, extent, pool).run();
}

}  // namespace shoal
