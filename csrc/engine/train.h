// Training steps of one member by a team of threads, or of a group of tiny members in the lanes of one thread.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/batch.h"
#include "engine/recorder.h"

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
  double* losses;  // one a curve point, NaN on entry
};

std::int64_t member_workspace(const TrainContext& context, const Member& member);  // floats
void train_member(const TrainContext& context, const Job& job, float* workspace, const Team& team);

// Jobs of one group must agree in structure, batch size and place in the data; at most kernels().lanes of them.
std::int64_t lane_workspace(const TrainContext& context, const Member& member);
void train_lanes(const TrainContext& context, std::vector<Job> jobs, float* workspace);

// Of `rows` samples' losses, `stride` floats apart.
float mean_loss(const float* losses, std::int64_t rows, std::int64_t stride);

// The samples of the batch that `counters` stands before.
std::int64_t batch_rows(const Counters& counters, const Member& member, const Data& data);
PhiloxKey order_key(const TrainContext& context, const Member& member);
Shuffle shuffle_of(const TrainContext& context, const Member& member, std::int64_t epoch);

}  // namespace shoal
