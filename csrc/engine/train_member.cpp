// A training step of one member by itself: forward, loss, and from the last stage to the first: data gradient, then
// weight gradient with the optimiser in it. Where images keep a slice in the cache, a step goes slice by slice.
#include <algorithm>
#include <cmath>
#include <optional>
#include <span>
#include <vector>

#include "engine/backward.h"
#include "engine/train.h"

namespace shoal {
namespace {

class MemberTrainer {
 public:
  MemberTrainer(const TrainContext& context, const Member& member, Arena& arena, const Team& team)
      : context_(context),
        member_(member),
        program_(*member.program),
        team_(team),
        most_rows_(std::min(member.hyperparameters.batch_size, context.data.samples())),
        slice_rows_(std::min(program_.slice_rows(most_rows_), most_rows_)),
        batch_(program_, context.loss, most_rows_, augments(member.hyperparameters) ? slice_rows_ : 0, arena),
        forward_(program_, program_.has_norms ? most_rows_ : slice_rows_, Use::training, arena),
        backward_(program_, forward_, program_.has_norms ? most_rows_ : slice_rows_, arena) {}

  // One step; nothing if the loss is not finite. Mean loss of the batch at `counters`, the same on every thread.
  float step(const Counters& counters, std::int64_t rows) {
    order(counters, rows);
    batch_.gather_goals(context_.data, rows, team_);
    forward_.begin(member_, counters.step, rows, team_);
    backward_.begin(member_, counters.step, rows, context_.optimizer, team_);
    slices_.clear();
    for_slices(rows, slice_rows_, [&](const Slice& slice) { slices_.push_back(slice); });
    // Normalisation needs all slices at each of its stages; else a slice goes there and back before the next.
    const std::size_t together = program_.has_norms ? slices_.size() : 1;
    float loss = 0;
    for (std::size_t first = 0; first < slices_.size() && std::isfinite(loss); first += together) {
      const std::span<const Slice> some(slices_.data() + first, together);
      forward(some, counters.step, rows);
      // The weights change with the last slice, when all losses are known.
      if (some.back().is_last) loss = mean_loss(batch_.losses(), rows, 1);
      if (std::isfinite(loss)) backward_.run(some, team_);
    }
    return loss;
  }

 private:
  void order(const Counters& counters, std::int64_t rows) {
    const Range mine = share(rows, team_.rank, team_.size);
    kernels().batch_order({.shuffle = &shuffle(counters.epoch),
                           .first = static_cast<std::uint32_t>(counters.offset + mine.begin),
                           .count = static_cast<std::uint32_t>(mine.end - mine.begin),
                           .index = batch_.index() + mine.begin});
    team_.wait();
  }

  void forward(std::span<const Slice> slices, std::int64_t step, std::int64_t rows) {
    const Hyperparameters& h = member_.hyperparameters;
    const Augmentation augmentation{h.augment_pad, h.augment_flip, member_.key, static_cast<std::uint32_t>(step)};
    const auto input = [&](const Slice& slice, float* x) {
      batch_.gather_inputs(context_.data, program_.tensors[0], slice, augmentation, x, team_);
    };
    forward_.run(slices, input, team_);
    for (const Slice& slice : slices) {
      float* gradient = backward_.output_gradient(slice);
      if (team_.rank == 0) std::copy_n(forward_.outputs(slice), slice.rows * padded(program_.outputs), gradient);
      team_.wait();
      batch_.loss(slice, rows, gradient, team_);
    }
  }

  const Shuffle& shuffle(std::int64_t epoch) {
    if (epoch != epoch_) shuffle_ = shuffle_of(context_, member_, epoch_ = epoch);
    return *shuffle_;
  }

  const TrainContext& context_;
  const Member& member_;
  const Program& program_;
  const Team& team_;
  std::int64_t most_rows_, slice_rows_;
  Batch batch_;
  Forward forward_;
  Backward backward_;
  std::vector<Slice> slices_;
  std::int64_t epoch_ = -1;
  std::optional<Shuffle> shuffle_;
};

}  // namespace

float mean_loss(const float* losses, std::int64_t rows, std::int64_t stride) {
  double sum = 0;
  for (std::int64_t row = 0; row < rows; ++row) sum += losses[row * stride];
  return static_cast<float>(sum / static_cast<double>(rows));
}

std::int64_t batch_rows(const Counters& counters, const Member& member, const Data& data) {
  return std::min(member.hyperparameters.batch_size, data.samples() - counters.offset);
}

PhiloxKey order_key(const TrainContext& context, const Member& member) {
  PhiloxKey key = member.key;
  if (context.data_order == DataOrder::shared) key.id = 0;
  return key;
}

Shuffle shuffle_of(const TrainContext& context, const Member& member, std::int64_t epoch) {
  return {static_cast<std::uint32_t>(context.data.samples()), order_key(context, member),
          static_cast<std::uint32_t>(epoch)};
}

std::int64_t member_workspace(const TrainContext& context, const Member& member) {
  Arena arena;
  const Team alone;
  MemberTrainer(context, member, arena, alone);
  return arena.used();
}

void train_member(const TrainContext& context, Run& run, std::int64_t steps, float* workspace, const Team& team) {
  Arena arena(workspace);
  MemberTrainer trainer(context, *run.member, arena, team);
  Counters counters = run.member->counters();  // every thread counts for itself, the first one writes back
  std::int64_t left = run.left;
  for (std::int64_t i = std::min(steps, left); i > 0 && !counters.diverged; --i, --left) {
    const std::int64_t rows = batch_rows(counters, *run.member, context.data);
    const float loss = trainer.step(counters, rows);
    if (std::isfinite(loss)) {
      if (team.rank == 0) run.recorder.add(loss);
      advance(counters, rows, context.data.samples());
    } else {
      counters.diverged = true;
      if (team.rank == 0) run.recorder.diverge();
    }
  }
  team.wait();
  if (team.rank != 0) return;
  run.member->counters() = counters;
  run.left = counters.diverged ? 0 : left;
}

}  // namespace shoal
