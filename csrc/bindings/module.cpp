// The Python module shoal._core. Errors of the core become Python's here and nowhere else.
#include "bindings.h"
#include "shoal/error.h"

namespace shoal::bindings {
namespace {

// std::bad_alloc is a MemoryError by pybind11's own rules, with the size that its what() names.
void translate(std::exception_ptr error) {
  try {
    if (error) std::rethrow_exception(error);
  } catch (const InvalidArgument& e) {
    PyErr_SetString(PyExc_ValueError, e.what());
  } catch (const DeviceError& e) {
    PyErr_SetString(py::module_::import("shoal.errors").attr("DeviceError").ptr(), e.what());
  }
}

}  // namespace
}  // namespace shoal::bindings

PYBIND11_MODULE(_core, module) {
  using namespace shoal::bindings;
  module.attr("__version__") = SHOAL_VERSION;
  py::register_local_exception_translator(&translate);
  bind_device(module);
  bind_network(module);
  bind_optimizer(module);
  bind_device_array(module);
  bind_device_view(module);
  bind_dataset(module);
  bind_population(module);
  bind_curves(module);
}
