#include "device_view.h"

#include <bit>
#include <functional>
#include <numeric>
#include <optional>
#include <utility>

#include "dlpack.h"
#include "engine/engine.h"
#include "shoal/error.h"

namespace shoal::bindings {
namespace {

std::string type_name(char kind, std::int64_t bits) {
  const std::string name = kind == 'f' ? "float" : kind == 'i' ? "int" : kind == 'u' ? "uint" : std::string(1, kind);
  return name + std::to_string(bits);
}

void require_rows(bool row_major) {
  require(row_major, "an array on a GPU must be C-contiguous: make it so there (ascontiguousarray, contiguous())");
}

// In values; an axis of one entry may have any.
bool is_row_major(const Shape& shape, const Shape& strides) {
  std::int64_t expected = 1;
  for (std::size_t i = shape.size(); i-- > 0; expected *= shape[i]) {
    if (shape[i] != 1 && strides[i] != expected) return false;
  }
  return true;
}

bool is_cuda(std::int64_t type) { return type == kCuda || type == kCudaManaged; }

bool has_dlpack(const py::object& array) {
  return py::hasattr(array, "__dlpack_device__") &&
         is_cuda(array.attr("__dlpack_device__")().cast<py::tuple>()[0].cast<std::int64_t>());
}

// Without a stream the producer orders its work before the device's default stream, which `synchronise` waits for.
DeviceView from_dlpack(const py::object& array) {
  const py::object capsule = array.attr("__dlpack__")();
  auto* const managed = static_cast<DlManagedTensor*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor"));
  if (!managed) throw py::error_already_set();
  PyCapsule_SetName(capsule.ptr(), "used_dltensor");
  const std::shared_ptr<void> owner(managed, [](DlManagedTensor* m) {
    const py::gil_scoped_acquire locked;
    if (m->free) m->free(m);
  });
  const DlTensor& t = managed->tensor;
  const Shape shape(t.shape, t.shape + t.dimensions);
  require_rows(!t.strides || is_row_major(shape, Shape(t.strides, t.strides + t.dimensions)));
  const char kind = t.type_code == kFloat ? 'f' : t.type_code == kInteger ? 'i' : t.type_code == kUnsigned ? 'u' : '?';
  return {type_name(t.type_lanes == 1 ? kind : '?', t.type_bits), shape,
          static_cast<const std::byte*>(t.data) + t.byte_offset, t.device_id, owner};
}

DeviceView from_interface(const py::object& array) {
  const py::dict interface = array.attr("__cuda_array_interface__");
  const Shape shape = interface["shape"].cast<Shape>();
  const auto type = interface["typestr"].cast<std::string>();  // "<f4"
  const std::int64_t bytes = std::stoll(type.substr(2));
  if (interface.contains("strides") && !interface["strides"].is_none()) {
    Shape strides = interface["strides"].cast<Shape>();
    for (std::int64_t& stride : strides) stride /= bytes;
    require_rows(is_row_major(shape, strides));
  }
  const auto address = interface["data"].cast<py::tuple>()[0].cast<std::uintptr_t>();
  const void* const data = std::bit_cast<const void*>(address);
  return {type_name(type[1], 8 * bytes), shape, data, shoal::device_of(data),
          std::shared_ptr<void>(new py::object(array), [](py::object* held) {
            const py::gil_scoped_acquire locked;
            delete held;
          })};
}

bool on_gpu(const py::object& array) { return has_dlpack(array) || py::hasattr(array, "__cuda_array_interface__"); }

bool is_finite(const DeviceView& view) {
  const auto* const values = view.as<float>("float32");
  require(values, "only float32 is looked through, got " + view.type);
  return finite_on_device(values, view.size(), view.device);
}

py::array to_host_array(const DeviceView& view) {
  py::array copy(py::dtype(view.type), view.shape);
  copy_to_host(view.device, view.data, static_cast<std::size_t>(copy.nbytes()), copy.mutable_data());
  return copy;
}

}  // namespace

DeviceView view_of(const py::object& array) {
  require(on_gpu(array), "an array on a GPU must have __dlpack__ or __cuda_array_interface__");
  DeviceView view = has_dlpack(array) ? from_dlpack(array) : from_interface(array);
  synchronise(view.device);
  return view;
}

std::int64_t DeviceView::size() const {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

void bind_device_view(py::module_& module) {
  py::class_<DeviceView>(module, "DeviceView")
      .def(py::init(&view_of), py::arg("array"))
      .def_readonly("dtype", &DeviceView::type)
      .def_property_readonly("shape", [](const DeviceView& v) { return py::tuple(py::cast(v.shape)); })
      .def_property_readonly("device", &DeviceView::device_name)
      .def("finite", &is_finite)
      .def("to_host", &to_host_array);
  module.def("on_gpu", &on_gpu, py::arg("array"));
}

}  // namespace shoal::bindings
