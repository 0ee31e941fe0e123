#include "shoal/population.h"

#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

#include "bindings.h"
#include "device_array.h"
#include "shoal/error.h"

namespace shoal::bindings {
namespace {

// Views of the weights, or copies if a GPU has them.
py::dict parameters(Population& population, std::int64_t row) {
  const int device = population.device_number();
  const std::shared_ptr<void> owner = population.owner(row);
  py::dict arrays;
  for (const Parameter& parameter : population.parameters(row)) {
    Shape strides = parameter.strides;  // in bytes for NumPy
    for (std::int64_t& stride : strides) stride *= sizeof(float);
    arrays[py::str(parameter.name)] = device >= 0
                                          ? to_host({parameter.data, parameter.shape, parameter.strides, device, owner})
                                          : Array<float>(parameter.shape, strides, parameter.data, share(owner));
  }
  return arrays;
}

py::dict device_parameters(Population& population, std::int64_t row) {
  require(population.device_number() >= 0, "device_parameters: this population is on the CPU, use parameters");
  py::dict arrays;
  for (const Parameter& parameter : population.parameters(row)) {
    arrays[py::str(parameter.name)] = DeviceArray{parameter.data, parameter.shape, parameter.strides,
                                                  population.device_number(), population.owner(row)};
  }
  return arrays;
}

// A view of the block, or a copy if a GPU has it.
Array<std::uint8_t> state(Population& population, std::int64_t row) {
  auto* bytes = reinterpret_cast<std::uint8_t*>(population.state(row));
  if (bytes) return Array<std::uint8_t>(population.state_bytes(row), bytes, share(population.owner(row)));
  Array<std::uint8_t> copy(population.state_bytes(row));
  population.read_state(row, reinterpret_cast<std::byte*>(copy.mutable_data()));
  return copy;
}

void check_state_size(const Population& population, std::int64_t row, py::ssize_t bytes) {
  require(bytes == population.state_bytes(row),
          "must have " + std::to_string(population.state_bytes(row)) + " bytes, got " + std::to_string(bytes));
}

void read_state(const Population& population, std::int64_t row, Array<std::uint8_t> to) {
  check_state_size(population, row, to.size());
  population.read_state(row, reinterpret_cast<std::byte*>(to.mutable_data()));
}

void load_state(Population& population, std::int64_t row, const Array<std::uint8_t>& from) {
  check_state_size(population, row, from.size());
  population.write_state(row, reinterpret_cast<const std::byte*>(from.data()));
}

// The bytes of an array in a GPU's memory, which only a population on a GPU reads and writes.
std::byte* whole_state(const Population& population, std::int64_t row, const DeviceArray& array) {
  require(population.device_number() >= 0, "is in a GPU's memory, and this population on the CPU");
  require(array.bytes, "must be an array of bytes, got floats");
  check_state_size(population, row, static_cast<py::ssize_t>(array.size()));
  return static_cast<std::byte*>(array.data);
}

void read_state_on_device(const Population& population, std::int64_t row, const DeviceArray& to) {
  population.read_state(row, whole_state(population, row, to));
}

void load_state_on_device(Population& population, std::int64_t row, const DeviceArray& from) {
  population.write_state(row, whole_state(population, row, from));
}

py::dict inherit(Population& population, std::int64_t source, std::int64_t target) {
  py::dict layers;
  for (const InheritedLayer& layer : population.inherit(source, target)) layers[py::str(layer.name)] = layer.inherited;
  return layers;
}

// The engine reads the data where they are.
void check_reach(const Population& population, const ArrayDataset& data) {
  if (data.device < 0 || data.device == population.device_number()) return;
  const int own = population.device_number();
  throw InvalidArgument("the data are in the memory of cuda:" + std::to_string(data.device) +
                        ", the population is on " + (own < 0 ? "the CPU" : "cuda:" + std::to_string(own)));
}

void add(Population& population, const std::vector<std::tuple<Network, Hyperparameters, std::uint32_t>>& members) {
  std::vector<Newcomer> newcomers;
  for (const auto& [network, hyperparameters, id] : members) newcomers.push_back({network, hyperparameters, id});
  const Unlocked unlocked;
  population.add(newcomers);
}

Array<double> fit(Population& population, const ArrayDataset& data, const Array<std::int64_t>& steps,
                  std::int64_t record) {
  check_reach(population, data);
  require(steps.size() == population.size(), "steps has " + std::to_string(steps.size()) +
                                                 " entries, expected one per member, " +
                                                 std::to_string(population.size()));
  require(record >= 1, "record must be at least 1, got " + std::to_string(record));
  const std::vector<std::int64_t> counts(steps.data(), steps.data() + steps.size());
  const std::int64_t longest = counts.empty() ? 0 : std::max<std::int64_t>(0, *std::ranges::max_element(counts));
  Array<double> losses({population.size(), (longest + record - 1) / record});
  double* out = losses.mutable_data();
  const Unlocked unlocked;
  population.fit(data.view, counts, record, out);
  return losses;
}

// By name: loss; accuracy of labels; correlation and r2 of targets.
py::dict evaluate(Population& population, const ArrayDataset& data, const std::vector<std::int64_t>& rows) {
  check_reach(population, data);
  const auto size = static_cast<py::ssize_t>(rows.size());
  py::dict scores;
  const auto take = [&](const char* name) {
    Array<float> values(size);
    scores[name] = values;
    return values.mutable_data();
  };
  const bool labels = data.view.labels != nullptr;
  float* const loss = take("loss");
  float* const accuracy = labels ? take("accuracy") : nullptr;
  float* const correlation = labels ? nullptr : take("correlation");
  float* const r2 = labels ? nullptr : take("r2");
  const Unlocked unlocked;
  population.evaluate(data.view, rows, loss, accuracy, correlation, r2);
  return scores;
}

Array<float> predict(Population& population, const ArrayDataset& data, std::int64_t row) {
  check_reach(population, data);
  Array<float> outputs({data.view.samples, population.outputs(row)});
  float* out = outputs.mutable_data();
  const Unlocked unlocked;
  population.predict(data.view, row, out);
  return outputs;
}

}  // namespace

void bind_population(py::module_& module) {
  py::enum_<DataOrder>(module, "DataOrder").value("own", DataOrder::own).value("shared", DataOrder::shared);
  py::enum_<Precision>(module, "Precision")
      .value("fp32", Precision::fp32)
      .value("tf32", Precision::tf32)
      .value("bf16", Precision::bf16)
      .value("tf32x3", Precision::tf32x3);
  py::enum_<EngineKind>(module, "EngineKind")
      .value("auto", EngineKind::automatic)
      .value("resident", EngineKind::resident)
      .value("teams", EngineKind::teams);
  py::class_<Counters>(module, "Counters")
      .def(py::init<>())
      .def_readonly("step", &Counters::step)
      .def_readonly("epoch", &Counters::epoch)
      .def_readonly("offset", &Counters::offset)
      .def_readonly("diverged", &Counters::diverged);
  py::class_<Population>(module, "Population")
      .def(py::init([](Shape input, Optimizer optimizer, Loss loss, std::uint32_t seed, int threads, DataOrder order,
                       std::string device, Precision precision, EngineKind engine) {
             return Population(std::move(input), optimizer, loss,
                               {seed, threads, order, std::move(device), precision, engine});
           }),
           py::arg("input"), py::arg("optimizer"), py::arg("loss"), py::kw_only(), py::arg("seed"), py::arg("threads"),
           py::arg("data_order"), py::arg("device"), py::arg("precision"), py::arg("engine"))
      .def("add", &add, py::arg("members"))
      .def("reset", &Population::reset, py::arg("row"), py::arg("network"), py::arg("hyperparameters"), py::arg("id"))
      .def("outputs", &Population::outputs, py::arg("row"))
      .def("set", &Population::set, py::arg("row"), py::arg("hyperparameters"))
      .def("copy", &Population::copy, py::arg("source"), py::arg("target"))
      .def("inherit", &inherit, py::arg("source"), py::arg("target"))
      .def("crossover", &Population::crossover, py::arg("heirs"), py::arg("first"), py::arg("second"), py::arg("rate"))
      .def("mutate", &Population::mutate, py::arg("rows"), py::arg("scale"))
      .def("cross_hyperparameters", &Population::cross_hyperparameters, py::arg("heirs"), py::arg("first"),
           py::arg("second"), py::arg("rate"))
      .def(
          "perturb",
          [](Population& population, const std::vector<std::int64_t>& rows,
             const std::vector<std::tuple<std::string, double, double, bool>>& ranges,
             const std::vector<double>& factors, double resample) {
            Perturbation how{.factors = factors, .resample = resample};
            for (const auto& [name, low, high, log] : ranges) how.ranges.push_back({name, low, high, log});
            population.perturb(rows, how);
          },
          py::arg("rows"), py::arg("ranges"), py::arg("factors"), py::arg("resample"))
      .def("hyperparameters", &Population::hyperparameters, py::arg("row"), py::return_value_policy::copy)
      .def("fit", &fit, py::arg("data"), py::arg("steps").noconvert(), py::arg("record"))
      .def("steps_to_epoch", &Population::steps_to_epoch, py::arg("row"), py::arg("samples"), py::arg("epoch"))
      .def("evaluate", &evaluate, py::arg("data"), py::arg("rows"))
      .def("predict", &predict, py::arg("data"), py::arg("row"))
      .def("counters", &Population::counters, py::arg("row"))
      .def("parameters", &parameters, py::arg("row"))
      .def("device_parameters", &device_parameters, py::arg("row"))
      .def("state", &state, py::arg("row"))
      .def("state_bytes", &Population::state_bytes, py::arg("row"))
      .def("read_state", &read_state_on_device, py::arg("row"), py::arg("to"))
      .def("read_state", &read_state, py::arg("row"), py::arg("to").noconvert())
      .def("load_state", &load_state_on_device, py::arg("row"), py::arg("state"))
      .def("load_state", &load_state, py::arg("row"), py::arg("state").noconvert());
  module.def("epoch_order", &epoch_order, py::arg("seed"), py::arg("id"), py::arg("epoch"), py::arg("samples"));
}

}  // namespace shoal::bindings
