#include "shoal/curves.h"

#include <string>

#include "bindings.h"
#include "shoal/error.h"

namespace shoal::bindings {
namespace {

Curves rows_of(const Array<double>& curves, const char* name) {
  require(curves.ndim() == 2, std::string(name) + " must have two axes, (curves, points)");
  return {curves.shape(0), curves.data()};
}

py::tuple nearest(const Array<double>& curves, const Array<double>& library, Distance distance, std::int64_t neighbours,
                  int threads) {
  NearestCurves task{.distance = distance,
                     .points = 0,
                     .queries = rows_of(curves, "curves"),
                     .stored = rows_of(library, "library"),
                     .neighbours = neighbours,
                     .threads = threads};
  task.points = curves.shape(1);
  require(library.shape(1) == task.points, "library has " + std::to_string(library.shape(1)) +
                                               " points, expected as many as curves, " + std::to_string(task.points));
  require(neighbours >= 1, "neighbours must be >= 1, got " + std::to_string(neighbours));
  Array<std::int64_t> index({task.queries.count, neighbours});
  Array<double> distances({task.queries.count, neighbours});
  task.index = index.mutable_data();
  task.distances = distances.mutable_data();
  {
    py::gil_scoped_release unlocked;
    nearest_curves(task);
  }
  return py::make_tuple(index, distances);
}

}  // namespace

void bind_curves(py::module_& module) {
  py::enum_<Distance>(module, "Distance")
      .value("l1", Distance::l1)
      .value("l2", Distance::l2)
      .value("linf", Distance::linf)
      .value("cosine", Distance::cosine)
      .value("scaled", Distance::scaled);
  module.def("nearest_curves", &nearest, py::arg("curves").noconvert(), py::arg("library").noconvert(),
             py::arg("distance"), py::arg("neighbours"), py::arg("threads") = 0);
}

}  // namespace shoal::bindings
