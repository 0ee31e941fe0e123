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

// A job under way. No bit depends on how many calls its steps are divided over.
struct Run {
  Member* member;
  std::int64_t left;  // steps
  Recorder recorder;

  Run(const TrainContext& context, const Job& job)
      : member(job.member), left(job.steps), recorder(context.record, job.losses) {}
};

// Trains for up to `steps` of what is left.
std::int64_t member_workspace(const TrainContext& context, const Member& member);  // floats
void train_member(const TrainContext& context, Run& run, std::int64_t steps, float* workspace, const Team& team);

// The same for runs that agree in structure, batch size, place in the data and steps left; at most kernels().lanes. Those
// that diverge are taken out of the group.
std::int64_t lane_workspace(const TrainContext& context, const Member& member);
void train_lanes(const TrainContext& context, std::vector<Run>& runs, std::int64_t steps, float* workspace);

// Of `rows` samples' losses, `stride` floats apart.
float mean_loss(const float* losses, std::int64_t rows, std::int64_t stride);

// The samples of the batch that `counters` stands before.
std::int64_t batch_rows(const Counters& counters, const Member& member, const Data& data);
PhiloxKey order_key(const TrainContext& context, const Member& member);
Shuffle shuffle_of(const TrainContext& context, const Member& member, std::int64_t epoch);

}  // namespace shoal
