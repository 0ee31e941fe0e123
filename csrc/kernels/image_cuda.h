// What passes from tensor to tensor without weights: copies with an activation or dropout, sums of residuals, windows'
// maxima and means; and backward. Bound by memory: a warp takes one feature of 32 samples.
#pragma once

#include "kernels/finish_cuda.h"
#include "kernels/pool.h"
#include "kernels/window_cuda.h"

namespace shoal::cuda {

// Calls body(group, feature, lane) for every value of `groups` x `features`, neighbouring lanes side by side.
template <class Body>
SHOAL_DEVICE void for_values(const Team& team, int groups, int features, const Body& body) {
  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  for (int i = team.warp(); i < groups * features; i += team.warps()) body(i / features, i % features, lane);
}

// dy <- the gradient before activation and dropout.
SHOAL_OP void finish_backward(const Team& team, const Finisher& finisher, int groups, int features, const float* y,
                              float* dy) {
  for_values(team, groups, features, [&](int group, int feature, int lane) {
    const std::int64_t at = place(group, features, feature) + lane;
    dy[at] = finisher.backward(group * kLanes + lane, feature, y[at], dy[at]);
  });
}

// The feature of a skip of another size that is added to a feature of the image: every stride-th pixel; -1: none
// (ImageAdd in image.h).
SHOAL_DEVICE int skipped(const Grid& image, const Grid& skip, int feature) {
  const int pixel = image.by_channels.quotient(feature), channel = image.by_channels.rest(feature, pixel);
  if (channel >= skip.channels) return -1;
  const int row = image.by_width.quotient(pixel), column = image.by_width.rest(pixel, row);
  const int down = (skip.height + image.height - 1) / image.height;
  const int across = (skip.width + image.width - 1) / image.width;
  return (row * down * skip.width + column * across) * skip.channels + channel;
}

// y = finish(x + skip); x and y are of one size, skip may be null.
SHOAL_OP void add_forward(const Team& team, const Finisher& finisher, const Grid& image, const Grid& skip_image,
                          int groups, const float* x, const float* skip, float* y) {
  const int features = image.features();
  for_values(team, groups, features, [&](int group, int feature, int lane) {
    const std::int64_t at = place(group, features, feature) + lane;
    const int other = skip ? skipped(image, skip_image, feature) : -1;
    const float sum = other < 0 ? x[at] : x[at] + skip[place(group, skip_image.features(), other) + lane];
    y[at] = finisher.forward(group * kLanes + lane, feature, sum);
  });
}

// dx = dy, or is added to; `image` is dy's and dx's.
SHOAL_OP void pass_on(const Team& team, const Grid& image, int groups, const float* dy, bool add, float* dx) {
  const int features = image.features();
  for_values(team, groups, features, [&](int group, int feature, int lane) {
    const std::int64_t at = place(group, features, feature) + lane;
    dx[at] = add ? dx[at] + dy[at] : dy[at];
  });
}

// The same for a skip of another size: dy where it was taken, else 0.
SHOAL_OP void pass_on_skip(const Team& team, const Grid& image, const Grid& skip, int groups, const float* dy, bool add,
                           float* dskip) {
  const int down = (skip.height + image.height - 1) / image.height;
  const int across = (skip.width + image.width - 1) / image.width;
  const int features = skip.features();
  for_values(team, groups, features, [&](int group, int feature, int lane) {
    const int pixel = skip.by_channels.quotient(feature), channel = skip.by_channels.rest(feature, pixel);
    const int row = skip.by_width.quotient(pixel), column = skip.by_width.rest(pixel, row);
    float gradient = 0;
    if (row % down == 0 && column % across == 0) {
      const int from = (row / down * image.width + column / across) * image.channels + channel;
      gradient = dy[place(group, image.features(), from) + lane];
    }
    float& to = dskip[place(group, features, feature) + lane];
    to = add ? to + gradient : gradient;
  });
}

// ---- windows

struct Cut {
  int begin, end;
};

// The part of a window that lies in the image.
SHOAL_DEVICE Cut cut(int first, int kernel, int size) { return {max(first, 0), min(first + kernel, size)}; }

struct PoolPass {
  const Window& window;
  Pooling pooling;
  int groups;

  __device__ Cut rows(int row) const {
    return cut(row * window.stride_height - window.top, window.kernel_height, window.x.height);
  }
  __device__ Cut columns(int column) const {
    return cut(column * window.stride_width - window.left, window.kernel_width, window.x.width);
  }
  // Of x, one channel of one sample.
  __device__ std::int64_t at(int row, int column) const {
    return static_cast<std::int64_t>(row * window.x.width + column) * window.x.channels * kLanes;
  }
};

SHOAL_OP void pool_forward(const Team& team, const PoolPass& f, const Finisher& finisher, const float* x, float* y) {
  const Grid& out = f.window.y;
  for_values(team, f.groups, out.features(), [&](int group, int feature, int lane) {
    const int pixel = out.by_channels.quotient(feature), channel = out.by_channels.rest(feature, pixel);
    const int row = out.by_width.quotient(pixel);
    const Cut rows = f.rows(row), columns = f.columns(out.by_width.rest(pixel, row));
    const float* from = x + place(group, f.window.x.features(), channel) + lane;
    float value = f.pooling == Pooling::max ? -INFINITY : 0.0f;
    for (int r = rows.begin; r < rows.end; ++r) {
      for (int c = columns.begin; c < columns.end; ++c) {
        const float next = from[f.at(r, c)];
        // A NaN wins, so that a diverged member is seen to have diverged.
        if (f.pooling == Pooling::max) value = next > value || next != next ? next : value;
        if (f.pooling == Pooling::average) value += next;
      }
    }
    if (f.pooling == Pooling::average)
      value *= 1.0f / static_cast<float>((rows.end - rows.begin) * (columns.end - columns.begin));
    y[place(group, out.features(), feature) + lane] = finisher.forward(group * kLanes + lane, feature, value);
  });
}

// What the window of output (row, column) gives to its input (r, c): the mean's share, or all to the first maximum.
SHOAL_DEVICE float pool_share(const PoolPass& f, int row, int column, int r, int c, const float* x, float y, float dy) {
  const Cut rows = f.rows(row), columns = f.columns(column);
  if (f.pooling == Pooling::average)
    return dy * (1.0f / static_cast<float>((rows.end - rows.begin) * (columns.end - columns.begin)));
  for (int i = rows.begin; i < rows.end; ++i) {
    for (int j = columns.begin; j < columns.end; ++j) {
      if (x[f.at(i, j)] == y) return i == r && j == c ? dy : 0;
    }
  }
  return 0;
}

// Each input asks all windows that it is in, so that no two threads write to one place.
SHOAL_OP void pool_backward(const Team& team, const PoolPass& f, const float* x, const float* y, const float* dy,
                            bool add, float* dx) {
  const Window& w = f.window;
  const Grid &in = w.x, &out = w.y;
  const auto first = [](int at, int kernel, const Divider& stride) {
    return at < kernel ? 0 : stride.quotient(at - kernel) + 1;
  };
  for_values(team, f.groups, in.features(), [&](int group, int feature, int lane) {
    const int pixel = in.by_channels.quotient(feature), channel = in.by_channels.rest(feature, pixel);
    const int row = in.by_width.quotient(pixel), column = in.by_width.rest(pixel, row);
    const float* from = x + place(group, in.features(), channel) + lane;
    float sum = 0;
    const int last_row = min(w.by_stride_height.quotient(row + w.top), out.height - 1);
    const int last_column = min(w.by_stride_width.quotient(column + w.left), out.width - 1);
    for (int r = first(row + w.top, w.kernel_height, w.by_stride_height); r <= last_row; ++r) {
      for (int c = first(column + w.left, w.kernel_width, w.by_stride_width); c <= last_column; ++c) {
        const std::int64_t at = place(group, out.features(), (r * out.width + c) * out.channels + channel) + lane;
        sum += pool_share(f, r, c, row, column, from, y[at], dy[at]);
      }
    }
    float& to = dx[place(group, in.features(), feature) + lane];
    to = add ? to + sum : sum;
  });
}

}  // namespace shoal::cuda
