// Where the gradients between stages lie while a step goes backward.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "engine/program.h"

namespace shoal {

struct GradientPlan {
  std::vector<std::int64_t> offset;  // by tensor, in floats; -1: not wanted
  std::int64_t floats = 0;
  // By stage: its input's, or its skip's gradient has been written before, so that it is added to.
  std::vector<bool> adds, adds_skip;
};

// `room`: floats of a tensor. together: stages through which slices pass one after the other count as one, which ends
// at the next normalisation; else each counts for itself. Gradients that never live together share memory.
GradientPlan plan_gradients(const Program& program, bool together,
                            const std::function<std::int64_t(const Tensor&)>& room);

}  // namespace shoal
