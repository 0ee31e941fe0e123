// Forward passes over a whole dataset, in slices that any thread may take.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "engine/batch.h"

namespace shoal {

using Workspace = std::function<float*(int rank)>;  // of forward_workspace() floats

std::int64_t forward_workspace(const Member& member, Loss loss);

// Means over the data: loss (members,), and accuracy (members,) unless null or the loss is mse. An arg max with
// ties is the lowest index.
void evaluate(const Data& data, Loss loss, const std::vector<const Member*>& members, ThreadPool& pool,
              const Workspace& workspace, float* losses, float* accuracy);

// out (samples, outputs): probabilities for cross_entropy, values for mse.
void predict(const Data& data, Loss loss, const Member& member, ThreadPool& pool, const Workspace& workspace,
             float* out);

}  // namespace shoal
