#include "shoal/network.h"

#include "bindings.h"

namespace shoal::bindings {

void bind_network(py::module_& module) {
  py::enum_<Initializer>(module, "Initializer")
      .value("he", Initializer::he)
      .value("xavier", Initializer::xavier)
      .value("normal", Initializer::normal)
      .value("uniform", Initializer::uniform);
  py::enum_<Pooling>(module, "Pooling").value("max", Pooling::max).value("average", Pooling::average);
  py::class_<Extent>(module, "Extent").def(py::init<std::int64_t, std::int64_t>(), py::arg("height"), py::arg("width"));
  py::enum_<Padding::Kind>(module, "PaddingKind")
      .value("valid", Padding::Kind::valid)
      .value("same", Padding::Kind::same)
      .value("amount", Padding::Kind::amount);
  py::class_<Padding>(module, "Padding").def(py::init<Padding::Kind, Extent>(), py::arg("kind"), py::arg("amount"));
  py::class_<Layer>(module, "Layer");
  py::class_<Network>(module, "Network").def(py::init([](std::vector<Layer> layers) {
    return Network{std::move(layers)};
  }));
  module.def("dense", &layer::dense, py::arg("units"), py::arg("initializer"), py::arg("scale"), py::arg("bias"));
  module.def("conv2d", &layer::conv2d, py::arg("filters"), py::arg("kernel"), py::arg("stride"), py::arg("padding"),
             py::arg("initializer"), py::arg("scale"), py::arg("bias"));
  module.def("pooling", &layer::pooling, py::arg("pooling"), py::arg("window"), py::arg("stride"), py::arg("padding"));
  module.def("global_pooling", &layer::global_pooling);
  module.def("batch_norm", &layer::batch_norm, py::arg("momentum"), py::arg("epsilon"));
  module.def("residual", &layer::residual, py::arg("branch"), py::arg("shortcut"));
  module.def("flatten", &layer::flatten);
  module.def("dropout", &layer::dropout, py::arg("rate"));
  module.def("relu", &layer::relu);
  module.def("leaky_relu", &layer::leaky_relu, py::arg("slope"));
  module.def("sigmoid", &layer::sigmoid);
  module.def("tanh", &layer::tanh);
}

}  // namespace shoal::bindings
