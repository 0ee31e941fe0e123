// Images of several samples with the samples in the lanes: (groups, height, width, pixel_vectors(channels), W), W
// samples a group. Whatever the channels, kernel, stride and padding, all lanes work and nothing is masked; W comes
// from the instruction set. The lanes of a last, short group hold copies of a sample, and no gradient.
//
// Features of a sample count as everywhere: (row width + column) channels + channel.
#pragma once

#include <cstdint>

#include "kernels/finish.h"
#include "shoal/dataset.h"

namespace shoal {

struct Image {
  std::int64_t height = 1, width = 1, channels = 1;
  std::int64_t pixels() const { return height * width; }
  std::int64_t features() const { return pixels() * channels; }
  bool operator==(const Image&) const = default;
};

// Vectors from one pixel to the next. Odd, so that neighbouring pixels fall into different sets of the cache.
inline std::int64_t pixel_vectors(std::int64_t channels) { return channels | 1; }
inline std::int64_t image_vectors(const Image& image) { return image.pixels() * pixel_vectors(image.channels); }

// As BatchGather, the inputs only.
struct ImageGather {
  const Dataset* data;
  Image image;
  const float *scale, *shift;
  std::int64_t rows;
  const std::uint32_t* index;
  float* x;
};

// Between images and rows of features, padded(features) apart.
struct ImageRows {
  Image image;
  std::int64_t rows;
  const float* from;
  float* to;
  bool add;  // to what is there; images only
};

// Activation and dropout, or their derivative, as Finish; `first_row` is the first sample's place in the batch.
struct ImageFinish {
  Image image;
  std::int64_t groups, first_row;
  Activation activation;
  float slope;
  Dropout dropout;
  float *y, *dy;
};

// y = activation(x + skip), where skip is an image of the same size, or a larger one with at most as many channels:
// then of every (skip.height / height rounded up)-th pixel, and zero in the channels that it has not.
struct ImageAdd {
  Image image, skip_image;
  std::int64_t groups;
  const float *x, *skip;
  Activation activation;
  float slope;
  float* y;
};

// The gradient by the skip: dy where it was taken, else zero; or added.
struct ImageAddBackward {
  Image image, skip_image;
  std::int64_t groups;
  const float* dy;
  bool add;
  float* dskip;
};

}  // namespace shoal
