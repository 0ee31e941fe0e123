// Forward passes over a whole dataset, in slices that any thread may take.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "engine/batch.h"
#include "kernels/moments.h"

namespace shoal {

using Workspace = std::function<float*(int rank)>;  // of forward_workspace() floats

std::int64_t forward_workspace(const Member& member, Loss loss);

// Of some samples through one member.
struct Sums {
  double loss = 0;
  std::int64_t correct = 0;  // cross_entropy
  Moments moments{};         // mse: of all outputs and targets as two series
};

// Where the scores of members go, (members,) each; what is null or does not belong to the loss is left out.
struct Scores {
  float* loss;
  float* accuracy;          // cross_entropy; an arg max with ties is the lowest index
  float *correlation, *r2;  // mse
};

// The scores of one member from the sums of its pieces of the data, added in their order.
void score(const std::vector<Sums>& sums, std::size_t member, std::int64_t pieces, const Data& data, Loss loss,
           std::int64_t outputs, const Scores& scores);

void evaluate(const Data& data, Loss loss, const std::vector<const Member*>& members, ThreadPool& pool,
              const Workspace& workspace, const Scores& scores);

// out (samples, outputs): probabilities for cross_entropy, values for mse.
void predict(const Data& data, Loss loss, const Member& member, ThreadPool& pool, const Workspace& workspace,
             float* out);

}  // namespace shoal
