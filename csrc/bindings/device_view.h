// An array that another library (CuPy, PyTorch, JAX, ...) has in a GPU's memory, taken where it is: through DLPack, or where
// a library has none through __cuda_array_interface__.
#pragma once

#include <memory>
#include <string>

#include "bindings.h"

namespace shoal::bindings {

struct DeviceView {
  std::string type;  // as NumPy says it: "uint8", "int32", "float32", "float64", ...
  Shape shape;
  const void* data;
  int device;                   // its number
  std::shared_ptr<void> owner;  // of the memory

  std::int64_t size() const;
  std::string device_name() const { return "cuda:" + std::to_string(device); }

  // Null unless it has this type.
  template <class T>
  const T* as(const char* name) const {
    return type == name ? static_cast<const T*>(data) : nullptr;
  }
};

// Waits for what its library still computes. Throws InvalidArgument unless it is on a GPU and C-contiguous.
DeviceView view_of(const py::object& array);

}  // namespace shoal::bindings
