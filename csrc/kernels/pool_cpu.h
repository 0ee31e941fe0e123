// Pooling on the CPU, bound by the traffic of its larger side.
#pragma once

#include "kernels/pool.h"
#include "kernels/simd.h"

namespace shoal::SHOAL_ISA {

// The part of a window that lies in the image.
struct Window {
  Range rows, columns;
  std::int64_t size() const { return (rows.end - rows.begin) * (columns.end - columns.begin); }
};

SHOAL_INLINE Range overlap(std::int64_t first, std::int64_t kernel, std::int64_t size) {
  return {first > 0 ? first : 0, first + kernel < size ? first + kernel : size};
}

SHOAL_INLINE Window window_of(const ConvShape& s, std::int64_t row, std::int64_t column) {
  return {overlap(row * s.stride_height - s.top, s.kernel_height, s.x.height),
          overlap(column * s.stride_width - s.left, s.kernel_width, s.x.width)};
}

// Calls body(offset in x of a pixel) for every pixel of the window, row by row.
template <class Body>
SHOAL_INLINE void for_window(const ConvShape& s, const Window& w, const Body& body) {
  for (std::int64_t row = w.rows.begin; row < w.rows.end; ++row) {
    for (std::int64_t column = w.columns.begin; column < w.columns.end; ++column) {
      body((row * s.x.width + column) * pixel_vectors(s.x.channels) * W);
    }
  }
}

template <Pooling kind>
static void pool_pixel(const ConvShape& s, const Window& window, const float* x, float* y) {
  for (std::int64_t c = 0; c < s.y.channels; ++c) {
    vf v = kind == Pooling::max ? splat(-__builtin_inff()) : vf{};
    for_window(s, window, [&](std::int64_t at) {
      const vf next = load(x + at + c * W);
      // A NaN wins, so that a diverged member is seen to have diverged.
      v = kind == Pooling::max ? select((next > v) | (next != next), next, v) : v + next;
    });
    store(y + c * W, kind == Pooling::max ? v : v * (1.0f / static_cast<float>(window.size())));
  }
}

static void pool_forward(const PoolForward& f, int rank, int size) {
  const ConvShape& s = f.shape;
  const Range mine = share(f.groups * s.y.pixels(), rank, size);
  for (std::int64_t t = mine.begin; t < mine.end; ++t) {
    const std::int64_t pixel = t % s.y.pixels();
    const Window window = window_of(s, pixel / s.y.width, pixel % s.y.width);
    const float* x = f.x + t / s.y.pixels() * image_vectors(s.x) * W;
    float* y = f.y + t * pixel_vectors(s.y.channels) * W;
    f.pooling == Pooling::max ? pool_pixel<Pooling::max>(s, window, x, y)
                              : pool_pixel<Pooling::average>(s, window, x, y);
  }
}

// Adds a pixel's gradient to the window of one channel.
template <Pooling kind>
SHOAL_INLINE void unpool(const ConvShape& s, const Window& window, const float* x, vf y, vf dy, float* dx) {
  if constexpr (kind == Pooling::average) {
    const vf part = dy * (1.0f / static_cast<float>(window.size()));
    for_window(s, window, [&](std::int64_t at) { store(dx + at, load(dx + at) + part); });
  } else {
    vi open = vi{} - 1;
    for_window(s, window, [&](std::int64_t at) {
      const vi here = open & (load(x + at) == y);
      open &= ~here;
      store(dx + at, load(dx + at) + select(here, dy, vf{}));
    });
  }
}

static void pool_backward(const PoolBackward& f, int rank, int size) {
  const ConvShape& s = f.shape;
  const Range channels = share(s.x.channels, rank, size);  // windows may share pixels, channels do not
  const std::int64_t x_step = pixel_vectors(s.x.channels) * W, y_step = pixel_vectors(s.y.channels) * W;
  for (std::int64_t group = 0; group < f.groups; ++group) {
    const float* x = f.x + group * image_vectors(s.x) * W;
    float* dx = f.dx + group * image_vectors(s.x) * W;
    for (std::int64_t pixel = 0; !f.add && pixel < s.x.pixels(); ++pixel) {
      for (std::int64_t c = channels.begin; c < channels.end; ++c) store(dx + pixel * x_step + c * W, vf{});
    }
    for (std::int64_t pixel = 0; pixel < s.y.pixels(); ++pixel) {
      const Window window = window_of(s, pixel / s.y.width, pixel % s.y.width);
      const std::int64_t at = group * image_vectors(s.y) * W + pixel * y_step;
      for (std::int64_t c = channels.begin; c < channels.end; ++c) {
        const vf dy = load(f.dy + at + c * W);
        if (f.pooling == Pooling::max) {
          unpool<Pooling::max>(s, window, x + c * W, load(f.y + at + c * W), dy, dx + c * W);
        } else {
          unpool<Pooling::average>(s, window, x + c * W, vf{}, dy, dx + c * W);
        }
      }
    }
  }
}

}  // namespace shoal::SHOAL_ISA
