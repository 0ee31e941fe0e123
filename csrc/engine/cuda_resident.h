// What stays in a GPU's memory from call to call beside the members: datasets, plans, workspaces.
#pragma once

#include <memory>
#include <vector>

#include "core/cuda.h"
#include "engine/cuda_program.h"

namespace shoal::cuda {

inline std::size_t bytes_of(std::int64_t floats) { return static_cast<std::size_t>(floats) * sizeof(float); }

// A dataset's copy in the device's memory, or the arrays themselves where they are there already.
class ResidentData {
 public:
  ResidentData(const Data& data, int device, const Stream& stream) : identity_(data.set().identity), device_(device) {
    const Dataset& set = data.set();
    view_ = {.samples = set.samples,
             .features = data.features(),
             .outputs = set.outputs,
             .x_u8 = resident(set.x_u8, set.samples * data.features(), stream),
             .x_f32 = resident(set.x_f32, set.samples * data.features(), stream),
             .scale = resident(data.scale(), data.features(), stream),
             .shift = resident(data.shift(), data.features(), stream),
             .labels = resident(set.labels, set.samples, stream),
             .targets = resident(set.targets, set.samples * set.outputs, stream)};
    stream.wait();
  }

  std::uint64_t identity() const { return identity_; }
  const DeviceData& view() const { return view_; }

 private:
  template <class T>
  const T* resident(const T* from, std::int64_t count, const Stream& stream) {
    if (!from || is_on_device(from, device_)) return from;
    copies_.emplace_back(static_cast<std::size_t>(count) * sizeof(T));
    stream.copy(from, copies_.back().size(), copies_.back().data());
    return copies_.back().as<T>();
  }

  std::uint64_t identity_;
  int device_;
  std::vector<Memory> copies_;
  DeviceData view_{};
};

// A plan with its stages in the device's memory.
struct ResidentPlan {
  std::shared_ptr<const Program> owner;  // while it lives, its address is its name
  DeviceProgram program;
  std::int64_t widest, multiply_adds;
  Memory stages;

  ResidentPlan(std::shared_ptr<const Program> owner_, const Plan& plan, const Stream& stream)
      : owner(std::move(owner_)),
        program(plan.program),
        widest(plan.widest),
        multiply_adds(plan.multiply_adds),
        stages(plan.stages.size() * sizeof(DeviceStage)) {
    stream.copy(plan.stages.data(), stages.size(), stages.data());
    stream.wait();
    program.stages = stages.as<DeviceStage>();
  }
};

// Device memory that is kept from call to call, and grows.
class Reserve {
 public:
  template <class T>
  T* take(std::size_t count) {
    if (memory_.size() < count * sizeof(T)) {
      memory_ = Memory();  // first give back
      memory_ = Memory(count * sizeof(T));
    }
    return memory_.as<T>();
  }
  std::size_t size() const { return memory_.size(); }

 private:
  Memory memory_;
};

// The memory of one launch.
struct Room {
  Reserve workspaces, control, jobs, results, rates;
};

}  // namespace shoal::cuda
