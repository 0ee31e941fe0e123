// Random crop and mirror of images, drawn anew for each sample of each batch (after He et al. 2016).
#pragma once

#include <cstdint>

#include "core/rng.h"

namespace shoal {

struct Augmentation {
  std::int64_t pad;  // in [0, 2^31): a shift by up to so many pixels each way, as if cropped from a padded image
  bool flip;         // half of the images are mirrored, left to right
  PhiloxKey key;
  std::uint32_t step;
};

// Copies one image (height, width, channels), shifted and mirrored as sample `row` of the batch at that step:
//   to[h][w] = from[h + dy][w' + dx], w' = mirrored ? width - 1 - w : w, and 0 where that lies outside.
// dy, dx and `mirrored` follow from the first three words of philox({0, row, step, augment}, key). The arrays must not
// overlap. T is std::uint8_t or float, the dataset's own type: a zero is a raw one, before normalisation.
template <class T>
void augment(const Augmentation& a, std::int64_t height, std::int64_t width, std::int64_t channels, std::uint32_t row,
             const T* from, T* to);

}  // namespace shoal
