#include "shoal/dataset.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <optional>
#include <variant>

#include "bindings.h"
#include "shoal/error.h"

namespace shoal::bindings {
namespace {

using Inputs = std::variant<Array<std::uint8_t>, Array<float>>;

void check_size(const py::array& array, const char* name, std::int64_t expected) {
  require(array.size() == expected, std::string(name) + " has " + std::to_string(array.size()) + " entries, expected " +
                                        std::to_string(expected));
}

template <class T>
const T* borrow(const std::optional<Array<T>>& array, const char* name, std::int64_t expected) {
  if (!array) return nullptr;
  check_size(*array, name, expected);
  return array->data();
}

ArrayDataset make_dataset(Shape shape, const Inputs& x, const std::optional<Array<float>>& scale,
                          const std::optional<Array<float>>& shift, const std::optional<Array<std::int32_t>>& labels,
                          const std::optional<Array<float>>& targets, std::int64_t outputs,
                          std::optional<std::uint64_t> identity) {
  const std::int64_t features = std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
  const py::array& inputs = std::visit([](const auto& array) -> const py::array& { return array; }, x);
  require(inputs.ndim() > 0, "x has no axis for the samples");
  const std::int64_t samples = inputs.shape(0);
  check_size(inputs, "x", samples * features);

  Dataset view{.samples = samples, .shape = std::move(shape), .outputs = outputs};
  if (const auto* bytes = std::get_if<Array<std::uint8_t>>(&x)) view.x_u8 = bytes->data();
  if (const auto* floats = std::get_if<Array<float>>(&x)) view.x_f32 = floats->data();
  if (identity) view.identity = *identity;
  view.scale = borrow(scale, "scale", features);
  view.shift = borrow(shift, "shift", features);
  view.labels = borrow(labels, "labels", samples);
  view.targets = borrow(targets, "targets", samples * outputs);
  // The engine indexes by label.
  require(!labels || std::all_of(view.labels, view.labels + samples,
                                 [&](std::int32_t label) { return 0 <= label && label < outputs; }),
          "labels must be in [0, " + std::to_string(outputs) + ")");
  return {inputs, py::cast(scale), py::cast(shift), py::cast(labels), py::cast(targets), std::move(view)};
}

}  // namespace

void bind_dataset(py::module_& module) {
  const auto array = [](const char* name) { return py::arg(name).noconvert(); };
  py::class_<ArrayDataset>(module, "Dataset")
      .def(py::init(&make_dataset), py::arg("shape"), array("x"), array("scale") = py::none(),
           array("shift") = py::none(), py::kw_only(), array("labels") = py::none(), array("targets") = py::none(),
           py::arg("outputs") = 0, py::arg("identity") = py::none());
  module.def("new_identity", &new_identity);
}

}  // namespace shoal::bindings
