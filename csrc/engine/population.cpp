// The public Population: rows of members, and what is asked of them, checked.
#include "shoal/population.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <set>
#include <utility>

#include "engine/engine.h"
#include "engine/hot.h"
#include "engine/inherit.h"
#include "shoal/error.h"

namespace shoal {
namespace {

// A member that has begun a pass over one dataset cannot end it on a smaller one; and users write into blocks.
void check_place(std::int64_t row, const Counters& counters, std::int64_t samples) {
  require(counters.offset >= 0 && counters.offset < samples,
          "member " + std::to_string(row) + " stands at sample " + std::to_string(counters.offset) +
              " of its pass, the dataset has " + std::to_string(samples));
}

// Of 2^32, for a draw to be below it.
std::uint64_t share_of(double rate) {
  require(rate >= 0 && rate <= 1, "rate must be in [0, 1], got " + std::to_string(rate));
  return static_cast<std::uint64_t>(std::llround(std::ldexp(rate, 32)));
}

void check_parents(const std::vector<std::int64_t>& heirs, const std::vector<std::int64_t>& first,
                   const std::vector<std::int64_t>& second) {
  require(heirs.size() == first.size() && heirs.size() == second.size(),
          "crossover has " + std::to_string(heirs.size()) + " heirs, " + std::to_string(first.size()) + " first and " +
              std::to_string(second.size()) + " second parents, expected as many");
}

std::unique_ptr<Engine> make_engine(Loss loss, const Options& options) {
  if (options.device == "cpu") {
    require(options.precision == Precision::fp32, "precision: the CPU computes in fp32 alone");
    require(options.engine == EngineKind::automatic, "engine: the CPU has one engine, \"auto\"");
    return make_cpu_engine(loss, options.threads);
  }
  require(options.device.starts_with("cuda:"),
          "device must be \"cpu\" or \"cuda:0\", \"cuda:1\", ..., got \"" + options.device + "\"");
  return make_cuda_engine(loss, options);
}

// Held by a call that changes members or uses the engine. Another thread's is refused: it would wait for long, where it
// waits in the same interpreter for ever, and what one changes the other would read.
class Alone {
 public:
  explicit Alone(std::atomic<bool>& busy) : busy_(busy) {
    require(!busy_.exchange(true), "this population is in use by another thread; it is for one at a time");
  }
  ~Alone() { busy_ = false; }
  Alone(const Alone&) = delete;
  Alone& operator=(const Alone&) = delete;

 private:
  std::atomic<bool>& busy_;
};

}  // namespace

struct Population::Impl {
  Shape input;
  Optimizer optimizer;
  Loss loss;
  Options options;
  std::unique_ptr<Engine> engine;
  std::vector<Member> members;
  std::atomic<bool> busy{false};

  Impl(Shape input_, Optimizer optimizer_, Loss loss_, Options options_)
      : input(std::move(input_)),
        optimizer(optimizer_),
        loss(loss_),
        options(std::move(options_)),
        engine(make_engine(loss, options)) {}

  Member& at(std::int64_t row) {
    require(row >= 0 && row < static_cast<std::int64_t>(members.size()),
            "member " + std::to_string(row) + " does not exist, the population has " + std::to_string(members.size()));
    return members[static_cast<std::size_t>(row)];
  }

  // The members that are to be changed, each once.
  std::vector<Member*> heirs(const std::vector<std::int64_t>& rows, const char* what) {
    std::vector<Member*> changed;
    std::set<std::int64_t> seen;
    for (const std::int64_t row : rows) {
      changed.push_back(&at(row));
      require(seen.insert(row).second, "member " + std::to_string(row) + " is " + what + " twice");
    }
    return changed;
  }

  // One that an heir can take weights from.
  const Member& parent(std::int64_t row, std::int64_t heir) {
    const Member& member = at(row);
    require(same_structure(*member.program, *at(heir).program),
            "member " + std::to_string(heir) + " cannot take the weights of member " + std::to_string(row) +
                ": their networks differ in structure");
    return member;
  }

  // Members of equal networks share a program, and so what an engine keeps for it.
  std::shared_ptr<const Program> program(const Network& network, const std::vector<Member>& fresh) const {
    for (const std::vector<Member>* all : {&fresh, &members}) {
      for (const Member& member : *all) {
        if (member.program->network == network) return member.program;
      }
    }
    return std::make_shared<const Program>(compile(network, input));
  }

  // One that the engine has yet to place, beside others.
  Member outline(const Newcomer& one, const std::vector<Member>& fresh) const {
    const PhiloxKey key{options.seed, one.id};
    Member member = shoal::outline(program(one.network, fresh), optimizer, one.hyperparameters, key);
    engine->check_fits(member);
    return member;
  }

  Member make(const Newcomer& one) const {
    std::vector<Member> fresh{outline(one, {})};
    engine->place(fresh);
    return std::move(fresh.front());
  }
};

Population::Population(Shape input, Optimizer optimizer, Loss loss, Options options) {
  require(options.threads >= 0, "threads must be >= 0 (0: all cores), got " + std::to_string(options.threads));
  impl_ = std::make_unique<Impl>(std::move(input), optimizer, loss, options);
}
Population::~Population() = default;
Population::Population(Population&&) noexcept = default;
Population& Population::operator=(Population&&) noexcept = default;

std::int64_t Population::add(const Network& network, const Hyperparameters& hyperparameters, std::uint32_t id) {
  const Alone alone(impl_->busy);
  impl_->members.push_back(impl_->make({network, hyperparameters, id}));
  return size() - 1;
}

void Population::add(const std::vector<Newcomer>& newcomers) {
  const Alone alone(impl_->busy);
  std::vector<Member> fresh;
  try {
    for (const Newcomer& one : newcomers) fresh.push_back(impl_->outline(one, fresh));
  } catch (const InvalidArgument& error) {
    throw InvalidArgument("member " + std::to_string(impl_->members.size() + fresh.size()) + ": " + error.what());
  }
  try {
    impl_->engine->place(fresh);
  } catch (const OutOfMemory& error) {
    const auto fit = std::count_if(fresh.begin(), fresh.end(), [](const Member& member) { return member.block; });
    throw OutOfMemory(std::to_string(fit) + " of " + std::to_string(fresh.size()) +
                      " fit into memory: " + error.what());
  }
  impl_->members.insert(impl_->members.end(), std::make_move_iterator(fresh.begin()),
                        std::make_move_iterator(fresh.end()));
}

void Population::reset(std::int64_t row, const Network& network, const Hyperparameters& hyperparameters,
                       std::uint32_t id) {
  const Alone alone(impl_->busy);
  impl_->at(row) = impl_->make({network, hyperparameters, id});
}

std::int64_t Population::size() const { return static_cast<std::int64_t>(impl_->members.size()); }
int Population::device_number() const {
  const std::string& device = impl_->options.device;
  return device == "cpu" ? -1 : std::stoi(device.substr(device.find(':') + 1));
}
std::int64_t Population::outputs(std::int64_t row) const { return impl_->at(row).program->outputs; }
const Network& Population::network(std::int64_t row) const { return impl_->at(row).program->network; }
const Hyperparameters& Population::hyperparameters(std::int64_t row) const { return impl_->at(row).hyperparameters; }
Counters Population::counters(std::int64_t row) const { return impl_->at(row).counters(); }

void Population::set(std::int64_t row, const Hyperparameters& hyperparameters) {
  const Alone alone(impl_->busy);
  Member& member = impl_->at(row);
  member.hyperparameters = checked(hyperparameters, *member.program);
}

void Population::copy(const std::vector<std::int64_t>& source, const std::vector<std::int64_t>& target) {
  const Alone alone(impl_->busy);
  require(source.size() == target.size(), "copy has " + std::to_string(source.size()) + " sources and " +
                                              std::to_string(target.size()) + " targets, expected as many");
  const std::vector<Member*> heirs = impl_->heirs(target, "a target");
  std::vector<Descent> descents;
  for (std::size_t i = 0; i < source.size(); ++i) {
    const Member& parent = impl_->parent(source[i], target[i]);
    descents.push_back({&parent, &parent, heirs[i]});
  }
  impl_->engine->inherit(descents);
}

void Population::crossover(const std::vector<std::int64_t>& heirs, const std::vector<std::int64_t>& first,
                           const std::vector<std::int64_t>& second, double rate) {
  const Alone alone(impl_->busy);
  check_parents(heirs, first, second);
  const std::uint64_t share = share_of(rate);
  const std::vector<Member*> members = impl_->heirs(heirs, "an heir");
  std::vector<Descent> descents;
  for (std::size_t i = 0; i < heirs.size(); ++i) {
    for (const std::int64_t row : {first[i], second[i]}) {
      require(!impl_->parent(row, heirs[i]).counters().diverged,
              "member " + std::to_string(row) + " has diverged and cannot be a parent");
    }
    descents.push_back({&impl_->at(first[i]), &impl_->at(second[i]), members[i], share});
  }
  impl_->engine->inherit(descents);
}

void Population::mutate(const std::vector<std::int64_t>& rows, double scale) {
  const Alone alone(impl_->busy);
  require(scale >= 0 && std::isfinite(scale), "scale must be >= 0 and finite, got " + std::to_string(scale));
  impl_->engine->mutate(impl_->heirs(rows, "to be mutated"), scale);
}

void Population::cross_hyperparameters(const std::vector<std::int64_t>& heirs, const std::vector<std::int64_t>& first,
                                       const std::vector<std::int64_t>& second, double rate) {
  const Alone alone(impl_->busy);
  check_parents(heirs, first, second);
  const std::uint64_t share = share_of(rate);
  const std::vector<Member*> members = impl_->heirs(heirs, "an heir");
  std::vector<Hyperparameters> crossed;
  for (std::size_t i = 0; i < heirs.size(); ++i) {
    const Member& heir = *members[i];
    const Hyperparameters &one = impl_->at(first[i]).hyperparameters, &two = impl_->at(second[i]).hyperparameters;
    const Hyperparameters child = cross(one, two, share, heir.key, static_cast<std::uint32_t>(heir.counters().step));
    crossed.push_back(checked(child, *heir.program));
  }
  for (std::size_t i = 0; i < heirs.size(); ++i) members[i]->hyperparameters = std::move(crossed[i]);
}

void Population::perturb(const std::vector<std::int64_t>& rows, const Perturbation& how) {
  const Alone alone(impl_->busy);
  check(how);
  const std::vector<Member*> members = impl_->heirs(rows, "to be perturbed");
  for (const Member* member : members) {
    for (const auto end : {&HotRange::low, &HotRange::high})
      checked(at_end(member->hyperparameters, how, end), *member->program);
  }
  for (Member* member : members) {
    const auto step = static_cast<std::uint32_t>(member->counters().step);
    member->hyperparameters = shoal::perturb(member->hyperparameters, how, member->key, step);
  }
}

std::vector<InheritedLayer> Population::inherit(std::int64_t source, std::int64_t target) {
  const Alone alone(impl_->busy);
  const Member& from = impl_->at(source);
  Member& to = impl_->at(target);
  Buffer donor(static_cast<std::size_t>(from.bytes()));
  impl_->engine->read(from, donor.data());
  Member heir = outline(to.program, impl_->optimizer, to.hyperparameters, to.key);
  heir.block = std::make_shared<Buffer>(static_cast<std::size_t>(heir.bytes()));
  draw(heir);
  std::vector<InheritedLayer> layers = take_over(*from.program, donor.data(), heir);
  impl_->engine->write(heir.block->data(), to);
  return layers;
}

void Population::fit(const Dataset& dataset, const std::vector<std::int64_t>& steps, std::int64_t record,
                     double* losses) {
  const Alone alone(impl_->busy);
  require(static_cast<std::int64_t>(steps.size()) == size(),
          "steps has " + std::to_string(steps.size()) + " entries, expected one per member, " + std::to_string(size()));
  require(record >= 1, "record must be >= 1, got " + std::to_string(record));
  const Data data(dataset, impl_->loss, Use::training);
  const std::int64_t longest = steps.empty() ? 0 : *std::max_element(steps.begin(), steps.end());
  const std::int64_t points = (longest + record - 1) / record;
  std::fill_n(losses, size() * points, std::numeric_limits<double>::quiet_NaN());
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
  impl_->engine->train({data, impl_->optimizer, impl_->loss, impl_->options.data_order, record}, jobs);
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

void Population::evaluate(const Dataset& dataset, const std::vector<std::int64_t>& rows, float* loss, float* accuracy,
                          float* correlation, float* r2) {
  const Alone alone(impl_->busy);
  const Data data(dataset, impl_->loss, Use::evaluation);
  std::vector<const Member*> members;
  for (const std::int64_t row : rows) {
    members.push_back(&impl_->at(row));
    data.check_fits(*members.back()->program, impl_->loss, Use::evaluation);
  }
  impl_->engine->evaluate(data, members, {loss, accuracy, correlation, r2});
}

void Population::predict(const Dataset& dataset, std::int64_t row, float* out) {
  const Alone alone(impl_->busy);
  const Data data(dataset, impl_->loss, Use::prediction);
  const Member& member = impl_->at(row);
  data.check_fits(*member.program, impl_->loss, Use::prediction);
  impl_->engine->predict(data, member, out);
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

std::int64_t Population::state_bytes(std::int64_t row) const { return impl_->at(row).bytes(); }
void Population::read_state(std::int64_t row, std::byte* to) const {
  const Alone alone(impl_->busy);
  impl_->engine->read(impl_->at(row), to);
}
void Population::write_state(std::int64_t row, const std::byte* from) {
  const Alone alone(impl_->busy);
  BlockHeader header;
  if (device_number() < 0)
    std::memcpy(&header, from, sizeof header);
  else
    copy_to_host(device_number(), from, sizeof header, &header);
  const Counters& c = header.counters;
  require(std::min({c.step, c.epoch, c.offset}) >= 0, "its counters are negative, so it is not a saved state");
  impl_->engine->write(from, impl_->at(row));
}
std::byte* Population::state(std::int64_t row) {
  const Member& member = impl_->at(row);
  return member.device ? nullptr : member.block->data();
}
std::shared_ptr<void> Population::owner(std::int64_t row) {
  const Member& member = impl_->at(row);
  return member.device ? std::shared_ptr<void>(member.device) : member.block;
}

std::vector<std::int64_t> epoch_order(std::uint32_t seed, std::uint32_t id, std::int64_t epoch, std::int64_t samples) {
  require(samples >= 1 && samples < std::int64_t{1} << 32,
          "samples must be in [1, 2^32), got " + std::to_string(samples));
  const Shuffle shuffle(static_cast<std::uint32_t>(samples), {seed, id}, static_cast<std::uint32_t>(epoch));
  std::vector<std::int64_t> order;
  for (std::int64_t i = 0; i < samples; ++i) order.push_back(shuffled(shuffle, static_cast<std::uint32_t>(i)));
  return order;
}

}  // namespace shoal
