// Hyperparameters that may change between steps, by name: crossed, and perturbed (explored, in the words of Jaderberg et al.
// 2017). They are few numbers, kept in the processor's memory and handed to each launch, so that every device gets the
// same values from the same code. Draw h of a member is that of the h-th name, counter (h, 0, step).
#pragma once

#include <cstdint>
#include <vector>

#include "core/rng.h"
#include "shoal/optimizer.h"
#include "shoal/population.h"

namespace shoal {

// Each hyperparameter of the result is the second's where its draw is below `share` of 2^32, else the first's.
Hyperparameters cross(const Hyperparameters& first, const Hyperparameters& second, std::uint64_t share, PhiloxKey key,
                      std::uint32_t step);

Hyperparameters perturb(Hyperparameters values, const Perturbation& how, PhiloxKey key, std::uint32_t step);

// Throws InvalidArgument where a rule is broken that does not depend on the member.
void check(const Perturbation& how);

// The values with every perturbed one at an end of its range.
Hyperparameters at_end(Hyperparameters values, const Perturbation& how, double HotRange::* end);

}  // namespace shoal
