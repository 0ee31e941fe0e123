// A population: members resident on one device, each with its own network, hyperparameters and random streams.
//
// Determinism: a member's weights depend on (seed, id, its networks, hyperparameters, data and steps) alone, bit
// for bit on one instruction set, or one kind of GPU at one precision: not on threads, other members, row, or where a
// training run was cut into quanta.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "shoal/dataset.h"
#include "shoal/device.h"
#include "shoal/network.h"
#include "shoal/optimizer.h"

namespace shoal {

// own: every member shuffles by its own id. shared: all members see the same order (common random numbers).
enum class DataOrder { own, shared };

struct Options {
  std::uint32_t seed = 0;
  int threads = 0;  // of the processor; 0: all cores this process may use
  DataOrder data_order = DataOrder::own;
  std::string device = "cpu";  // or "cuda:0", ...: the name of one of devices()
  Precision precision = Precision::fp32;
  EngineKind engine = EngineKind::automatic;
};

// One parameter array inside a member's block. Rows are padded, so the strides matter.
struct Parameter {
  std::string name;  // "dense1.weight" (outputs, inputs), "dense1.bias" (outputs,)
  float* data;
  Shape shape;
  Shape strides;  // in floats
};

struct Counters {
  std::int64_t step = 0;    // optimiser steps taken
  std::int64_t epoch = 0;   // full passes over the data
  std::int64_t offset = 0;  // samples of the current pass already seen
  bool diverged = false;    // the loss became NaN or infinite; the member no longer trains
};

// A layer of an heir ("dense1"), and whether it has its donor's values; else it is as in a new member.
struct InheritedLayer {
  std::string name;
  bool inherited;
};

// A hyperparameter that may be perturbed ("lr", "batch_size", ...), and between which values.
struct HotRange {
  std::string name;
  double low, high;
  bool log = false;  // what is drawn anew is uniform in the logarithm
};

// Each value is drawn anew within its range with probability `resample`, else multiplied by one of the factors, each
// equally likely (explore: Jaderberg et al. 2017, arXiv:1711.09846); then it is clipped to the range.
struct Perturbation {
  std::vector<HotRange> ranges;
  std::vector<double> factors = {0.8, 1.2};
  double resample = 0;
};

// What a member is made of. Its id keys its random streams.
struct Newcomer {
  Network network;
  Hyperparameters hyperparameters;
  std::uint32_t id = 0;
};

// For one thread at a time: while one is in a call that trains, evaluates, predicts or changes anything, such calls of
// others throw InvalidArgument.
class Population {
 public:
  Population(Shape input, Optimizer optimizer, Loss loss, Options options = {});
  ~Population();
  Population(Population&&) noexcept;
  Population& operator=(Population&&) noexcept;

  // Adds a freshly initialised member; returns its row. Throws InvalidArgument and changes nothing where it does
  // not fit, neither the input nor the engine that was asked for.
  std::int64_t add(const Network& network, const Hyperparameters& hyperparameters, std::uint32_t id);
  // Adds many, all or none, in one piece of a GPU's memory. What is wrong is said of the member that it is wrong with; out
  // of memory, how many there is room for.
  void add(const std::vector<Newcomer>& newcomers);
  // Puts a fresh member into an existing row.
  void reset(std::int64_t row, const Network& network, const Hyperparameters& hyperparameters, std::uint32_t id);

  std::int64_t size() const;  // P
  int device_number() const;  // of the GPU that it is on; -1: on the processor
  std::int64_t outputs(std::int64_t row) const;
  const Network& network(std::int64_t row) const;

  const Hyperparameters& hyperparameters(std::int64_t row) const;
  void set(std::int64_t row, const Hyperparameters& hyperparameters);

  // Weights, optimiser state and counters of source[i] replace those of target[i]; hyperparameters, id and so the
  // data order stay. The networks must be of the same structure. All sources are read before any target is written.
  void copy(const std::vector<std::int64_t>& source, const std::vector<std::int64_t>& target);

  // The same where the networks may differ in structure: target becomes a fresh member whose counters are source's, and
  // so are its layers, with statistics and optimiser state, where source has one of the same name whose parameters have
  // the same shapes. A name is kind and place among the kind, counted from the input. In the order of target's layers.
  std::vector<InheritedLayer> inherit(std::int64_t source, std::int64_t target);

  // Each weight of heirs[i], with its optimiser state, is that of second[i] with probability `rate`, else that of
  // first[i]; the counters are the first's. Draws depend on (seed, the heir's id, its steps so far) alone. Else as copy;
  // parents that have diverged are refused.
  void crossover(const std::vector<std::int64_t>& heirs, const std::vector<std::int64_t>& first,
                 const std::vector<std::int64_t>& second, double rate);

  // Adds Gaussian noise to weights and biases: `scale` times the root mean square of the weights of their layer. Optimiser
  // state and running statistics stay. Draws depend on (seed, id, steps so far) alone.
  void mutate(const std::vector<std::int64_t>& rows, double scale);

  // The same for hyperparameters: each one of heirs[i] is that of second[i] with probability `rate`, else that of first[i]
  // (rate 0: a copy). Weights, counters and id stay. Draws depend on (seed, the heir's id, its steps so far) alone, and
  // are others than those of `crossover`; a third parent may give the weights. The dropout rates of all layers come together.
  void cross_hyperparameters(const std::vector<std::int64_t>& heirs, const std::vector<std::int64_t>& first,
                             const std::vector<std::int64_t>& second, double rate);

  // Perturbs hyperparameters. Whole numbers stay whole, and a factor other than 1 moves them by at least one; a float that is 0
  // stays 0, unless it is drawn anew. All dropout layers of a member have the same draws. Draws as above.
  void perturb(const std::vector<std::int64_t>& rows, const Perturbation& how);

  // Trains row p for steps[p] steps (0: leave it alone). losses is (P, T), T = ceil(max(steps) / record): the mean
  // training loss of each `record` steps; NaN where a member made no step. A member whose loss is not finite is
  // marked diverged before that step is applied and skipped from then on (its losses are NaN).
  void fit(const Dataset& data, const std::vector<std::int64_t>& steps, std::int64_t record, double* losses);

  // Steps from where row p stands to the start of epoch `epoch` (0 if already there), at its batch size.
  std::int64_t steps_to_epoch(std::int64_t row, std::int64_t samples, std::int64_t epoch) const;

  // Mean loss over the data for each listed row, dropout off; and unless null, for cross_entropy the accuracy, for mse
  // Pearson's correlation and r2 = 1 - sum (y - t)^2 / sum (t - mean t)^2. Several outputs count as one series. Where y or
  // t are constant the correlation is 0; where t is, r2 is 1 if y equals it, else 0.
  void evaluate(const Dataset& data, const std::vector<std::int64_t>& rows, float* loss, float* accuracy,
                float* correlation = nullptr, float* r2 = nullptr);

  // The network's outputs, (samples, outputs): probabilities for cross_entropy, values for mse.
  void predict(const Dataset& data, std::int64_t row, float* out);

  Counters counters(std::int64_t row) const;
  // In the memory of the device that the population is on. Valid while owner(row) lives.
  std::vector<Parameter> parameters(std::int64_t row);
  std::shared_ptr<void> owner(std::int64_t row);  // keeps the row's block alive for views of it

  // The whole member as bytes: counters, weights, optimiser state; the same on every device. Written into a member of
  // the same structure they restore its training exactly. Where a GPU has the member, they may lie in its memory.
  std::int64_t state_bytes(std::int64_t row) const;
  void read_state(std::int64_t row, std::byte* to) const;
  void write_state(std::int64_t row, const std::byte* from);  // InvalidArgument if its counters cannot be right
  std::byte* state(std::int64_t row);                         // where the bytes are; null if a GPU has them

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The order in which member `id` sees the samples in pass `epoch` (data_order shared: id 0).
std::vector<std::int64_t> epoch_order(std::uint32_t seed, std::uint32_t id, std::int64_t epoch, std::int64_t samples);

}  // namespace shoal
