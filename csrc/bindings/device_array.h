// An array in a GPU's memory as Python sees it, for CuPy, PyTorch, JAX and mpi4py: through __cuda_array_interface__
// (version 3) and DLPack, without a copy. NumPy gets one.
#pragma once

#include <cstddef>
#include <memory>

#include "bindings.h"
#include "shoal/population.h"

namespace shoal::bindings {

struct DeviceArray {
  void* data;
  Shape shape, strides;         // in values
  int device;                   // its number
  std::shared_ptr<void> owner;  // of the memory
  bool bytes = false;           // its values; else floats

  std::size_t item() const { return bytes ? 1 : sizeof(float); }
  const char* type() const { return bytes ? "uint8" : "float32"; }
  std::size_t size() const;  // in values, from the first to the last
};

py::array to_host(const DeviceArray& array);
// The same values without gaps, in memory of their own on the same GPU.
DeviceArray compact(const DeviceArray& array);

}  // namespace shoal::bindings
