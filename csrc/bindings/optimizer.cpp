#include "shoal/optimizer.h"

#include "bindings.h"

namespace shoal::bindings {

void bind_optimizer(py::module_& module) {
  py::enum_<Optimizer>(module, "Optimizer")
      .value("sgd", Optimizer::sgd)
      .value("adam", Optimizer::adam)
      .value("adamw", Optimizer::adamw)
      .value("rmsprop", Optimizer::rmsprop)
      .value("adagrad", Optimizer::adagrad);
  py::enum_<Loss>(module, "Loss").value("cross_entropy", Loss::cross_entropy).value("mse", Loss::mse);
  py::class_<Hyperparameters>(module, "Hyperparameters")
      .def(py::init<>())
      .def_readwrite("lr", &Hyperparameters::lr)
      .def_readwrite("momentum", &Hyperparameters::momentum)
      .def_readwrite("nesterov", &Hyperparameters::nesterov)
      .def_readwrite("decay", &Hyperparameters::decay)
      .def_readwrite("lr_decay", &Hyperparameters::lr_decay)
      .def_readwrite("decay_every", &Hyperparameters::decay_every)
      .def_readwrite("weight_decay", &Hyperparameters::weight_decay)
      .def_readwrite("beta1", &Hyperparameters::beta1)
      .def_readwrite("beta2", &Hyperparameters::beta2)
      .def_readwrite("epsilon", &Hyperparameters::epsilon)
      .def_readwrite("batch_size", &Hyperparameters::batch_size)
      .def_readwrite("dropout", &Hyperparameters::dropout)
      .def_readwrite("augment_pad", &Hyperparameters::augment_pad)
      .def_readwrite("augment_flip", &Hyperparameters::augment_flip);
}

}  // namespace shoal::bindings
