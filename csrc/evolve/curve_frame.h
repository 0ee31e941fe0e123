// Where the stored curves lie, so that small differences keep their digits and most curves need no distance.
#pragma once

#include <vector>

#include "evolve/curve_rows.h"

namespace shoal {

// Of the stored curves, each times its factor.
struct CurveFrame {
  std::vector<double> mean;  // at each point
  std::vector<double> line;  // the direction v of levels: about that in which they differ most
};

CurveFrame frame_of(const CurveRows& rows, const CurveBounds& bounds);

}  // namespace shoal
