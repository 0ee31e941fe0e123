#include "shoal/device.h"

#include "bindings.h"

namespace shoal::bindings {

void bind_device(py::module_& module) {
  py::class_<Device>(module, "Device")
      .def_readonly("name", &Device::name)
      .def_readonly("description", &Device::description)
      .def_readonly("cores", &Device::cores)
      .def_readonly("memory", &Device::memory)
      .def_readonly("uuid", &Device::uuid)
      .def("__repr__", [](const Device& d) {
        return "Device(" + d.name + ": " + d.description + ", " + std::to_string(d.cores) + " cores, " +
               std::to_string(d.memory >> 30) + " GiB" + (d.uuid.empty() ? "" : ", " + d.uuid) + ")";
      });
  module.def("devices", &devices);
  module.def("why_no_gpu", &why_no_gpu);
  module.def("instruction_sets", &instruction_sets);
  module.def("peak_gflops", &peak_gflops, py::arg("threads") = 0, py::call_guard<Unlocked>());
}

}  // namespace shoal::bindings
