#include "device_array.h"

#include <utility>

#include "engine/engine.h"

namespace shoal::bindings {
namespace {

// The memory layout that the DLPack project fixes for exchange between libraries (its dlpack.h, version 0.8).
struct DlTensor {
  void* data;
  std::int32_t device_type, device_id;
  std::int32_t dimensions;
  std::uint8_t type_code, type_bits;
  std::uint16_t type_lanes;
  std::int64_t *shape, *strides;
  std::uint64_t byte_offset;
};
struct DlManagedTensor {
  DlTensor tensor;
  void* context;
  void (*free)(DlManagedTensor*);
};
constexpr std::int32_t kCuda = 2;
constexpr std::uint8_t kFloat = 2;

// Lives until the library that took it is done with it.
struct Exported {
  DlManagedTensor managed;
  DeviceArray array;
};

py::capsule to_dlpack(const DeviceArray& array, const py::object& /*stream*/) {
  auto* exported = new Exported{{}, array};
  Parameter& p = exported->array.parameter;
  exported->managed = {.tensor = {.data = p.data,
                                  .device_type = kCuda,
                                  .device_id = array.device,
                                  .dimensions = static_cast<std::int32_t>(p.shape.size()),
                                  .type_code = kFloat,
                                  .type_bits = 32,
                                  .type_lanes = 1,
                                  .shape = p.shape.data(),
                                  .strides = p.strides.data(),
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

py::tuple tuple_of(const Shape& values, std::int64_t times = 1) {
  py::tuple tuple(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) tuple[i] = values[i] * times;
  return tuple;
}

py::dict interface(const DeviceArray& array) {
  py::dict description;
  description["version"] = 3;
  description["typestr"] = "<f4";
  description["data"] = py::make_tuple(reinterpret_cast<std::uintptr_t>(array.parameter.data), false);
  description["shape"] = tuple_of(array.parameter.shape);
  description["strides"] = tuple_of(array.parameter.strides, sizeof(float));
  description["stream"] = py::none();  // every call of the core has ended on the device when it returns
  return description;
}

}  // namespace

Array<float> to_host(const Parameter& p) {
  std::int64_t floats = 1;  // from the first value to the last
  Shape strides = p.strides;
  for (std::size_t i = 0; i < p.shape.size(); ++i) {
    floats += (p.shape[i] - 1) * p.strides[i];
    strides[i] *= sizeof(float);
  }
  Array<float> whole(floats);
  copy_to_host(p.data, static_cast<std::size_t>(floats) * sizeof(float), whole.mutable_data());
  return Array<float>(p.shape, strides, whole.data(), whole);
}

void bind_device_array(py::module_& module) {
  py::class_<DeviceArray>(module, "DeviceArray")
      .def_property_readonly("shape", [](const DeviceArray& a) { return tuple_of(a.parameter.shape); })
      .def_property_readonly("__cuda_array_interface__", &interface)
      .def("__dlpack__", &to_dlpack, py::kw_only(), py::arg("stream") = py::none())
      .def("__dlpack_device__", [](const DeviceArray& a) { return py::make_tuple(kCuda, a.device); });
}

}  // namespace shoal::bindings
