// Training steps of up to W tiny members at once, one in each lane. Their blocks are interleaved when a run of
// steps starts and written back when it ends; within it everything is a loop over vectors. Lanes without a member
// hold zeros.
#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/forward.h"
#include "engine/train.h"

namespace shoal {
namespace {

constexpr int kMostLanes = 16;

class LaneTrainer {
 public:
  LaneTrainer(const TrainContext& context, const Member& sample, Arena& arena)
      : context_(context),
        program_(*sample.program),
        W_(kernels().lanes),
        most_rows_(std::min(sample.hyperparameters.batch_size, context.data.samples())) {
    const auto rows_of = [&](std::int64_t columns) { return arena.take(most_rows_ * columns * W_); };
    arrays_ = 1 + slots(context.optimizer);
    weights_ = arena.take(arrays_ * program_.weights * W_);
    gradients_ = arena.take(program_.weights * W_);
    x_ = rows_of(program_.features);
    std::int64_t widest = program_.outputs;
    for (const Stage& stage : program_.stages) {
      y_.push_back(rows_of(stage.outputs));
      widest = std::max(widest, stage.inputs);
    }
    for (float*& buffer : dx_) buffer = rows_of(widest);
    targets_ = rows_of(context.loss == Loss::mse ? program_.outputs : 0);
    labels_ = arena.take_as<std::int32_t>(most_rows_ * W_);
    index_ = arena.take_as<std::uint32_t>(most_rows_ * W_);
    losses_ = arena.take(most_rows_ * W_);
  }

  void load(const std::vector<Run>& runs) {
    std::fill_n(weights_, arrays_ * program_.weights * W_, 0.0f);
    for_each_weight(runs, [](float& lane, float& own) { lane = own; });
    counters_.clear();
    for (const Run& run : runs) counters_.push_back(run.member->counters());
    shuffles_.clear();
    runs_ = &runs;
  }

  void save(const std::vector<Run>& runs) {
    for_each_weight(runs, [](float& lane, float& own) { own = lane; });
    for (std::size_t l = 0; l < runs.size(); ++l) runs[l].member->counters() = counters_[l];
  }

  Counters& counters(std::size_t lane) { return counters_[lane]; }

  // Mean losses of the batch, one for each job.
  std::vector<float> forward(std::int64_t rows) {
    gather(rows);
    const float* x = x_;
    for (std::size_t i = 0; i < program_.stages.size(); ++i) {
      const Stage& s = program_.stages[i];
      if (s.has_product()) {
        kernels().lane_product({.m = rows,
                                .n = s.outputs,
                                .k = s.inputs,
                                .a = x,
                                .a_m = s.inputs,
                                .a_k = 1,
                                .b = weights_ + weight_at(i),
                                .b_n = s.inputs,
                                .b_k = 1,
                                .c = y_[i]});
      } else {
        std::copy_n(x, rows * s.outputs * W_, y_[i]);
      }
      Dropout dropout[kMostLanes];
      kernels().lane_finish_forward(finish(i, rows, nullptr, dropout));
      x = y_[i];
    }
    std::copy_n(x, rows * program_.outputs * W_, dx_[0]);
    kernels().lane_loss({.loss = context_.loss,
                         .rows = rows,
                         .outputs = program_.outputs,
                         .batch = rows,
                         .y = dx_[0],
                         .labels = labels_,
                         .targets = targets_,
                         .losses = losses_});
    std::vector<float> means;
    for (std::size_t l = 0; l < counters_.size(); ++l) means.push_back(mean_loss(losses_ + l, rows, W_));
    return means;
  }

  void backward(std::int64_t rows) {
    float *dy = dx_[0], *other = dx_[1];
    std::size_t first = 0;
    while (!program_.stages[first].has_product()) ++first;
    for (std::size_t i = program_.stages.size(); i-- > first;) {
      const Stage& s = program_.stages[i];
      Dropout dropout[kMostLanes];
      if (s.activation != Activation::identity || s.dropout >= 0)
        kernels().lane_finish_backward(finish(i, rows, dy, dropout));
      if (!s.has_product()) continue;
      const float* x = i == 0 ? x_ : y_[i - 1];
      kernels().lane_product({.m = s.outputs,
                              .n = s.inputs,
                              .k = rows,
                              .a = dy,
                              .a_m = 1,
                              .a_k = s.outputs,
                              .b = x,
                              .b_n = 1,
                              .b_k = s.inputs,
                              .c = gradients_ + weight_at(i)});
      if (s.bias >= 0)
        kernels().lane_sum({.rows = rows, .columns = s.outputs, .dy = dy, .sum = gradients_ + bias_at(i)});
      if (i == first) break;
      kernels().lane_product({.m = rows,
                              .n = s.inputs,
                              .k = s.outputs,
                              .a = dy,
                              .a_m = s.outputs,
                              .a_k = 1,
                              .b = weights_ + weight_at(i),
                              .b_n = 1,
                              .b_k = s.inputs,
                              .c = other});
      std::swap(dy, other);
    }
    apply();
    for (Counters& c : counters_) advance(c, rows, context_.data.samples());
  }

 private:
  // Offsets of a stage's weights in the interleaved arrays, which have no padding.
  std::int64_t weight_at(std::size_t stage) const {
    std::int64_t at = 0;
    for (std::size_t i = 0; i < stage; ++i) {
      const Stage& s = program_.stages[i];
      if (s.has_product()) at += s.outputs * s.inputs + (s.bias >= 0 ? s.outputs : 0);
    }
    return at * W_;
  }
  std::int64_t bias_at(std::size_t stage) const {
    return weight_at(stage) + program_.stages[stage].outputs * program_.stages[stage].inputs * W_;
  }

  // Calls move(lane's copy, member's own) for every weight and slot.
  template <class Move>
  void for_each_weight(const std::vector<Run>& runs, const Move& move) {
    for (std::int64_t array = 0; array < arrays_; ++array) {
      for (std::size_t i = 0; i < program_.stages.size(); ++i) {
        const Stage& s = program_.stages[i];
        if (!s.has_product()) continue;
        for (std::size_t l = 0; l < runs.size(); ++l) {
          float* own = runs[l].member->parameters() + array * program_.parameters;
          float* lane = weights_ + array * program_.weights * W_ + weight_at(i) + l;
          for (std::int64_t o = 0; o < s.outputs; ++o) {
            for (std::int64_t k = 0; k < s.inputs; ++k, lane += W_)
              move(*lane, own[s.weight + o * padded(s.inputs) + k]);
          }
          for (std::int64_t o = 0; s.bias >= 0 && o < s.outputs; ++o, lane += W_) move(*lane, own[s.bias + o]);
        }
      }
    }
  }

  void gather(std::int64_t rows) {
    if (shuffles_.empty() || counters_[0].offset == 0) {
      shuffles_.clear();
      for (std::size_t l = 0; l < counters_.size(); ++l) {
        shuffles_.push_back(shuffle_of(context_, *(*runs_)[l].member, counters_[l].epoch));
      }
    }
    for (std::int64_t l = 0; l < W_; ++l) {  // lanes without a member repeat the first one's samples
      const auto lane = l < static_cast<std::int64_t>(counters_.size()) ? static_cast<std::size_t>(l) : 0;
      kernels().batch_order({.shuffle = &shuffles_[lane],
                             .first = static_cast<std::uint32_t>(counters_[lane].offset),
                             .count = static_cast<std::uint32_t>(rows),
                             .index = index_ + l * rows});
    }
    kernels().lane_gather({.data = &context_.data.set(),
                           .features = program_.features,
                           .scale = context_.data.scale(),
                           .shift = context_.data.shift(),
                           .rows = rows,
                           .index = index_,
                           .x = x_,
                           .labels = context_.loss == Loss::cross_entropy ? labels_ : nullptr,
                           .targets = context_.loss == Loss::mse ? targets_ : nullptr});
  }

  LaneFinish finish(std::size_t i, std::int64_t rows, float* dy, Dropout* dropout) const {
    const Stage& s = program_.stages[i];
    for (std::size_t l = 0; s.dropout >= 0 && l < static_cast<std::size_t>(kMostLanes); ++l) {
      const std::size_t lane = l < counters_.size() ? l : 0;
      const Member& m = *(*runs_)[lane].member;
      dropout[l] = dropout_of(s, m, counters_[lane].step);
    }
    return {.rows = rows,
            .columns = s.outputs,
            .activation = s.activation,
            .slope = s.slope,
            .bias = s.bias >= 0 ? weights_ + bias_at(i) : nullptr,
            .dropout = s.dropout >= 0 ? dropout : nullptr,
            .y = y_[i],
            .dy = dy};
  }

  void apply() {
    Update updates[kMostLanes];
    for (std::size_t l = 0; l < static_cast<std::size_t>(W_); ++l) {
      const std::size_t lane = l < counters_.size() ? l : 0;
      updates[l] =
          update_at(update_rule(context_.optimizer, (*runs_)[lane].member->hyperparameters), counters_[lane].step);
    }
    kernels().lane_update({.update = updates,
                           .weights = program_.weights,
                           .slot_stride = program_.weights,
                           .gradient = gradients_,
                           .weight = weights_});
  }

  const TrainContext& context_;
  const Program& program_;
  std::int64_t W_, most_rows_, arrays_;
  float *weights_, *gradients_, *x_, *targets_, *losses_;
  std::vector<float*> y_;
  float* dx_[2];
  std::int32_t* labels_;
  std::uint32_t* index_;
  const std::vector<Run>* runs_ = nullptr;
  std::vector<Counters> counters_;
  std::vector<Shuffle> shuffles_;
};

// Trains all until they have come so far, or one of them diverges.
void train_together(LaneTrainer& trainer, std::vector<Run>& runs, std::int64_t left, const Data& data) {
  while (runs[0].left > left) {
    const std::int64_t rows = batch_rows(trainer.counters(0), *runs[0].member, data);
    const std::vector<float> losses = trainer.forward(rows);
    bool diverged = false;
    for (std::size_t l = 0; l < runs.size(); ++l) {
      if (std::isfinite(losses[l])) continue;
      diverged = trainer.counters(l).diverged = true;
      runs[l].recorder.diverge();
    }
    if (diverged) return;  // the others take this step again without it
    trainer.backward(rows);
    for (std::size_t l = 0; l < runs.size(); ++l) {
      runs[l].recorder.add(losses[l]);
      --runs[l].left;
    }
  }
}

}  // namespace

std::int64_t lane_workspace(const TrainContext& context, const Member& member) {
  Arena arena;
  LaneTrainer(context, member, arena);
  return arena.used();
}

void train_lanes(const TrainContext& context, std::vector<Run>& runs, std::int64_t steps, float* workspace) {
  Arena arena(workspace);
  LaneTrainer trainer(context, *runs[0].member, arena);
  const std::int64_t left = std::max<std::int64_t>(runs[0].left - steps, 0);
  while (!runs.empty() && runs[0].left > left) {
    trainer.load(runs);
    train_together(trainer, runs, left, context.data);
    trainer.save(runs);
    std::erase_if(runs, [](const Run& run) { return run.member->counters().diverged; });
  }
}

}  // namespace shoal
