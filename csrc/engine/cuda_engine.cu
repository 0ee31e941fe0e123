// Training on an NVIDIA GPU: members in its memory, and two persistent kernels that take them from queues.
#include <algorithm>
#include <array>
#include <list>
#include <map>
#include <tuple>

#include "engine/cuda_arena.h"
#include "engine/cuda_launch.h"
#include "engine/cuda_resident.h"
#include "engine/engine.h"
#include "kernels/initial_cuda.h"
#include "kernels/rows_cuda.h"

namespace shoal::cuda {
namespace {

constexpr std::int64_t kPiece = 256;  // samples of an evaluation that one team takes

// Members that are trained by one launch, all that it needs being there.
struct TrainBatch {
  OnChip on_chip;
  std::vector<const Job*> jobs;
  std::size_t points = 0;  // of a learning curve
  Demand demand;
  TrainLaunch launch{};
  Counters* counters = nullptr;  // on the device, as the losses
  double* losses = nullptr;
};

class CudaEngine final : public Engine {
  // Tries again without what is only kept to save time.
  template <class Body>
  auto with_room(const Body& body) {
    try {
      return body();
    } catch (const OutOfMemory&) {
      stream_.wait();
      arena_->release();
      for (Room& room : rooms_) room = Room{};
      data_.clear();
    }
    return body();
  }

 public:
  CudaEngine(Loss loss, int device, const Options& options)
      : loss_(loss), device_(capable(device)), precision_(options.precision), kind_(options.engine) {
    processors_ = attribute(cudaDevAttrMultiProcessorCount, device_);
    shared_bytes_ = static_cast<std::size_t>(attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device_));
    half_processor_ = static_cast<std::size_t>(attribute(cudaDevAttrMaxSharedMemoryPerMultiprocessor, device_)) / 2 -
                      static_cast<std::size_t>(attribute(cudaDevAttrReservedSharedMemoryPerBlock, device_));
    allow_shared_memory(train_kernel);
    allow_shared_memory(evaluate_kernel);
  }

  void check_fits(const Member& member) const override {
    const std::size_t bytes = bytes_of(member.floats);
    if (kind_ != EngineKind::resident || bytes <= resident_bytes()) return;
    throw InvalidArgument("its weights and optimiser state are " + std::to_string(bytes) +
                          " bytes, engine \"resident\" takes " + std::to_string(resident_bytes()) + " a member on " +
                          name_of(device_) + "; \"auto\" and \"teams\" take any");
  }

  void place(std::vector<Member>& fresh) override {
    const Current current(device_);
    try {
      take_memory(fresh);
      draw(fresh);
    } catch (const OutOfMemory&) {  // others may have use for what there was
      for (Member& member : fresh) member.device.reset();
      arena_->release();
      throw;
    }
  }

  void read(const Member& member, std::byte* to) override {
    const Current current(device_);
    stream_.copy(member.block->data(), sizeof(BlockHeader), to);
    stream_.copy(member.device.get(), bytes_of(member.floats), to + sizeof(BlockHeader));
    stream_.wait();
  }

  void write(const std::byte* from, Member& member) override {
    const Current current(device_);
    stream_.copy(from, sizeof(BlockHeader), member.block->data());
    stream_.copy(from + sizeof(BlockHeader), bytes_of(member.floats), member.device.get());
    stream_.wait();
  }

  void inherit(const std::vector<Descent>& descents) override {
    const Current current(device_);
    std::map<const Member*, std::shared_ptr<std::byte>> before;  // floats of parents that are heirs too
    std::vector<CrossRows> rows;
    std::vector<Counters> counters;
    for (const Member* parent : overwritten(descents)) {
      auto saved = with_room([&] { return arena_->take(bytes_of(parent->floats)); });
      rows.push_back(copy_row(*parent, reinterpret_cast<float*>(saved.get())));
      before.emplace(parent, std::move(saved));
    }
    const auto floats = [&](const Member* parent) {
      const auto saved = before.find(parent);
      return saved == before.end() ? parent->parameters() : reinterpret_cast<const float*>(saved->second.get());
    };
    for (const Descent& d : descents) {
      rows.push_back(cross_rows(d, floats(d.first), floats(d.second)));
      counters.push_back(d.first->counters());
    }
    with_room([&] { cross(rows, before.size()); });
    stream_.wait();
    for (std::size_t i = 0; i < descents.size(); ++i) descents[i].heir->counters() = counters[i];
  }

  void mutate(const std::vector<Member*>& members, double scale) override {
    const Current current(device_);
    std::vector<MutateLayer> layers;
    for (const Member* member : members) {
      const std::vector<MutateLayer> its = mutate_layers(*member, scale);
      layers.insert(layers.end(), its.begin(), its.end());
    }
    if (layers.empty()) return;
    auto* const on_device = with_room([&] { return rooms_[0].jobs.take<MutateLayer>(layers.size()); });
    stream_.copy(layers.data(), layers.size() * sizeof(MutateLayer), on_device);
    const auto count = static_cast<std::int64_t>(layers.size());
    start_for(mutate_kernel, MutateLaunch{on_device, count}, count, kThreads, stream_, kMutateBytes);
    stream_.wait();
  }

  void train(const TrainContext& context, const std::vector<Job>& jobs) override {
    const Current current(device_);
    forget_plans();
    // Memory may be short: all of it is taken before any member changes.
    const auto batches = with_room([&] {
      auto prepared = batches_of(context, jobs);
      for (std::size_t i = 0; i < prepared.size(); ++i) prepare(context, prepared[i], rooms_[i]);
      return prepared;
    });
    for (const TrainBatch& batch : batches) {
      if (!batch.jobs.empty()) launcher_.start(train_kernel, batch.launch, batch.demand);
    }
    for (const TrainBatch& batch : batches) collect(batch);
  }

  void evaluate(const Data& data, const std::vector<const Member*>& members, const Scores& scores) override {
    const Current current(device_);
    forget_plans();
    with_room([&] { evaluate_all(data, members, scores); });
  }

  void predict(const Data& data, const Member& member, float* out) override {
    const Current current(device_);
    forget_plans();
    with_room([&] { predict_all(data, member, out); });
  }

 private:
  void take_memory(std::vector<Member>& fresh) {
    std::size_t bytes = 0;
    for (const Member& member : fresh) bytes += Arena::rounded(bytes_of(member.floats));
    arena_->reserve(bytes);
    for (Member& member : fresh) {
      member.device = with_room([&] { return arena_->take(bytes_of(member.floats)); });
      member.block = std::make_shared<Buffer>(sizeof(BlockHeader));
    }
  }

  // One transfer, of what is to be drawn, and two launches.
  void draw(const std::vector<Member>& fresh) {
    std::vector<InitialWeights> all;
    for (const Member& member : fresh)
      all.push_back({member.parameters(), 1, member.floats, member.floats, Drawn::constant, 0, {}, 0});
    for (const Member& member : fresh) {
      const std::vector<InitialWeights> its = initial_layers(member);
      all.insert(all.end(), its.begin(), its.end());
    }
    if (all.empty()) return;
    auto* const on_device = with_room([&] { return rooms_[0].jobs.take<InitialWeights>(all.size()); });
    stream_.copy(all.data(), all.size() * sizeof(InitialWeights), on_device);
    const auto zeros = static_cast<std::int64_t>(fresh.size()), count = static_cast<std::int64_t>(all.size());
    const auto start = [&](std::int64_t first, std::int64_t end) {
      start_for(initial_kernel, InitialLaunch{on_device + first, end - first}, (end - first) * kInitialShares, kThreads,
                stream_);
    };
    start(0, zeros);
    start(zeros, count);
    stream_.wait();
  }

  void evaluate_all(const Data& data, const std::vector<const Member*>& members, const Scores& scores) {
    const std::int64_t pieces = (data.samples() + kPiece - 1) / kPiece;
    const std::size_t count = members.size() * static_cast<std::size_t>(pieces);
    Sums* const sums = rooms_[0].results.take<Sums>(count);
    std::vector<EvaluateJob> jobs;
    Demand demand;
    for (const Member* member : members) {
      for_pieces(data, *member, demand, [&](EvaluateJob job) {
        job.sums = sums + jobs.size();
        jobs.push_back(job);
      });
    }
    run(resident(data), jobs, demand);
    std::vector<Sums> parts(count);
    stream_.copy(sums, count * sizeof(Sums), parts.data());
    stream_.wait();
    for (std::size_t m = 0; m < members.size(); ++m)
      score(parts, m, pieces, data, loss_, members[m]->program->outputs, scores);
  }

  void predict_all(const Data& data, const Member& member, float* out) {
    const std::int64_t outputs = member.program->outputs;
    const auto count = static_cast<std::size_t>(data.samples() * outputs);
    float* const on_device = rooms_[0].results.take<float>(count);
    std::vector<EvaluateJob> jobs;
    Demand demand;
    for_pieces(data, member, demand, [&](EvaluateJob job) {
      job.outputs = on_device + job.first * outputs;
      jobs.push_back(job);
    });
    // What is predicted once is not kept.
    const ResidentData inputs(data, device_, stream_);
    run(inputs.view(), jobs, demand);
    stream_.copy(on_device, count * sizeof(float), out);
    stream_.wait();
  }

  template <class Launch>
  void allow_shared_memory(void (*kernel)(Launch)) const {
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes_)),
          "asking for shared memory");
  }

  // The device, if it has what the kernels are compiled for at least (cmake/cuda.cmake).
  static int capable(int device) {
    const int major = attribute(cudaDevAttrComputeCapabilityMajor, device);
    if (major >= 8) return device;
    const int minor = attribute(cudaDevAttrComputeCapabilityMinor, device);
    throw DeviceError(name_of(device) + " has compute capability " + std::to_string(major) + "." +
                      std::to_string(minor) + "; shoal needs 8.0 or newer, for every precision");
  }

  static std::string name_of(int device) {
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, device), "asking a device for its name");
    return properties.name;
  }

  // Of a member that stays in the shared memory of one block.
  std::size_t resident_bytes() const { return shared_bytes_ - kProductBytes; }

  // By itself only where there are as many members as processors, as shared memory belongs to one block; and a second
  // block must fit beside it, to hide what the first one waits for.
  bool keeps_parameters(const Member& member, std::size_t members) const {
    if (kind_ != EngineKind::automatic) return kind_ == EngineKind::resident;
    const bool crowded = members >= static_cast<std::size_t>(processors_);
    return crowded && shared_bytes(OnChip::parameters, member.floats, 0) <= std::min(shared_bytes_, half_processor_);
  }

  // Whatever the engine, as its sums are taken in another order.
  bool keeps_everything(const Member& member, const ResidentPlan& plan) const {
    return member.program->tiny() && precision_ == Precision::fp32 &&
           shared_bytes(OnChip::everything, member.floats, plan.program.floats) <= shared_bytes_;
  }

  // One for each of what may be on chip.
  std::array<TrainBatch, 3> batches_of(const TrainContext& context, const std::vector<Job>& jobs) {
    std::array<TrainBatch, 3> batches{{{OnChip::everything, {}}, {OnChip::parameters, {}}, {OnChip::nothing, {}}}};
    std::vector<const Job*> others;
    for (const Job& job : jobs) {
      const bool all = keeps_everything(*job.member, training_plan(context, *job.member));
      (all ? batches[0].jobs : others).push_back(&job);
    }
    for (const Job* job : others) batches[keeps_parameters(*job->member, others.size()) ? 1 : 2].jobs.push_back(job);
    return batches;
  }

  // The kernels' copy of a dataset. The latest few stay, such as training, validation and test data.
  const DeviceData& resident(const Data& data) {
    constexpr std::size_t kMost = 4;
    const auto found = std::find_if(data_.begin(), data_.end(),
                                    [&](const ResidentData& d) { return d.identity() == data.set().identity; });
    if (found != data_.end()) {
      data_.splice(data_.begin(), data_, found);
    } else {
      if (data_.size() == kMost) data_.pop_back();
      data_.emplace_front(data, device_, stream_);
    }
    return data_.front().view();
  }

  // Of networks that no member has any more.
  void forget_plans() {
    std::erase_if(plans_, [](const auto& entry) { return entry.second.owner.use_count() == 1; });
  }

  const ResidentPlan& plan_for(const Member& member, const Shape& raw, std::int64_t rows, Use use) {
    const auto key = std::make_tuple(member.program.get(), raw, rows, use);
    const auto found = plans_.find(key);
    if (found != plans_.end()) return found->second;
    return plans_.try_emplace(key, member.program, plan(*member.program, raw, rows, use), stream_).first->second;
  }

  const ResidentPlan& training_plan(const TrainContext& context, const Member& member) {
    const std::int64_t rows = std::min(member.hyperparameters.batch_size, context.data.samples());
    return plan_for(member, context.data.set().shape, rows, Use::training);
  }

  // One transfer and one launch for all rows; the first `saves` of them are done before the others.
  void cross(const std::vector<CrossRows>& rows, std::size_t saves) {
    std::int64_t longest = 0;
    for (const CrossRows& row : rows) longest = std::max(longest, row.parameters / 4);
    const std::int64_t pieces = (longest + kCrossPiece - 1) / kCrossPiece;
    if (pieces == 0) return;
    auto* const on_device = rooms_[0].jobs.take<CrossRows>(rows.size());
    auto* const arrivals = rooms_[0].control.take<unsigned>(1);
    stream_.copy(rows.data(), rows.size() * sizeof(CrossRows), on_device);
    if (saves > 0) stream_.zero(arrivals, sizeof(unsigned));
    const auto count = static_cast<std::int64_t>(rows.size());
    start_for(cross_kernel, CrossLaunch{on_device, static_cast<std::int64_t>(saves), count, pieces, arrivals},
              count * pieces, kThreads, stream_);
  }

  void prepare(const TrainContext& context, TrainBatch& batch, Room& room);
  void collect(const TrainBatch& batch);

  template <class Body>
  void for_pieces(const Data& data, const Member& member, Demand& demand, const Body& body) {
    const ResidentPlan& plan = plan_for(member, data.set().shape, std::min(kPiece, data.samples()), Use::evaluation);
    for (std::int64_t first = 0; first < data.samples(); first += kPiece) {
      demand.add(plan, 0);
      body(EvaluateJob{.program = plan.program,
                       .parameters = member.parameters(),
                       .first = first,
                       .rows = std::min(kPiece, data.samples() - first),
                       .sums = nullptr,
                       .outputs = nullptr});
    }
  }

  void run(const DeviceData& on_device, const std::vector<EvaluateJob>& jobs, const Demand& demand) {
    if (jobs.empty()) return;
    Room& room = rooms_[0];
    auto* const queue = room.jobs.take<EvaluateJob>(jobs.size());
    stream_.copy(jobs.data(), jobs.size() * sizeof(EvaluateJob), queue);
    const Teams teams = launcher_.teams_for(evaluate_kernel, demand, room);
    const EvaluateLaunch launch{
        .teams = teams, .data = on_device, .loss = loss_, .precision = precision_, .jobs = queue};
    launcher_.start(evaluate_kernel, launch, demand);
  }

  Loss loss_;
  int device_;
  Precision precision_;
  EngineKind kind_;
  int processors_ = 0;
  std::size_t shared_bytes_ = 0;    // that one block may ask for
  std::size_t half_processor_ = 0;  // that leaves room for another block
  Stream stream_;
  Launcher launcher_{stream_};
  std::shared_ptr<Arena> arena_ = std::make_shared<Arena>();
  Room rooms_[3];
  std::list<ResidentData> data_;  // the latest first
  std::map<std::tuple<const Program*, Shape, std::int64_t, Use>, ResidentPlan> plans_;
};

TrainJob train_job(const TrainContext& context, const Member& member, const DeviceProgram& program) {
  const Hyperparameters& h = member.hyperparameters;
  return {.program = program,
          .parameters = member.parameters(),
          .floats = member.floats,
          .counters = nullptr,
          .dropout = nullptr,
          .losses = nullptr,
          .steps = 0,
          .record = context.record,
          .batch_size = h.batch_size,
          .rule = update_rule(context.optimizer, h),
          .key = member.key,
          .order_key = order_key(context, member),
          .augment_pad = static_cast<std::uint32_t>(h.augment_pad),
          .augment_flip = h.augment_flip};
}

// Everything on the device that a launch needs.
void CudaEngine::prepare(const TrainContext& context, TrainBatch& batch, Room& room) {
  if (batch.jobs.empty()) return;
  const Data& data = context.data;
  const DeviceData& on_device = resident(data);
  std::int64_t longest = 0;
  std::size_t dropouts = 0;
  for (const Job* job : batch.jobs) {
    longest = std::max(longest, job->steps);
    dropouts += job->member->hyperparameters.dropout.size();
  }
  const std::size_t count = batch.jobs.size();
  batch.points = static_cast<std::size_t>((longest + context.record - 1) / context.record);
  const std::size_t before_curves = count * sizeof(Counters), curves = count * batch.points * sizeof(double);
  auto* const results = room.results.take<std::byte>(before_curves + curves);
  batch.counters = reinterpret_cast<Counters*>(results);
  batch.losses = reinterpret_cast<double*>(results + before_curves);
  auto* const rates_on_device = room.rates.take<float>(dropouts);

  Demand& demand = batch.demand = {.on_chip = batch.on_chip};
  std::vector<TrainJob> queue;
  std::vector<Counters> counters;
  std::vector<float> rates;
  for (std::size_t i = 0; i < count; ++i) {
    const Member& member = *batch.jobs[i]->member;
    const ResidentPlan& plan = training_plan(context, member);
    demand.add(plan, member.floats);
    TrainJob job = train_job(context, member, plan.program);
    job.counters = batch.counters + i;
    job.dropout = rates_on_device + rates.size();
    job.losses = batch.losses + i * batch.points;
    job.steps = batch.jobs[i]->steps;
    queue.push_back(job);
    counters.push_back(member.counters());
    rates.insert(rates.end(), member.hyperparameters.dropout.begin(), member.hyperparameters.dropout.end());
  }
  const Teams teams = launcher_.teams_for(train_kernel, demand, room);
  auto* const queue_on_device = room.jobs.take<TrainJob>(count);
  stream_.copy(queue.data(), count * sizeof(TrainJob), queue_on_device);
  stream_.copy(counters.data(), before_curves, batch.counters);
  stream_.copy(rates.data(), rates.size() * sizeof(float), rates_on_device);
  check(cudaMemsetAsync(batch.losses, 0xFF, curves, stream_.get()), "marking losses as missing");  // NaN
  stream_.wait();  // for what is copied from here
  batch.launch = {.teams = teams,
                  .data = on_device,
                  .loss = loss_,
                  .precision = precision_,
                  .on_chip = batch.on_chip,
                  .jobs = queue_on_device};
}

void CudaEngine::collect(const TrainBatch& batch) {
  const std::size_t count = batch.jobs.size();
  std::vector<Counters> counters(count);
  std::vector<double> losses(count * batch.points);
  stream_.copy(batch.counters, count * sizeof(Counters), counters.data());
  stream_.copy(batch.losses, losses.size() * sizeof(double), losses.data());
  stream_.wait();
  for (std::size_t i = 0; i < count; ++i) {
    batch.jobs[i]->member->counters() = counters[i];
    std::copy_n(losses.begin() + static_cast<std::ptrdiff_t>(i * batch.points), batch.points, batch.jobs[i]->losses);
  }
}

}  // namespace
}  // namespace shoal::cuda

namespace shoal {

std::string why_no_gpu() { return cuda::find_devices().why_none; }

std::vector<Device> cuda_devices() {
  std::vector<Device> all;
  const int count = cuda::find_devices().count;
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties{};
    cuda::check(cudaGetDeviceProperties(&properties, i), "asking a device for its name");
    all.push_back({.name = "cuda:" + std::to_string(i),
                   .description = std::string(properties.name) + ", compute capability " +
                                  std::to_string(properties.major) + "." + std::to_string(properties.minor),
                   .cores = properties.multiProcessorCount,
                   .memory = static_cast<std::int64_t>(properties.totalGlobalMem),
                   .uuid = cuda::text(properties.uuid)});
  }
  return all;
}

void copy_to_host(int device, const void* from, std::size_t bytes, void* to) {
  const cuda::Current current(device);
  cuda::check(cudaMemcpy(to, from, bytes, cudaMemcpyDefault), "copying memory");
}

std::unique_ptr<Engine> make_cuda_engine(Loss loss, const Options& options) {
  const int number = cuda::device_number(options.device);
  const cuda::Current current(number);
  return std::make_unique<cuda::CudaEngine>(loss, number, options);
}

}  // namespace shoal
