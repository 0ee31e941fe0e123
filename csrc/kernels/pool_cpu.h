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

// Calls body(offset in x of a pixel) for every pixel of the window, row by row. Windows of size x size pixels, if size
// is not 0, so that the loops vanish.
template <int size, class Body>
SHOAL_INLINE void for_window(const ConvShape& s, const Window& w, const Body& body) {
  const std::int64_t step = pixel_vectors(s.x.channels) * W,
                     first = (w.rows.begin * s.x.width + w.columns.begin) * step;
  const std::int64_t rows = size ? size : w.rows.end - w.rows.begin;
  const std::int64_t columns = size ? size : w.columns.end - w.columns.begin;
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t column = 0; column < columns; ++column) body(first + (row * s.x.width + column) * step);
  }
}

// Calls body.template operator()<size>() for the usual size, or 0.
template <class Body>
SHOAL_INLINE void for_size(const Window& w, const Body& body) {
  const bool two = w.rows.end - w.rows.begin == 2 && w.columns.end - w.columns.begin == 2;
  two ? body.template operator()<2>() : body.template operator()<0>();
}

template <Pooling kind, int size>
SHOAL_INLINE void pool_pixel(const ConvShape& s, const Window& window, const float* x, float* y) {
  for (std::int64_t c = 0; c < s.y.channels; ++c) {
    vf v = kind == Pooling::max ? splat(-__builtin_inff()) : vf{};
    for_window<size>(s, window, [&](std::int64_t at) {
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
    for_size(window, [&]<int size>() {
      f.pooling == Pooling::max ? pool_pixel<Pooling::max, size>(s, window, x, y)
                                : pool_pixel<Pooling::average, size>(s, window, x, y);
    });
  }
}

// Writes a pixel's gradient to the window of one channel, or adds it.
template <Pooling kind, bool add, int size>
SHOAL_INLINE void unpool(const ConvShape& s, const Window& window, const float* x, vf y, vf dy, float* dx) {
  const vf part = dy * (1.0f / static_cast<float>(window.size()));
  vi open = vi{} - 1;  // lanes whose maximum has not been met
  for_window<size>(s, window, [&](std::int64_t at) {
    vf v = part;
    if constexpr (kind == Pooling::max) {
      const vi here = open & (load(x + at) == y);
      open &= ~here;
      v = select(here, dy, vf{});
    }
    store(dx + at, add ? load(dx + at) + v : v);
  });
}

// Every pixel of x is in one window.
SHOAL_INLINE bool windows_tile(const ConvShape& s) {
  return s.stride_height == s.kernel_height && s.stride_width == s.kernel_width && s.top == 0 && s.left == 0 &&
         s.y.height * s.kernel_height == s.x.height && s.y.width * s.kernel_width == s.x.width;
}

template <Pooling kind, bool add>
static void unpool_channels(const PoolBackward& f, std::int64_t group, Range channels) {
  const ConvShape& s = f.shape;
  const std::int64_t from = group * image_vectors(s.x) * W, to = group * image_vectors(s.y) * W;
  for (std::int64_t pixel = 0; pixel < s.y.pixels(); ++pixel) {
    const Window window = window_of(s, pixel / s.y.width, pixel % s.y.width);
    const std::int64_t at = to + pixel * pixel_vectors(s.y.channels) * W;
    for_size(window, [&]<int size>() {
      for (std::int64_t c = channels.begin * W; c < channels.end * W; c += W) {
        const vf y = kind == Pooling::max ? load(f.y + at + c) : vf{};
        unpool<kind, add, size>(s, window, f.x + from + c, y, load(f.dy + at + c), f.dx + from + c);
      }
    });
  }
}

static void clear_channels(const PoolBackward& f, std::int64_t group, Range channels) {
  const Image& image = f.shape.x;
  for (std::int64_t pixel = group * image.pixels(); pixel < (group + 1) * image.pixels(); ++pixel) {
    float* dx = f.dx + pixel * pixel_vectors(image.channels) * W;
    for (std::int64_t c = channels.begin * W; c < channels.end * W; c += W) store(dx + c, vf{});
  }
}

static void pool_backward(const PoolBackward& f, int rank, int size) {
  const Range channels = share(f.shape.x.channels, rank, size);  // windows may share pixels, channels do not
  const bool store_only = !f.add && windows_tile(f.shape), max = f.pooling == Pooling::max;
  for (std::int64_t group = 0; group < f.groups; ++group) {
    if (store_only) {
      max ? unpool_channels<Pooling::max, false>(f, group, channels)
          : unpool_channels<Pooling::average, false>(f, group, channels);
    } else {
      if (!f.add) clear_channels(f, group, channels);
      max ? unpool_channels<Pooling::max, true>(f, group, channels)
          : unpool_channels<Pooling::average, true>(f, group, channels);
    }
  }
}

}  // namespace shoal::SHOAL_ISA
