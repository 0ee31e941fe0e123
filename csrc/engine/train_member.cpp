// A training step of one member by itself: gather, forward, loss, and from the last stage to the first: data
// gradient, then weight gradient with the optimiser in it. The data gradient goes first because it reads the
// weights that the update changes.
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

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
        batch_(program_, context.loss, most_rows_, arena) {
    std::int64_t widest = 0;
    for (const Stage& stage : program_.stages) widest = std::max(widest, padded(stage.inputs));
    for (float*& buffer : dx_) buffer = arena.take(most_rows_ * widest);
  }

  // Mean loss of the batch at `counters`, the same on every thread.
  float forward(const Counters& counters, std::int64_t rows) {
    const Range mine = share(rows, team_.rank, team_.size);
    kernels().batch_order({.shuffle = &shuffle(counters.epoch),
                           .first = static_cast<std::uint32_t>(counters.offset + mine.begin),
                           .count = static_cast<std::uint32_t>(mine.end - mine.begin),
                           .index = batch_.index() + mine.begin});
    batch_.gather(context_.data, context_.loss, Use::training, rows, team_);
    batch_.forward(program_, member_.parameters(), &member_, counters.step, rows, team_);
    batch_.loss(program_, context_.loss, rows, team_);
    return mean_loss(batch_.losses(), rows, 1);
  }

  void backward(const Counters& counters, std::int64_t rows) {
    const Update update = update_at(context_.optimizer, member_.hyperparameters, counters.step);
    float* dy = batch_.gradient();
    for (std::size_t i = program_.stages.size(); i-- > 0;) {
      const Stage& stage = program_.stages[i];
      if (stage.activation != Activation::identity || stage.dropout >= 0) {
        kernels().finish_backward(
            finish_of(stage, member_.parameters(), &member_, counters.step, rows, batch_.outputs(i), dy), team_.rank,
            team_.size);
        team_.wait();
      }
      if (stage.has_product()) dy = backward_product(i, update, rows, dy);
    }
    team_.wait();
  }

 private:
  // Returns the gradient by the stage's inputs (undefined for the first product: nobody asks for it).
  float* backward_product(std::size_t i, const Update& update, std::int64_t rows, float* dy) {
    const Stage& stage = program_.stages[i];
    const DenseShape shape{rows, stage.inputs, stage.outputs};
    float* weight = member_.parameters() + stage.weight;
    float* dx = dy == dx_[0] ? dx_[1] : dx_[0];
    if (wanted_below(i)) {
      kernels().dense_backward_data({shape, dy, weight, dx}, team_.rank, team_.size);
      team_.wait();
    }
    kernels().dense_backward_weights({.shape = shape,
                                      .x = batch_.inputs(i),
                                      .dy = dy,
                                      .weight = weight,
                                      .bias = stage.bias >= 0 ? member_.parameters() + stage.bias : nullptr,
                                      .slot_stride = program_.parameters,
                                      .update = update},
                                     team_.rank, team_.size);
    return dx;
  }

  bool wanted_below(std::size_t i) const {
    const auto first = program_.stages.begin();
    return std::any_of(first, first + static_cast<std::ptrdiff_t>(i), [](const Stage& s) { return s.has_product(); });
  }

  const Shuffle& shuffle(std::int64_t epoch) {
    if (epoch != epoch_) shuffle_ = shuffle_of(context_, member_, epoch_ = epoch);
    return *shuffle_;
  }

  const TrainContext& context_;
  const Member& member_;
  const Program& program_;
  const Team& team_;
  std::int64_t most_rows_;
  Batch batch_;
  float* dx_[2];
  std::int64_t epoch_ = -1;
  std::optional<Shuffle> shuffle_;
};

}  // namespace

void Recorder::diverge() { losses_[done_ / record_] = std::numeric_limits<float>::quiet_NaN(); }

float mean_loss(const float* losses, std::int64_t rows, std::int64_t stride) {
  double sum = 0;
  for (std::int64_t row = 0; row < rows; ++row) sum += losses[row * stride];
  return static_cast<float>(sum / static_cast<double>(rows));
}

std::int64_t batch_rows(const Counters& counters, const Member& member, const Data& data) {
  return std::min(member.hyperparameters.batch_size, data.samples() - counters.offset);
}

void advance(Counters& counters, std::int64_t rows, const Data& data) {
  ++counters.step;
  counters.offset += rows;
  if (counters.offset < data.samples()) return;
  counters.offset = 0;
  ++counters.epoch;
}

Shuffle shuffle_of(const TrainContext& context, const Member& member, std::int64_t epoch) {
  PhiloxKey key = member.key;
  if (context.data_order == DataOrder::shared) key.id = 0;
  return {static_cast<std::uint32_t>(context.data.samples()), key, static_cast<std::uint32_t>(epoch)};
}

std::int64_t member_workspace(const TrainContext& context, const Member& member) {
  Arena arena;
  const Team alone;
  MemberTrainer(context, member, arena, alone);
  return arena.used();
}

void train_member(const TrainContext& context, const Job& job, float* workspace, const Team& team) {
  Arena arena(workspace);
  MemberTrainer trainer(context, *job.member, arena, team);
  Counters counters = job.member->counters();  // every thread counts for itself, the first one writes back
  Recorder recorder(context.record, job.losses);
  for (std::int64_t i = 0; i < job.steps && !counters.diverged; ++i) {
    const std::int64_t rows = batch_rows(counters, *job.member, context.data);
    const float loss = trainer.forward(counters, rows);
    if (std::isfinite(loss)) {
      if (team.rank == 0) recorder.add(loss);
      trainer.backward(counters, rows);
      advance(counters, rows, context.data);
    } else {
      counters.diverged = true;
      if (team.rank == 0) recorder.diverge();
    }
  }
  team.wait();
  if (team.rank == 0) job.member->counters() = counters;
}

}  // namespace shoal
