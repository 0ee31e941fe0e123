// An array in a GPU's memory as Python sees it, for CuPy, PyTorch and JAX: through __cuda_array_interface__ (version 3)
// and DLPack, without a copy.
#pragma once

#include <memory>

#include "bindings.h"
#include "shoal/population.h"

namespace shoal::bindings {

struct DeviceArray {
  Parameter parameter;
  int device;                   // its number
  std::shared_ptr<void> owner;  // of the memory
};

Array<float> to_host(const Parameter& parameter);  // of a GPU

}  // namespace shoal::bindings
