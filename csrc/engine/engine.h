// What a population asks of the device its members live on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/batch.h"
#include "engine/evaluate.h"
#include "engine/rows.h"
#include "engine/train.h"
#include "shoal/device.h"
#include "shoal/population.h"

namespace shoal {

class Engine {
 public:
  virtual ~Engine() = default;

  // Throws InvalidArgument where the options do not allow a member of this size.
  virtual void check_fits(const Member& member) const = 0;
  // Gives members their blocks, as they begin. Where memory is short it throws; those that there is room for have a `block`.
  virtual void place(std::vector<Member>& fresh) = 0;
  // The block as bytes: counters, weights, optimiser state. A GPU's engine takes them in any memory.
  virtual void read(const Member& member, std::byte* to) = 0;
  virtual void write(const std::byte* from, Member& member) = 0;
  // All parents are read before any heir is written; no heir comes twice.
  virtual void inherit(const std::vector<Descent>& descents) = 0;
  virtual void mutate(const std::vector<Member*>& members, double scale) = 0;

  virtual void train(const TrainContext& context, const std::vector<Job>& jobs) = 0;
  virtual void evaluate(const Data& data, const std::vector<const Member*>& members, const Scores& scores) = 0;
  // (samples, outputs)
  virtual void predict(const Data& data, const Member& member, float* out) = 0;
};

std::unique_ptr<Engine> make_cpu_engine(Loss loss, int threads);
std::vector<Device> cuda_devices();  // none without a driver, or with a build without CUDA
void copy_to_host(int device, const void* from, std::size_t bytes, void* to);
// Of memory that another library has on a GPU. All work given to the device so far has ended when it returns.
void synchronise(int device);
int device_of(const void* pointer);  // its number; throws InvalidArgument where it is in no GPU's memory
bool finite_on_device(const float* values, std::int64_t count, int device);
// Rows of so many bytes, which begin every `step` bytes. Done when it returns.
void copy_rows(int device, std::size_t rows, std::size_t bytes, const void* from, std::size_t from_step, void* to,
               std::size_t to_step);
// On options.device: "cuda:0", ... Throws DeviceError where there is no such device, or no CUDA in this build.
std::unique_ptr<Engine> make_cuda_engine(Loss loss, const Options& options);

}  // namespace shoal
