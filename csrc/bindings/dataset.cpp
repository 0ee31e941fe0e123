#include "shoal/dataset.h"

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <numeric>
#include <optional>
#include <variant>
#include <vector>

#include "bindings.h"
#include "device_view.h"
#include "engine/engine.h"
#include "shoal/error.h"

namespace shoal::bindings {
namespace {

template <class T>
using HostOrDevice = std::variant<Array<T>, DeviceView>;
using Inputs = std::variant<Array<std::uint8_t>, Array<float>, DeviceView>;

std::int64_t size_of(const py::array& array) { return array.size(); }
std::int64_t size_of(const DeviceView& view) { return view.size(); }
Shape shape_of(const py::array& array) { return {array.shape(), array.shape() + array.ndim()}; }
const Shape& shape_of(const DeviceView& view) { return view.shape; }

void check_size(std::int64_t size, const char* name, std::int64_t expected) {
  require(size == expected,
          std::string(name) + " has " + std::to_string(size) + " entries, expected " + std::to_string(expected));
}

template <class T>
const T* borrow(const std::optional<Array<T>>& array, const char* name, std::int64_t expected) {
  if (!array) return nullptr;
  check_size(array->size(), name, expected);
  return array->data();
}

template <class T>
const T* borrow(const std::optional<HostOrDevice<T>>& array, const char* name, const char* type,
                std::int64_t expected) {
  if (!array) return nullptr;
  check_size(std::visit([](const auto& a) { return size_of(a); }, *array), name, expected);
  if (const auto* host = std::get_if<Array<T>>(&*array)) return host->data();
  const DeviceView& view = std::get<DeviceView>(*array);
  require(view.type == type, std::string(name) + " must be " + type + ", got " + view.type);
  return static_cast<const T*>(view.data);
}

// Where arrays are on GPUs they are on one; its number, or -1.
int common_gpu(std::initializer_list<const DeviceView*> views) {
  int device = -1;
  for (const DeviceView* view : views) {
    if (!view) continue;
    require(device < 0 || device == view->device,
            "x and y must be on one GPU, got cuda:" + std::to_string(device) + " and " + view->device_name());
    device = view->device;
  }
  return device;
}

template <class T>
const DeviceView* view_in(const std::optional<HostOrDevice<T>>& array) {
  return array ? std::get_if<DeviceView>(&*array) : nullptr;
}

// The engine indexes by label.
void check_labels(const std::int32_t* labels, std::int64_t samples, std::int64_t outputs, const DeviceView* on_gpu) {
  std::vector<std::int32_t> copy(on_gpu ? static_cast<std::size_t>(samples) : 0);
  if (on_gpu) copy_to_host(on_gpu->device, labels, copy.size() * sizeof(std::int32_t), copy.data());
  const std::int32_t* const first = on_gpu ? copy.data() : labels;
  require(std::all_of(first, first + samples, [&](std::int32_t label) { return 0 <= label && label < outputs; }),
          "labels must be in [0, " + std::to_string(outputs) + ")");
}

ArrayDataset make_dataset(Shape shape, const Inputs& x, const std::optional<Array<float>>& scale,
                          const std::optional<Array<float>>& shift,
                          const std::optional<HostOrDevice<std::int32_t>>& labels,
                          const std::optional<HostOrDevice<float>>& targets, std::int64_t outputs,
                          std::optional<std::uint64_t> identity) {
  const std::int64_t features = std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
  const auto* const on_gpu = std::get_if<DeviceView>(&x);
  const auto* const bytes = std::get_if<Array<std::uint8_t>>(&x);
  const auto* const floats = std::get_if<Array<float>>(&x);
  const Shape whole = std::visit([](const auto& array) { return Shape(shape_of(array)); }, x);
  require(!whole.empty(), "x has no axis for the samples");
  const std::int64_t samples = whole[0];
  check_size(std::visit([](const auto& array) { return size_of(array); }, x), "x", samples * features);

  Dataset view{.samples = samples, .shape = std::move(shape), .outputs = outputs};
  view.x_u8 = bytes ? bytes->data() : on_gpu ? on_gpu->as<std::uint8_t>("uint8") : nullptr;
  view.x_f32 = floats ? floats->data() : on_gpu ? on_gpu->as<float>("float32") : nullptr;
  require(view.x_u8 || view.x_f32, "x must be uint8 or float32, got " + (on_gpu ? on_gpu->type : ""));
  if (identity) view.identity = *identity;
  view.scale = borrow(scale, "scale", features);
  view.shift = borrow(shift, "shift", features);
  view.labels = borrow(labels, "labels", "int32", samples);
  view.targets = borrow(targets, "targets", "float32", samples * outputs);
  if (labels) check_labels(view.labels, samples, outputs, view_in(labels));
  const int device = common_gpu({on_gpu, view_in(labels), view_in(targets)});
  return {py::cast(x), py::cast(scale), py::cast(shift), py::cast(labels), py::cast(targets), std::move(view), device};
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
