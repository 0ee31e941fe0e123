#include "device_array.h"

#include <optional>
#include <string>
#include <utility>

#include "device_view.h"
#include "dlpack.h"
#include "engine/engine.h"
#include "shoal/device.h"
#include "shoal/error.h"

namespace shoal::bindings {
namespace {

// Lives until the library that took it is done with it.
struct Exported {
  DlManagedTensor managed;
  DeviceArray array;
};

// A view, or where the consumer wants a copy, one without gaps. The array API's `max_version` is no argument: consumers that
// name one then take the capsule of DLPack before 1.0, which this is, and some of them (mpi4py) no older one than asked for.
py::capsule to_dlpack(const DeviceArray& array, const py::object& /*stream*/,
                      const std::optional<std::pair<int, int>>& device, std::optional<bool> copy) {
  if (device && *device != std::pair<int, int>(kCuda, array.device))
    throw py::buffer_error("the array stays on cuda:" + std::to_string(array.device) +
                           "; numpy.asarray copies it to the host");
  auto* exported = new Exported{{}, copy.value_or(false) ? compact(array) : array};
  DeviceArray& a = exported->array;
  exported->managed = {.tensor = {.data = a.data,
                                  .device_type = kCuda,
                                  .device_id = a.device,
                                  .dimensions = static_cast<std::int32_t>(a.shape.size()),
                                  .type_code = a.bytes ? kUnsigned : kFloat,
                                  .type_bits = static_cast<std::uint8_t>(8 * a.item()),
                                  .type_lanes = 1,
                                  .shape = a.shape.data(),
                                  .strides = a.strides.data(),
                                  .byte_offset = 0},
                       .context = exported,
                       .free = [](DlManagedTensor* m) { delete static_cast<Exported*>(m->context); }};
  // A consumer renames the capsule and then frees by itself.
  return py::capsule(&exported->managed, "dltensor", [](PyObject* capsule) {
    if (!PyCapsule_IsValid(capsule, "dltensor")) return;
    auto* managed = static_cast<DlManagedTensor*>(PyCapsule_GetPointer(capsule, "dltensor"));
    managed->free(managed);
  });
}

py::dtype type_of(const DeviceArray& array) { return py::dtype(array.type()); }

py::tuple tuple_of(const Shape& values, std::size_t times = 1) {
  py::tuple tuple(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) tuple[i] = values[i] * static_cast<std::int64_t>(times);
  return tuple;
}

py::dict interface(const DeviceArray& array) {
  py::dict description;
  description["version"] = 3;
  description["typestr"] = type_of(array).attr("str");
  description["data"] = py::make_tuple(reinterpret_cast<std::uintptr_t>(array.data), false);
  description["shape"] = tuple_of(array.shape);
  description["strides"] = tuple_of(array.strides, array.item());
  description["stream"] = py::none();  // every call of the core has ended on the device when it returns
  return description;
}

// Only the first axis has gaps: a row, of all other axes, is one piece. A vector is one row.
struct Rows {
  std::size_t count, bytes;
};

Rows rows_of(const DeviceArray& array) {
  const bool vector = array.shape.size() == 1;
  const std::size_t count = vector ? 1 : static_cast<std::size_t>(array.shape[0]);
  std::size_t values = 1;
  for (std::size_t i = vector ? 0 : 1; i < array.shape.size(); ++i) values *= static_cast<std::size_t>(array.shape[i]);
  return {count, values * array.item()};
}

std::size_t step_of(const DeviceArray& array, const Rows& rows) {
  return rows.count == 1 ? rows.bytes : static_cast<std::size_t>(array.strides[0]) * array.item();
}

void assign(const DeviceArray& array, const py::object& from) {
  const DeviceView view = view_of(from);
  const auto text = [](const std::string& type, const Shape& shape, int device) {
    return type + " of shape " + py::repr(tuple_of(shape)).cast<std::string>() + " on cuda:" + std::to_string(device);
  };
  const std::string needed = text(array.type(), array.shape, array.device);
  const std::string given = text(view.type, view.shape, view.device);
  require(given == needed, "must be " + needed + ", got " + given);
  const Rows rows = rows_of(array);
  copy_rows(array.device, rows.count, rows.bytes, view.data, rows.bytes, array.data, step_of(array, rows));
}

}  // namespace

DeviceArray compact(const DeviceArray& array) {
  const Rows rows = rows_of(array);
  const std::shared_ptr<std::byte> memory = device_memory(array.device, rows.count * rows.bytes);
  copy_rows(array.device, rows.count, rows.bytes, array.data, step_of(array, rows), memory.get(), rows.bytes);
  Shape strides(array.shape.size(), 1);
  for (std::size_t i = strides.size() - 1; i-- > 0;) strides[i] = strides[i + 1] * array.shape[i + 1];
  return {memory.get(), array.shape, strides, array.device, memory, array.bytes};
}

std::size_t DeviceArray::size() const {
  std::int64_t values = 1;
  for (std::size_t i = 0; i < shape.size(); ++i) values += (shape[i] - 1) * strides[i];
  return static_cast<std::size_t>(values);
}

py::array to_host(const DeviceArray& array) {
  py::array whole(type_of(array), Shape{static_cast<std::int64_t>(array.size())});
  copy_to_host(array.device, array.data, array.size() * array.item(), whole.mutable_data());
  Shape strides = array.strides;
  for (std::int64_t& stride : strides) stride *= static_cast<std::int64_t>(array.item());
  return py::array(type_of(array), array.shape, strides, whole.data(), whole);
}

namespace {

DeviceArray bytes_on_device(int device, std::size_t bytes) {
  std::shared_ptr<std::byte> memory = device_memory(device, bytes);
  return {memory.get(), {static_cast<std::int64_t>(bytes)}, {1}, device, memory, true};
}

Array<std::uint8_t> pinned_bytes(int device, std::size_t bytes) {
  const std::shared_ptr<std::byte> memory = pinned_memory(device, bytes);
  return Array<std::uint8_t>(static_cast<py::ssize_t>(bytes), reinterpret_cast<std::uint8_t*>(memory.get()),
                             share(memory));
}

}  // namespace

void bind_device_array(py::module_& module) {
  py::class_<DeviceArray>(module, "DeviceArray")
      .def_property_readonly("shape", [](const DeviceArray& a) { return tuple_of(a.shape); })
      .def_property_readonly("dtype", &type_of)
      .def(
          "__array__",
          [](const DeviceArray& a, const py::object& dtype, const py::object& copy) {
            require(copy.is_none() || copy.cast<bool>(), "an array in a GPU's memory cannot be seen without a copy");
            const py::array host = to_host(a);
            return dtype.is_none() ? py::object(host) : host.attr("astype")(dtype);
          },
          py::arg("dtype") = py::none(), py::arg("copy") = py::none())
      .def_property_readonly("__cuda_array_interface__", &interface)
      .def("__dlpack__", &to_dlpack, py::kw_only(), py::arg("stream") = py::none(), py::arg("dl_device") = py::none(),
           py::arg("copy") = py::none())
      .def("__dlpack_device__", [](const DeviceArray& a) { return py::make_tuple(kCuda, a.device); })
      .def("compact", &compact,
           "Return a copy without gaps on the same GPU, for JAX, which takes no others. It does not change with this "
           "array.")
      .def("assign", &assign, py::arg("array"),
           "Copy another library's array of the same shape, C-contiguous on the same GPU, into this one.");
  module.def("device_memory", &bytes_on_device, py::arg("device"), py::arg("bytes"));
  module.def("pinned_memory", &pinned_bytes, py::arg("device"), py::arg("bytes"));
  module.def("make_current", &make_current, py::arg("device"));
}

}  // namespace shoal::bindings
