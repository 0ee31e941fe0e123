// The public Population: rows of members, and the division of their work over threads.
#include "shoal/population.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <limits>
#include <map>
#include <tuple>
#include <utility>

#include "core/thread_pool.h"
#include "engine/evaluate.h"
#include "engine/train.h"
#include "shoal/error.h"

namespace shoal {
namespace {

// Work that one thread (or, where there are fewer pieces than threads, one team) does without a break.
struct Piece {
  std::vector<Job> jobs;  // one, or a group of tiny members
  double cost;            // multiply-adds, about

  bool in_lanes() const { return jobs.size() > 1; }
};

double cost_of(const Job& job) {
  const Member& m = *job.member;
  return static_cast<double>(job.steps) * static_cast<double>(m.hyperparameters.batch_size) *
         static_cast<double>(m.program->multiply_adds);
}

std::size_t lanes() { return static_cast<std::size_t>(kernels().lanes); }

// Below this many multiply-adds forward a step is too short to be worth the team's barriers.
constexpr double kTeamStep = 300e3;

bool worth_a_team(const Piece& piece) {
  const Member& m = *piece.jobs[0].member;
  return !m.program->tiny() &&
         static_cast<double>(m.hyperparameters.batch_size) * static_cast<double>(m.program->multiply_adds) >= kTeamStep;
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

std::vector<Piece> pieces_of(const std::vector<Job>& jobs) {
  std::vector<Piece> pieces;
  std::vector<Job> tiny;
  for (const Job& job : jobs) {
    if (job.member->program->tiny() && !augments(job.member->hyperparameters)) {
      tiny.push_back(job);
    } else {
      pieces.push_back({{job}, cost_of(job)});
    }
  }
  for (const std::vector<Job>& group : lane_groups(tiny)) {
    // A step in lanes costs the same however few members are in it; half full it is no faster than each by itself.
    if (2 * group.size() > lanes()) {
      pieces.push_back({group, cost_of(group[0]) * static_cast<double>(lanes())});
    } else {
      for (const Job& job : group) pieces.push_back({{job}, 2 * cost_of(job)});
    }
  }
  // Longest first, so that the threads end together.
  std::stable_sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.cost > b.cost; });
  return pieces;
}

// A member that has begun a pass over one dataset cannot end it on a smaller one.
void check_place(std::int64_t row, const Counters& counters, std::int64_t samples) {
  require(counters.offset < samples, "member " + std::to_string(row) + " stands at sample " +
                                         std::to_string(counters.offset) + " of its pass, the dataset has " +
                                         std::to_string(samples));
}

}  // namespace

struct Population::Impl {
  Shape input;
  Optimizer optimizer;
  Loss loss;
  Options options;
  ThreadPool pool;
  std::vector<Member> members;
  std::vector<Buffer> workspaces;  // one a thread

  Impl(Shape input_, Optimizer optimizer_, Loss loss_, Options options_)
      : input(std::move(input_)),
        optimizer(optimizer_),
        loss(loss_),
        options(options_),
        pool(options.threads > 0 ? options.threads : available_cores()),
        workspaces(static_cast<std::size_t>(pool.size())) {}

  Member& at(std::int64_t row) {
    require(row >= 0 && row < static_cast<std::int64_t>(members.size()),
            "member " + std::to_string(row) + " does not exist, the population has " + std::to_string(members.size()));
    return members[static_cast<std::size_t>(row)];
  }

  Member make(const Network& network, const Hyperparameters& h, std::uint32_t id) const {
    return make_member(std::make_shared<const Program>(compile(network, input)), optimizer, h, {options.seed, id});
  }

  // Sized before the threads start: an allocation that fails must fail on the caller.
  void reserve(std::int64_t floats) {
    const std::size_t bytes = static_cast<std::size_t>(floats) * sizeof(float);
    for (Buffer& workspace : workspaces) {
      if (workspace.size() < bytes) workspace = Buffer(bytes);
    }
  }

  float* workspace(int rank) { return reinterpret_cast<float*>(workspaces[static_cast<std::size_t>(rank)].data()); }

  void train(const TrainContext& context, const std::vector<Piece>& pieces);
};

void Population::Impl::train(const TrainContext& context, const std::vector<Piece>& pieces) {
  std::int64_t most = 0;
  for (const Piece& piece : pieces) {
    const Member& sample = *piece.jobs[0].member;
    most = std::max(most, piece.in_lanes() ? lane_workspace(context, sample) : member_workspace(context, sample));
  }
  reserve(most);
  const bool teams =
      static_cast<int>(pieces.size()) < pool.size() && std::all_of(pieces.begin(), pieces.end(), worth_a_team);
  if (teams) {
    Barrier barrier(pool.size());
    for (const Piece& piece : pieces) {
      pool.run([&](int rank) { train_member(context, piece.jobs[0], workspace(0), {rank, pool.size(), &barrier}); });
    }
    return;
  }
  pool.for_each(static_cast<std::int64_t>(pieces.size()), [&](std::int64_t i, int rank) {
    const Piece& piece = pieces[static_cast<std::size_t>(i)];
    if (piece.in_lanes()) {
      train_lanes(context, piece.jobs, workspace(rank));
    } else {
      train_member(context, piece.jobs[0], workspace(rank), {});
    }
  });
}

Population::Population(Shape input, Optimizer optimizer, Loss loss, Options options) {
  require(options.threads >= 0, "threads must be >= 0 (0: all cores), got " + std::to_string(options.threads));
  impl_ = std::make_unique<Impl>(std::move(input), optimizer, loss, options);
}
Population::~Population() = default;
Population::Population(Population&&) noexcept = default;
Population& Population::operator=(Population&&) noexcept = default;

std::int64_t Population::add(const Network& network, const Hyperparameters& hyperparameters, std::uint32_t id) {
  impl_->members.push_back(impl_->make(network, hyperparameters, id));
  return size() - 1;
}

void Population::reset(std::int64_t row, const Network& network, const Hyperparameters& hyperparameters,
                       std::uint32_t id) {
  impl_->at(row) = impl_->make(network, hyperparameters, id);
}

std::int64_t Population::size() const { return static_cast<std::int64_t>(impl_->members.size()); }
std::int64_t Population::outputs(std::int64_t row) const { return impl_->at(row).program->outputs; }
const Network& Population::network(std::int64_t row) const { return impl_->at(row).program->network; }
const Hyperparameters& Population::hyperparameters(std::int64_t row) const { return impl_->at(row).hyperparameters; }
Counters Population::counters(std::int64_t row) const { return impl_->at(row).counters(); }

void Population::set(std::int64_t row, const Hyperparameters& hyperparameters) {
  Member& member = impl_->at(row);
  member.hyperparameters = checked(hyperparameters, *member.program);
}

void Population::copy(const std::vector<std::int64_t>& source, const std::vector<std::int64_t>& target) {
  require(source.size() == target.size(), "copy has " + std::to_string(source.size()) + " sources and " +
                                              std::to_string(target.size()) + " targets, expected as many");
  std::map<std::int64_t, Buffer> before;  // sources that are overwritten too
  for (std::size_t i = 0; i < source.size(); ++i) {
    const Member &from = impl_->at(source[i]), &to = impl_->at(target[i]);
    require(same_structure(*from.program, *to.program),
            "member " + std::to_string(target[i]) + " cannot take the weights of member " + std::to_string(source[i]) +
                ": their networks differ in structure");
    require(std::count(target.begin(), target.end(), target[i]) == 1,
            "member " + std::to_string(target[i]) + " is a target twice");
    if (std::find(target.begin(), target.end(), source[i]) == target.end()) continue;
    Buffer copy(from.block->size());
    std::memcpy(copy.data(), from.block->data(), copy.size());
    before.insert_or_assign(source[i], std::move(copy));
  }
  for (std::size_t i = 0; i < source.size(); ++i) {
    const auto saved = before.find(source[i]);
    const Buffer& from = saved == before.end() ? *impl_->at(source[i]).block : saved->second;
    std::memcpy(impl_->at(target[i]).block->data(), from.data(), from.size());
  }
}

void Population::fit(const Dataset& dataset, const std::vector<std::int64_t>& steps, std::int64_t record,
                     float* losses) {
  require(static_cast<std::int64_t>(steps.size()) == size(),
          "steps has " + std::to_string(steps.size()) + " entries, expected one per member, " + std::to_string(size()));
  require(record >= 1, "record must be >= 1, got " + std::to_string(record));
  const Data data(dataset, impl_->loss, Use::training);
  const std::int64_t longest = steps.empty() ? 0 : *std::max_element(steps.begin(), steps.end());
  const std::int64_t points = (longest + record - 1) / record;
  std::fill_n(losses, size() * points, std::numeric_limits<float>::quiet_NaN());
  std::vector<Job> jobs;
  for (std::int64_t row = 0; row < size(); ++row) {
    const std::int64_t n = steps[static_cast<std::size_t>(row)];
    require(n >= 0, "steps of member " + std::to_string(row) + " must be >= 0, got " + std::to_string(n));
    Member& member = impl_->at(row);
    data.check_fits(*member.program, impl_->loss, Use::training);
    data.check_augmentation(member.hyperparameters);
    if (n == 0 || member.counters().diverged) continue;
    check_place(row, member.counters(), data.samples());
    jobs.push_back({&member, n, losses + row * points});
  }
  impl_->train({data, impl_->optimizer, impl_->loss, impl_->options.data_order, record}, pieces_of(jobs));
}

std::int64_t Population::steps_to_epoch(std::int64_t row, std::int64_t samples, std::int64_t epoch) const {
  require(samples >= 1, "samples must be >= 1, got " + std::to_string(samples));
  const Counters c = counters(row);
  check_place(row, c, samples);
  if (epoch <= c.epoch) return 0;
  const std::int64_t batch = hyperparameters(row).batch_size;
  const auto steps = [&](std::int64_t n) { return n / batch + (n % batch != 0); };
  return steps(samples - c.offset) + (epoch - c.epoch - 1) * steps(samples);
}

void Population::evaluate(const Dataset& dataset, const std::vector<std::int64_t>& rows, float* loss, float* accuracy) {
  const Data data(dataset, impl_->loss, Use::evaluation);
  std::vector<const Member*> members;
  std::int64_t most = 0;
  for (const std::int64_t row : rows) {
    members.push_back(&impl_->at(row));
    data.check_fits(*members.back()->program, impl_->loss, Use::evaluation);
    most = std::max(most, forward_workspace(*members.back(), impl_->loss));
  }
  impl_->reserve(most);
  shoal::evaluate(
      data, impl_->loss, members, impl_->pool, [&](int rank) { return impl_->workspace(rank); }, loss, accuracy);
}

void Population::predict(const Dataset& dataset, std::int64_t row, float* out) {
  const Data data(dataset, impl_->loss, Use::prediction);
  const Member& member = impl_->at(row);
  data.check_fits(*member.program, impl_->loss, Use::prediction);
  impl_->reserve(forward_workspace(member, impl_->loss));
  shoal::predict(data, impl_->loss, member, impl_->pool, [&](int rank) { return impl_->workspace(rank); }, out);
}

std::vector<Parameter> Population::parameters(std::int64_t row) {
  const Member& member = impl_->at(row);
  std::vector<Parameter> parameters;
  float* base = member.parameters();
  const auto vector = [&](const Stage& s, const char* name, std::int64_t at) {
    parameters.push_back({s.name + name, base + at, {s.outputs}, {1}});
  };
  for (const Stage& s : member.program->stages) {
    const std::int64_t stride = padded(s.inputs), kernel_row = s.shape.kernel_width * s.shape.x.channels;
    if (s.op == Op::dense)
      parameters.push_back({s.name + ".weight", base + s.weight, {s.outputs, s.inputs}, {stride, 1}});
    if (s.op == Op::conv) {
      parameters.push_back({s.name + ".weight",
                            base + s.weight,
                            {s.outputs, s.shape.kernel_height, s.shape.kernel_width, s.shape.x.channels},
                            {stride, kernel_row, s.shape.x.channels, 1}});
    }
    if (s.op == Op::norm) vector(s, ".weight", s.weight);
    if (s.bias >= 0) vector(s, ".bias", s.bias);
    if (s.op == Op::norm) {
      vector(s, ".running_mean", s.running);
      vector(s, ".running_var", s.running + padded(s.outputs));
    }
  }
  return parameters;
}

std::byte* Population::state(std::int64_t row) { return impl_->at(row).block->data(); }
std::int64_t Population::state_bytes(std::int64_t row) const {
  return static_cast<std::int64_t>(impl_->at(row).block->size());
}
std::shared_ptr<void> Population::owner(std::int64_t row) { return impl_->at(row).block; }

std::vector<std::int64_t> epoch_order(std::uint32_t seed, std::uint32_t id, std::int64_t epoch, std::int64_t samples) {
  require(samples >= 1 && samples < std::int64_t{1} << 32,
          "samples must be in [1, 2^32), got " + std::to_string(samples));
  const Shuffle shuffle(static_cast<std::uint32_t>(samples), {seed, id}, static_cast<std::uint32_t>(epoch));
  std::vector<std::int64_t> order;
  for (std::int64_t i = 0; i < samples; ++i) order.push_back(shuffled(shuffle, static_cast<std::uint32_t>(i)));
  return order;
}

}  // namespace shoal
