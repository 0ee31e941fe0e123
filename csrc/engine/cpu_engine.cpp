// Training on this machine's processor: a population's members divided over threads.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <map>
#include <mutex>
#include <queue>
#include <tuple>
#include <utility>

#include "core/thread_pool.h"
#include "engine/engine.h"
#include "engine/evaluate.h"

namespace shoal {
namespace {

// Work of one thread at a time, or, where there are fewer pieces than threads, of a team.
struct Piece {
  std::vector<Run> runs;  // one, or a group of tiny members
  bool in_lanes;
  double step;  // cost of one: multiply-adds forward, about

  std::int64_t left() const { return runs.empty() ? 0 : runs[0].left; }
  double cost() const { return step * static_cast<double>(left()); }
};

double step_of(const Member& m) {
  return static_cast<double>(m.hyperparameters.batch_size) * static_cast<double>(m.program->multiply_adds + 1);
}

std::size_t lanes() { return static_cast<std::size_t>(kernels().lanes); }

// Below this many multiply-adds forward a step is too short to be worth the team's barriers.
constexpr double kTeamStep = 300e3;

bool worth_a_team(const Piece& piece) {
  const Member& m = *piece.runs[0].member;
  return !m.program->tiny() && step_of(m) >= kTeamStep;
}

// Tiny members that agree in structure, batch size, place in the data and steps, and so can share vectors.
std::vector<std::vector<Job>> lane_groups(const std::vector<Job>& jobs) {
  std::map<std::tuple<std::int64_t, std::int64_t, std::int64_t>, std::vector<std::vector<Job>>> groups;
  for (const Job& job : jobs) {
    const Member& m = *job.member;
    auto& candidates = groups[{m.hyperparameters.batch_size, m.counters().offset, job.steps}];
    const auto open = std::find_if(candidates.begin(), candidates.end(), [&](const std::vector<Job>& group) {
      return group.size() < lanes() && same_structure(*group[0].member->program, *m.program);
    });
    if (open == candidates.end()) {
      candidates.push_back({job});
    } else {
      open->push_back(job);
    }
  }
  std::vector<std::vector<Job>> all;
  for (auto& [key, candidates] : groups) std::move(candidates.begin(), candidates.end(), std::back_inserter(all));
  return all;
}

std::vector<Piece> pieces_of(const TrainContext& context, const std::vector<Job>& jobs) {
  std::vector<Piece> pieces;
  const auto alone = [&](const Job& job, double cost) {
    pieces.push_back({{Run(context, job)}, false, cost * step_of(*job.member)});
  };
  std::vector<Job> tiny;
  for (const Job& job : jobs) {
    if (job.member->program->tiny() && !augments(job.member->hyperparameters)) {
      tiny.push_back(job);
    } else {
      alone(job, 1);
    }
  }
  for (const std::vector<Job>& group : lane_groups(tiny)) {
    // A step in lanes costs the same however few members are in it; half full it is no faster than each by itself.
    if (2 * group.size() > lanes()) {
      Piece piece{{}, true, step_of(*group[0].member) * static_cast<double>(lanes())};
      for (const Job& job : group) piece.runs.emplace_back(context, job);
      pieces.push_back(std::move(piece));
    } else {
      for (const Job& job : group) alone(job, 2);
    }
  }
  return pieces;
}

// Who trains what: a thread that is free takes the piece with most of its work left; all of it as long as many wait, then
// some steps of it. So all threads end together, whatever the pieces' number and lengths. The last one that waits is taken
// whole again: then there is one for each thread that still works.
class Turns {
 public:
  Turns(std::vector<Piece>& pieces, int threads) : many_(2 * static_cast<std::size_t>(threads)) {
    for (Piece& piece : pieces) {
      if (piece.left() > 0) waiting_.emplace(piece.cost(), &piece);
      turn_ += piece.cost();
    }
    turn_ = std::max(turn_ / (kTurns * threads), kLeast);
  }

  // Calls train(piece, steps) until no piece waits. Those that are left then are other threads'.
  template <class Train>
  void take(const Train& train) {
    std::unique_lock lock(mutex_);
    while (!waiting_.empty()) {
      Piece* const piece = waiting_.top().second;
      const bool whole = waiting_.size() == 1 || waiting_.size() >= many_;
      waiting_.pop();
      lock.unlock();
      train(*piece, whole ? piece->left() : std::max<std::int64_t>(1, std::llround(turn_ / piece->step)));
      lock.lock();
      if (piece->left() > 0) waiting_.emplace(piece->cost(), piece);
    }
  }

 private:
  static constexpr double kTurns = 32;   // of a thread: it may wait for the others for as long as one
  static constexpr double kLeast = 1e8;  // multiply-adds forward, some milliseconds: what a turn begins with costs 1 %
  const std::size_t many_;
  double turn_ = 0;
  std::mutex mutex_;
  std::priority_queue<std::pair<double, Piece*>> waiting_;  // by what is left
};

// The sums as a GPU's block has them.
void mutate_layer(const MutateLayer& layer) {
  double sums[kMutateParts];
  for (int part = 0; part < kMutateParts; ++part) sums[part] = squares_of_part(layer, part);
  for (int width = kMutateParts / 2; width > 0; width /= 2) {
    for (int part = 0; part < width; ++part) sums[part] += sums[part + width];
  }
  const double width = layer.scale * std::sqrt(sums[0] / static_cast<double>(layer.weights()));
  for (std::int64_t pair = 0; 2 * pair < layer.weights(); ++pair) mutate_pair(layer, false, pair, width);
  for (std::int64_t pair = 0; 2 * pair < layer.biases; ++pair) mutate_pair(layer, true, pair, width);
}

class CpuEngine final : public Engine {
 public:
  CpuEngine(Loss loss, int threads)
      : loss_(loss),
        pool_(threads > 0 ? threads : available_cores()),
        workspaces_(static_cast<std::size_t>(pool_.size())) {}

  void check_fits(const Member&) const override {}
  void place(std::vector<Member>& fresh) override {
    // By one thread: glibc gives each a heap of its own, and with blocks from two of them b64 trained 2 % slower.
    for (Member& member : fresh) member.block = std::make_shared<Buffer>(static_cast<std::size_t>(member.bytes()));
    if (fresh.size() == 1) return draw(fresh[0]);  // threads would take longer to wake
    pool_.for_each(static_cast<std::int64_t>(fresh.size()),
                   [&](std::int64_t i, int) { draw(fresh[static_cast<std::size_t>(i)]); });
  }

  void read(const Member& member, std::byte* to) override {
    std::memcpy(to, member.block->data(), member.block->size());
  }
  void write(const std::byte* from, Member& member) override {
    std::memcpy(member.block->data(), from, member.block->size());
  }

  void inherit(const std::vector<Descent>& descents) override {
    std::map<const Member*, Buffer> before;  // parents that are heirs too: counters and floats
    for (const Member* parent : overwritten(descents)) {
      Buffer saved(parent->block->size());
      read(*parent, saved.data());
      before.emplace(parent, std::move(saved));
    }
    const auto block = [&](const Member* parent) {
      const auto saved = before.find(parent);
      return saved == before.end() ? parent->block->data() : saved->second.data();
    };
    const auto floats = [&](const Member* parent) {
      return reinterpret_cast<const float*>(block(parent) + sizeof(BlockHeader));
    };
    pool_.for_each(static_cast<std::int64_t>(descents.size()), [&](std::int64_t i, int) {
      const Descent& d = descents[static_cast<std::size_t>(i)];
      const CrossRows rows = cross_rows(d, floats(d.first), floats(d.second));
      if (rows.share == 0) {
        write(block(d.first), *d.heir);
        return;
      }
      for (std::int64_t quad = 0; 4 * quad < rows.parameters; ++quad) cross_quad(rows, quad);
      std::memcpy(d.heir->block->data(), block(d.first), sizeof(BlockHeader));
    });
  }

  void mutate(const std::vector<Member*>& members, double scale) override {
    std::vector<MutateLayer> layers;
    for (const Member* member : members) {
      const std::vector<MutateLayer> its = mutate_layers(*member, scale);
      layers.insert(layers.end(), its.begin(), its.end());
    }
    pool_.for_each(static_cast<std::int64_t>(layers.size()),
                   [&](std::int64_t i, int) { mutate_layer(layers[static_cast<std::size_t>(i)]); });
  }

  void train(const TrainContext& context, const std::vector<Job>& jobs) override {
    std::vector<Piece> pieces = pieces_of(context, jobs);
    std::int64_t most = 0;
    for (const Piece& piece : pieces) {
      const Member& sample = *piece.runs[0].member;
      most = std::max(most, piece.in_lanes ? lane_workspace(context, sample) : member_workspace(context, sample));
    }
    reserve(most);
    const bool teams =
        static_cast<int>(pieces.size()) < pool_.size() && std::all_of(pieces.begin(), pieces.end(), worth_a_team);
    if (teams) return train_in_teams(context, pieces);
    Turns turns(pieces, pool_.size());
    pool_.run([&](int rank) {
      turns.take([&](Piece& piece, std::int64_t steps) {
        if (piece.in_lanes) {
          train_lanes(context, piece.runs, steps, workspace(rank));
        } else {
          train_member(context, piece.runs[0], steps, workspace(rank), {});
        }
      });
    });
  }

  void evaluate(const Data& data, const std::vector<const Member*>& members, const Scores& scores) override {
    std::int64_t most = 0;
    for (const Member* member : members) most = std::max(most, forward_workspace(*member, loss_));
    reserve(most);
    shoal::evaluate(data, loss_, members, pool_, [&](int rank) { return workspace(rank); }, scores);
  }

  void predict(const Data& data, const Member& member, float* out) override {
    reserve(forward_workspace(member, loss_));
    shoal::predict(data, loss_, member, pool_, [&](int rank) { return workspace(rank); }, out);
  }

 private:
  void train_in_teams(const TrainContext& context, std::vector<Piece>& pieces) {
    Barrier barrier(pool_.size());
    for (Piece& piece : pieces) {
      const std::int64_t steps = piece.left();
      pool_.run(
          [&](int rank) { train_member(context, piece.runs[0], steps, workspace(0), {rank, pool_.size(), &barrier}); });
    }
  }

  // Sized before the threads start: an allocation that fails must fail on the caller.
  void reserve(std::int64_t floats) {
    const std::size_t bytes = static_cast<std::size_t>(floats) * sizeof(float);
    for (Buffer& workspace : workspaces_) {
      if (workspace.size() < bytes) workspace = Buffer(bytes);
    }
  }

  float* workspace(int rank) { return reinterpret_cast<float*>(workspaces_[static_cast<std::size_t>(rank)].data()); }

  Loss loss_;
  ThreadPool pool_;
  std::vector<Buffer> workspaces_;  // one a thread
};

}  // namespace

std::unique_ptr<Engine> make_cpu_engine(Loss loss, int threads) { return std::make_unique<CpuEngine>(loss, threads); }

}  // namespace shoal
