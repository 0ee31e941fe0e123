// Images on the GPU, and the ways of kernels and windows over them.
//
// Values between stages are (groups, features, 32): 32 samples of the batch side by side, so that a warp reads and
// writes them together, whatever the channels. Features of a sample count as everywhere: (row width + column) channels
// + channel. A row of features is an image of one pixel, and a dense layer a convolution of it.
#pragma once

#include "kernels/conv.h"
#include "kernels/device.h"

namespace shoal::cuda {

inline constexpr int kLanes = 32;  // samples of a group

SHOAL_DEVICE std::int64_t place(int group, int features, int feature) {
  return (static_cast<std::int64_t>(group) * features + feature) * kLanes;
}

struct Grid {
  int height = 1, width = 1, channels = 1;
  Divider by_width, by_pixels, by_channels;

  Grid() = default;
  explicit Grid(const Image& image)
      : height(static_cast<int>(image.height)),
        width(static_cast<int>(image.width)),
        channels(static_cast<int>(image.channels)),
        by_width(image.width),
        by_pixels(image.pixels()),
        by_channels(image.channels) {}

  __device__ int pixels() const { return height * width; }
  __device__ int features() const { return height * width * channels; }
};

// ConvShape (conv.h) with what the kernels divide by.
struct Window {
  Grid x, y;
  int kernel_height = 1, kernel_width = 1, stride_height = 1, stride_width = 1, top = 0, left = 0;
  Divider by_kernel_width, by_stride_height, by_stride_width;

  Window() = default;
  explicit Window(const ConvShape& s)
      : x(s.x),
        y(s.y),
        kernel_height(static_cast<int>(s.kernel_height)),
        kernel_width(static_cast<int>(s.kernel_width)),
        stride_height(static_cast<int>(s.stride_height)),
        stride_width(static_cast<int>(s.stride_width)),
        top(static_cast<int>(s.top)),
        left(static_cast<int>(s.left)),
        by_kernel_width(s.kernel_width),
        by_stride_height(s.stride_height),
        by_stride_width(s.stride_width) {}

  __device__ int taps() const { return kernel_height * kernel_width; }
};

// A pixel of a group of samples; m counts (group, pixel, lane).
struct Pixel {
  int group, row, column, lane;

  __device__ Pixel(const Grid& grid, int m) {
    const int at = m / kLanes;
    lane = m % kLanes;
    group = grid.by_pixels.quotient(at);
    const int pixel = grid.by_pixels.rest(at, group);
    row = grid.by_width.quotient(pixel);
    column = grid.by_width.rest(pixel, row);
  }
};

}  // namespace shoal::cuda
