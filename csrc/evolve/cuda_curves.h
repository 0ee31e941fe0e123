// The nearest curves on a GPU.
#pragma once

#include "shoal/curves.h"

namespace shoal {

// As nearest_curves. Throws DeviceError where there is no such device, or no CUDA in this build.
void nearest_curves_on_gpu(const NearestCurves& task);

}  // namespace shoal
