// Training steps of one member by a team of threads, or of a group of tiny members in the lanes of one thread.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/batch.h"

namespace shoal {

struct TrainContext {
  const Data& data;
  Optimizer optimizer;
  Loss loss;
  DataOrder data_order;
  std::int64_t record;  // steps a curve point
};

// A member and how far it is to train.
struct Job {
  Member* member;
  std::int64_t steps;
  float* losses;  // one a curve point, NaN on entry
};

std::int64_t member_workspace(const TrainContext& context, const Member& member);  // floats
void train_member(const TrainContext& context, const Job& job, float* workspace, const Team& team);

// Jobs of one group must agree in structure, batch size and place in the data; at most kernels().lanes of them.
std::int64_t lane_workspace(const TrainContext& context, const Member& member);
void train_lanes(const TrainContext& context, std::vector<Job> jobs, float* workspace);

// Mean training loss of each `record` steps of one job.
class Recorder {
 public:
  Recorder(std::int64_t record, float* losses) : record_(record), losses_(losses) {}
  void add(float loss) {
    sum_ += loss;
    losses_[done_ / record_] = static_cast<float>(sum_ / static_cast<double>(done_ % record_ + 1));
    if (++done_ % record_ == 0) sum_ = 0;
  }
  // The interval in which the loss stopped being finite has no mean.
  void diverge();

 private:
  std::int64_t record_, done_ = 0;
  double sum_ = 0;
  float* losses_;
};

// Of `rows` samples' losses, `stride` floats apart.
float mean_loss(const float* losses, std::int64_t rows, std::int64_t stride);

// The samples of the batch that `counters` stands before, and the counters after it.
std::int64_t batch_rows(const Counters& counters, const Member& member, const Data& data);
void advance(Counters& counters, std::int64_t rows, const Data& data);
Shuffle shuffle_of(const TrainContext& context, const Member& member, std::int64_t epoch);

}  // namespace shoal
