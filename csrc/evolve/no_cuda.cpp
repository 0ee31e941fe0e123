// In place of cuda_curves.cu, in a build without CUDA.
#include "evolve/cuda_curves.h"
#include "shoal/device.h"
#include "shoal/error.h"

namespace shoal {

void nearest_curves_on_gpu(const NearestCurves& task) {
  throw DeviceError("there is no device \"" + task.device + "\": " + why_no_gpu());
}

}  // namespace shoal
