#include "shoal/curves.h"

#include <string>
#include <utility>
#include <variant>

#include "bindings.h"
#include "device_view.h"
#include "shoal/error.h"

namespace shoal::bindings {
namespace {

using CurveArray = std::variant<Array<double>, DeviceView>;

struct CurveSet {
  Curves curves;
  std::int64_t points;
};

CurveSet curves_of(const CurveArray& array, const std::string& device, const std::string& name) {
  if (const auto* const host = std::get_if<Array<double>>(&array)) {
    require(host->ndim() == 2, name + " must have two axes, (curves, points)");
    return {{host->shape(0), host->data()}, host->shape(1)};
  }
  const auto& view = std::get<DeviceView>(array);
  require(view.device_name() == device, name + " are in the memory of " + view.device_name() + ", device is " + device);
  require(view.shape.size() == 2, name + " must have two axes, (curves, points)");
  require(view.as<double>("float64"), name + " must be float64, got " + view.type);
  return {{view.shape[0], view.as<double>("float64")}, view.shape[1]};
}

py::tuple nearest(const CurveArray& curves, const CurveArray& library, Distance distance, std::int64_t neighbours,
                  int threads, std::string device) {
  const auto [queries, points] = curves_of(curves, device, "curves");
  const auto [stored, stored_points] = curves_of(library, device, "library");
  require(stored_points == points, "library has " + std::to_string(stored_points) +
                                       " points, expected as many as curves, " + std::to_string(points));
  require(neighbours >= 1, "neighbours must be >= 1, got " + std::to_string(neighbours));
  Array<std::int64_t> index({queries.count, neighbours});
  Array<double> distances({queries.count, neighbours});
  const NearestCurves task{.distance = distance,
                           .points = points,
                           .queries = queries,
                           .stored = stored,
                           .neighbours = neighbours,
                           .threads = threads,
                           .index = index.mutable_data(),
                           .distances = distances.mutable_data(),
                           .device = std::move(device)};
  {
    const Unlocked unlocked;
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
             py::arg("distance"), py::arg("neighbours"), py::arg("threads") = 0, py::arg("device") = "cpu");
}

}  // namespace shoal::bindings
