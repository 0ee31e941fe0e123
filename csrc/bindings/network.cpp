#include "shoal/network.h"

#include "bindings.h"

namespace shoal::bindings {

void bind_network(py::module_& module) {
  py::enum_<Initializer>(module, "Initializer")
      .value("he", Initializer::he)
      .value("xavier", Initializer::xavier)
      .value("normal", Initializer::normal)
      .value("uniform", Initializer::uniform);
  py::class_<Layer>(module, "Layer");
  py::class_<Network>(module, "Network").def(py::init([](std::vector<Layer> layers) {
    return Network{std::move(layers)};
  }));
  module.def("dense", &layer::dense, py::arg("units"), py::arg("initializer"), py::arg("scale"), py::arg("bias"));
  module.def("flatten", &layer::flatten);
  module.def("dropout", &layer::dropout, py::arg("rate"));
  module.def("relu", &layer::relu);
  module.def("leaky_relu", &layer::leaky_relu, py::arg("slope"));
  module.def("sigmoid", &layer::sigmoid);
  module.def("tanh", &layer::tanh);
}

}  // namespace shoal::bindings
