// The two kernels of the GPU engine, one to train and one to evaluate. Both are persistent: teams of blocks take jobs
// from a queue until none is left, so that members of all sizes, and stopped ones, cost what they are.
#pragma once

#include "engine/cuda_pass.h"
#include "engine/evaluate.h"
#include "engine/recorder.h"
#include "shoal/population.h"

namespace shoal::cuda {

// Memory that the teams of one launch share out.
struct Teams {
  int size, count;  // blocks of a team, teams
  int threads;      // of a block
  bool clusters;    // each team is one
  int jobs;
  float* workspaces;
  std::int64_t workspace_floats;
  unsigned* arrivals;  // by team
  int* taken;          // by team: its job
  int* queue;          // the next job
};

SHOAL_DEVICE Team team_of(const Teams& teams) {
  const int team = static_cast<int>(blockIdx.x) / teams.size;
  return {static_cast<int>(blockIdx.x) % teams.size, teams.size, teams.clusters, teams.arrivals + team};
}

// The team's next job; teams.jobs or more: none is left.
SHOAL_DEVICE int next_job(const Teams& teams, Team& team) {
  int* const taken = teams.taken + static_cast<int>(blockIdx.x) / teams.size;
  team.sync();  // all have read the job before
  if (team.thread() == 0) *taken = atomicAdd(teams.queue, 1);
  team.sync();
  return *static_cast<volatile int*>(taken);
}

SHOAL_DEVICE float* workspace_of(const Teams& teams) {
  return teams.workspaces + blockIdx.x / static_cast<unsigned>(teams.size) * teams.workspace_floats;
}

// ---- training

struct TrainJob {
  DeviceProgram program;
  float* parameters;     // optimiser slots behind them
  std::int64_t floats;   // of both
  Counters* counters;    // of the member, in and out
  const float* dropout;  // rates
  double* losses;        // one a curve point
  std::int64_t steps, record, batch_size;
  UpdateRule rule;
  PhiloxKey key, order_key;
  std::uint32_t augment_pad;
  bool augment_flip;
};

// What of a member is in shared memory for the quantum; teams of one block only. With everything, which is for tiny
// networks, the block may have any number of warps.
enum class OnChip { nothing, parameters, everything };

struct TrainLaunch {
  Teams teams;
  DeviceData data;
  Loss loss;
  Precision precision;
  OnChip on_chip;
  const TrainJob* jobs;
};

SHOAL_DEVICE void copy_floats(const Team& team, const float* from, std::int64_t count, float* to) {
  for (std::int64_t i = team.thread(); i < count; i += team.threads()) to[i] = from[i];
}

// Mean loss of the batch at `counters`, the same on every thread; the step is taken if it is finite.
SHOAL_DEVICE float train_step(Team& team, const TrainLaunch& launch, const TrainJob& job, const PassContext& c,
                              const Counters& counters, bool new_epoch, int rows) {
  StepState* const state = c.state();
  const auto step = static_cast<std::uint32_t>(counters.step);
  const auto samples = static_cast<std::uint32_t>(launch.data.samples);
  if (new_epoch) {
    if (team.thread() == 0)
      state->shuffle = Shuffle(samples, job.order_key, static_cast<std::uint32_t>(counters.epoch));
    team.sync();
  }
  const Augmenting augmenting{job.augment_pad, job.augment_flip, job.key, step};
  choose(team, state->shuffle, augmenting, static_cast<std::uint32_t>(counters.offset), rows, c.chosen());
  if (team.thread() == team.threads() - 1) state->rule = update_at(job.rule, counters.step);
  team.sync();
  forward(team, c, rows, true, step);
  loss_forward(team, {launch.loss, rows, c.program.outputs, c.at(c.program.y), launch.data, c.chosen()}, c.losses(),
               c.at(c.program.dy));
  team.sync();
  if (team.warp() == 0) {
    double sum = 0;
    for (int row = static_cast<int>(threadIdx.x); row < rows; row += kWarp) sum += c.losses()[row];
    sum = warp_sum(sum);
    if (threadIdx.x == 0) state->loss = static_cast<float>(sum / rows);
  }
  team.sync();
  const float loss = state->loss;
  const Update rule = state->rule;
  if (isfinite(loss)) backward(team, c, rows, rule, step);
  return loss;
}

SHOAL_DEVICE void train_member(Team& team, const TrainLaunch& launch, const TrainJob& job) {
  const bool tiny = launch.on_chip == OnChip::everything, on_chip = launch.on_chip != OnChip::nothing;
  float* const parameters = on_chip ? shared_memory() + (tiny ? 0 : kProductFloats) : job.parameters;
  if (on_chip) copy_floats(team, job.parameters, job.floats, parameters);
  const PassContext c{job.program,
                      launch.data,
                      parameters,
                      tiny ? parameters + job.floats : workspace_of(launch.teams),
                      job.dropout,
                      job.key,
                      job.augment_pad > 0 || job.augment_flip,
                      launch.precision,
                      tiny};
  Counters counters = *job.counters;  // every thread counts for itself, the first one writes back
  Recorder recorder(job.record, job.losses);
  team.sync();
  for (std::int64_t i = 0; i < job.steps && !counters.diverged; ++i) {
    const std::int64_t left = launch.data.samples - counters.offset;
    const std::int64_t rows = job.batch_size < left ? job.batch_size : left;
    const bool new_epoch = i == 0 || counters.offset == 0;
    const float loss = train_step(team, launch, job, c, counters, new_epoch, static_cast<int>(rows));
    if (isfinite(loss)) {
      if (team.thread() == 0) recorder.add(loss);
      advance(counters, rows, launch.data.samples);
    } else {
      counters.diverged = true;
      if (team.thread() == 0) recorder.diverge();
    }
  }
  team.sync();
  if (on_chip) copy_floats(team, parameters, job.floats, job.parameters);
  if (team.thread() == 0) *job.counters = counters;
}

__global__ void __launch_bounds__(kThreads, 2) train_kernel(const __grid_constant__ TrainLaunch launch) {
  Team team = team_of(launch.teams);
  for (int job = next_job(launch.teams, team); job < launch.teams.jobs; job = next_job(launch.teams, team))
    train_member(team, launch, launch.jobs[job]);
}

// ---- evaluation

// Those of a warp's lanes merged in one order, on the first lane.
SHOAL_DEVICE Moments warp_merge(Moments moments) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    const auto other = [&](double value) { return __shfl_xor_sync(0xFFFFFFFFu, value, distance); };
    moments.merge({other(moments.count), other(moments.mean_y), other(moments.mean_t), other(moments.yy),
                   other(moments.tt), other(moments.yt)});
  }
  return moments;
}

// Some samples of the data through one member.
struct EvaluateJob {
  DeviceProgram program;
  float* parameters;
  std::int64_t first, rows;
  Sums* sums;      // of these samples; or
  float* outputs;  // (rows, outputs): probabilities for cross_entropy, values for mse
};

struct EvaluateLaunch {
  Teams teams;
  DeviceData data;
  Loss loss;
  Precision precision;
  const EvaluateJob* jobs;
};

SHOAL_DEVICE void sum_losses(Team& team, const EvaluateLaunch& launch, const EvaluateJob& job, const PassContext& c,
                             const LossPass& pass) {
  loss_forward(team, pass, c.losses(), nullptr);
  team.sync();
  if (team.warp() != 0) return;
  Sums sums;
  for (int row = static_cast<int>(threadIdx.x); row < pass.rows; row += kWarp) {
    sums.loss += c.losses()[row];
    if (launch.loss == Loss::cross_entropy)
      sums.correct += chosen_class(pass, row) == launch.data.labels[pass.sample(row)];
    for (int i = 0; i < pass.outputs && launch.loss == Loss::mse; ++i)
      sums.moments.add(pass.outputs_of(row)[i * kLanes], launch.data.targets[pass.sample(row) * pass.outputs + i]);
  }
  sums = {warp_sum(sums.loss), warp_sum(sums.correct), warp_merge(sums.moments)};
  if (threadIdx.x == 0) *job.sums = sums;
}

SHOAL_DEVICE void store_outputs(const Team& team, const LossPass& pass, float* outputs) {
  for (int row = team.thread(); row < pass.rows; row += team.threads()) {
    const float* y = pass.outputs_of(row);
    const bool classes = pass.loss == Loss::cross_entropy;
    const Exponentials e = classes ? exponentials(y, pass.outputs) : Exponentials{};
    for (int i = 0; i < pass.outputs; ++i) {
      const float value = y[i * kLanes];
      outputs[static_cast<std::int64_t>(row) * pass.outputs + i] = classes ? expf(value - e.max) / e.sum : value;
    }
  }
}

SHOAL_DEVICE void evaluate_samples(Team& team, const EvaluateLaunch& launch, const EvaluateJob& job, float* workspace) {
  const PassContext c{job.program, launch.data, job.parameters, workspace, nullptr, {}, false, launch.precision, false};
  const int rows = static_cast<int>(job.rows);
  for (int row = team.thread(); row < groups_of(rows) * kLanes; row += team.threads())
    c.chosen()[row] = {static_cast<std::uint32_t>(job.first + (row < rows ? row : 0)), {0, 0, false}};
  team.sync();
  forward(team, c, rows, false, 0);
  const LossPass pass{launch.loss, rows, c.program.outputs, c.at(c.program.y), launch.data, c.chosen()};
  if (job.sums) sum_losses(team, launch, job, c, pass);
  if (job.outputs) store_outputs(team, pass, job.outputs);
}

__global__ void __launch_bounds__(kThreads, 2) evaluate_kernel(const __grid_constant__ EvaluateLaunch launch) {
  Team team = team_of(launch.teams);
  for (int job = next_job(launch.teams, team); job < launch.teams.jobs; job = next_job(launch.teams, team))
    evaluate_samples(team, launch, launch.jobs[job], workspace_of(launch.teams));
}

}  // namespace shoal::cuda
