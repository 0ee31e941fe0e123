// What the files of the Python module share. Each binds one area: check, borrow, release the GIL, call.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <unistd.h>

#include <memory>
#include <utility>

#include "shoal/dataset.h"

namespace shoal::bindings {

namespace py = pybind11;

// Never converted: arguments of these types are declared noconvert, so a float64 or strided array is a TypeError.
template <class T>
using Array = py::array_t<T, py::array::c_style>;

// The interpreter's lock is not held while this lives.
class Unlocked {
 public:
  Unlocked() : state_(PyEval_SaveThread()) {}
  ~Unlocked() {
    try {
      PyEval_RestoreThread(state_);
    } catch (...) {  // an interpreter that ends throws what ends a daemon thread; it may not pass a destructor
      while (true) pause();
    }
  }
  Unlocked(const Unlocked&) = delete;
  Unlocked& operator=(const Unlocked&) = delete;

 private:
  PyThreadState* state_;
};

// The base of an array that shows memory: the memory lives as long as any such array, whatever becomes of its member.
inline py::capsule share(std::shared_ptr<void> owner) {
  auto held = std::make_unique<std::shared_ptr<void>>(std::move(owner));
  py::capsule capsule(held.get(), [](void* pointer) { delete static_cast<std::shared_ptr<void>*>(pointer); });
  held.release();
  return capsule;
}

void bind_device(py::module_& module);
void bind_network(py::module_& module);
void bind_optimizer(py::module_& module);
void bind_dataset(py::module_& module);
void bind_device_array(py::module_& module);
void bind_device_view(py::module_& module);
void bind_population(py::module_& module);
void bind_curves(py::module_& module);

// A dataset together with the arrays it points into.
struct ArrayDataset {
  py::object x, scale, shift, labels, targets;
  Dataset view;
  int device = -1;  // the GPU in whose memory some of them are; -1: none
};

}  // namespace shoal::bindings
