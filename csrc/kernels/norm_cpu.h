// Batch normalisation on the CPU. Threads share out the channels, so that each sum has one owner. Bound by memory.
#pragma once

#include "kernels/dense.h"
#include "kernels/image_cpu.h"
#include "kernels/norm.h"

namespace shoal::SHOAL_ISA {

// Vectors that hold a slice's values of one channel (images: a vector for every pixel and group, one channel) or of W
// channels (rows: a vector for every sample).
struct Values {
  std::int64_t samples, count, step;  // step: floats from one to the next
  std::int64_t pixels;                // of a group; rows: 1

  Values(const NormShape& s, std::int64_t samples_)
      : samples(samples_),
        count(s.rows ? samples_ : groups_of(samples_) * s.image.pixels()),
        step(s.rows ? padded(s.image.channels) : pixel_vectors(s.image.channels) * W),
        pixels(s.rows ? 1 : s.image.pixels()) {}
};

constexpr int kChannels = 8;  // a pass reads so many neighbouring channels of images at a time: whole runs of memory

// Calls body(offset, inside) for the vectors of one channel (rows: W channels), `inside` being the lanes that count.
template <bool rows, class Body>
SHOAL_INLINE void for_values(const Values& v, const Body& body) {
  const std::int64_t whole = rows ? v.count : v.samples / W * v.pixels;
  for (std::int64_t i = 0; i < whole; ++i) body(i * v.step, vi{} - 1);
  const vi inside = lanes_below(v.samples % W);
  for (std::int64_t i = whole; i < v.count; ++i) body(i * v.step, inside);
}

// Calls body.template operator()<C>(first channel) for runs of at most kChannels channels of this thread's share.
template <int C = kChannels, class Body>
SHOAL_INLINE void for_channels(Range mine, const Body& body) {
  while (mine.end - mine.begin >= C) {
    body.template operator()<C>(mine.begin);
    mine.begin += C;
  }
  if constexpr (C > 1) {
    if (mine.begin < mine.end) for_channels<C / 2>(mine, body);
  }
}

// One number by channel: the same in all lanes (images), or one a lane (rows).
template <bool rows>
SHOAL_INLINE vf by_channel(const float* p) {
  return rows ? load_unaligned(p) : splat(*p);
}

// Runs body<rows, C>(first channel) over the share of images (C channels of one lane-sum each) or rows (W channels).
template <class Body>
SHOAL_INLINE void for_norm(const NormShape& s, int rank, int size, const Body& body) {
  if (s.rows) {
    const Range mine = share(padded(s.image.channels) / kPad, rank, size);
    for (std::int64_t c = mine.begin * kPad; c < mine.end * kPad; c += W) body.template operator()<true, 1>(c);
  } else {
    for_channels(share(s.image.channels, rank, size),
                 [&]<int C>(std::int64_t first) { body.template operator()<false, C>(first); });
  }
}

// Offset of a channel's first value.
template <bool rows>
SHOAL_INLINE std::int64_t channel_at(std::int64_t channel) {
  return rows ? channel : channel * W;
}

// Sums over lanes for images; one sum a lane for rows. Stored as count doubles, count = 1 or W.
template <bool rows>
SHOAL_INLINE void channel_sums(vf v, double* sums) {
  if constexpr (rows) {
    for (int l = 0; l < W; ++l) sums[l] = v[l];
  } else {
    sums[0] = sum_lanes(v);
  }
}

template <bool rows, int C>
static void norm_statistics_of(const NormStatistics& f, std::int64_t first) {
  const Values values(f.shape, f.samples);
  const double pixels = f.shape.rows ? 1.0 : static_cast<double>(f.shape.image.pixels());
  const double n = static_cast<double>(f.samples) * pixels, before = static_cast<double>(f.before) * pixels;
  const float* x = f.x + channel_at<rows>(first);
  vf sum[C] = {};
  for_values<rows>(values, [&](std::int64_t at, vi inside) {
    SHOAL_UNROLL
    for (int c = 0; c < C; ++c) sum[c] += select(inside, load(x + at + c * W), vf{});
  });
  constexpr int kCount = rows ? W : 1;
  double slice_mean[C][kCount], squares[C][kCount];
  vf centre[C], square[C] = {};
  for (int c = 0; c < C; ++c) {
    channel_sums<rows>(sum[c], slice_mean[c]);
    float centres[W];
    for (int l = 0; l < W; ++l) {
      if (l < kCount) slice_mean[c][l] /= n;
      centres[l] = static_cast<float>(slice_mean[c][l % kCount]);
    }
    centre[c] = load_unaligned(centres);
  }
  for_values<rows>(values, [&](std::int64_t at, vi inside) {
    SHOAL_UNROLL
    for (int c = 0; c < C; ++c) {
      const vf d = select(inside, load(x + at + c * W) - centre[c], vf{});
      square[c] = fma(d, d, square[c]);
    }
  });
  for (int c = 0; c < C; ++c) {
    channel_sums<rows>(square[c], squares[c]);
    for (int l = 0; l < kCount; ++l) {
      float &mean = f.mean[first + c + l], &all = f.squares[first + c + l];
      const double delta = f.before == 0 ? 0 : slice_mean[c][l] - mean;
      all = static_cast<float>((f.before == 0 ? 0 : all) + squares[c][l] + delta * delta * before * n / (before + n));
      mean = static_cast<float>(f.before == 0 ? slice_mean[c][l] : mean + delta * n / (before + n));
    }
  }
}

static void norm_statistics(const NormStatistics& f, int rank, int size) {
  for_norm(f.shape, rank, size, [&]<bool rows, int C>(std::int64_t first) { norm_statistics_of<rows, C>(f, first); });
}

static void norm_forward(const NormForward& f, int rank, int size) {
  const Values values(f.shape, f.samples);
  for_activation(f.activation, [&]<Activation kind>() {
    for_norm(f.shape, rank, size, [&]<bool rows, int C>(std::int64_t first) {
      const float* x = f.x + channel_at<rows>(first);
      float* y = f.y + channel_at<rows>(first);
      vf mean[C], scale[C], bias[C];
      for (int c = 0; c < C; ++c) {
        mean[c] = by_channel<rows>(f.mean + first + c);
        scale[c] = by_channel<rows>(f.scale + first + c);
        bias[c] = by_channel<rows>(f.bias + first + c);
      }
      for (std::int64_t i = 0; i < values.count; ++i) {
        SHOAL_UNROLL
        for (int c = 0; c < C; ++c) {
          const vf v = fma(load(x + i * values.step + c * W) - mean[c], scale[c], bias[c]);
          store(y + i * values.step + c * W, activate<kind>(v, f.slope));
        }
      }
    });
  });
}

static void norm_backward_sums(const NormBackwardSums& f, int rank, int size) {
  const Values values(f.shape, f.samples);
  for_activation(f.activation, [&]<Activation kind>() {
    for_norm(f.shape, rank, size, [&]<bool rows, int C>(std::int64_t first) {
      const std::int64_t begin = channel_at<rows>(first);
      vf mean[C], inverse[C], sum[C] = {}, product[C] = {};
      for (int c = 0; c < C; ++c) {
        mean[c] = by_channel<rows>(f.mean + first + c);
        inverse[c] = by_channel<rows>(f.inverse + first + c);
      }
      for (std::int64_t i = 0; i < values.count; ++i) {  // dy is zero in lanes without a sample
        SHOAL_UNROLL
        for (int c = 0; c < C; ++c) {
          const std::int64_t at = begin + i * values.step + c * W;
          vf dy = load(f.dy + at);
          if constexpr (kind != Activation::identity) {
            dy = differentiate<kind>(dy, load(f.y + at), f.slope);
            store(f.dy + at, dy);
          }
          sum[c] += dy;
          product[c] = fma(dy, (load(f.x + at) - mean[c]) * inverse[c], product[c]);
        }
      }
      for (int c = 0; c < C; ++c) {
        double sums[W], products[W];
        channel_sums<rows>(sum[c], sums);
        channel_sums<rows>(product[c], products);
        for (int l = 0; l < (rows ? W : 1); ++l) {
          f.sum_dy[first + c + l] += static_cast<float>(sums[l]);
          f.sum_dy_xhat[first + c + l] += static_cast<float>(products[l]);
        }
      }
    });
  });
}

static void norm_backward_data(const NormBackwardData& f, int rank, int size) {
  const Values values(f.shape, f.samples);
  for_norm(f.shape, rank, size, [&]<bool rows, int C>(std::int64_t first) {
    const std::int64_t begin = channel_at<rows>(first);
    vf mean[C], inverse[C], scale[C], mean_dy[C], mean_product[C];
    for (int c = 0; c < C; ++c) {
      mean[c] = by_channel<rows>(f.mean + first + c);
      inverse[c] = by_channel<rows>(f.inverse + first + c);
      scale[c] = by_channel<rows>(f.scale + first + c);
      mean_dy[c] = by_channel<rows>(f.mean_dy + first + c);
      mean_product[c] = by_channel<rows>(f.mean_dy_xhat + first + c);
    }
    for_values<rows>(values, [&](std::int64_t at, vi inside) {
      SHOAL_UNROLL
      for (int c = 0; c < C; ++c) {
        const std::int64_t here = begin + at + c * W;
        const vf xhat = (load(f.x + here) - mean[c]) * inverse[c];
        const vf dx = scale[c] * (load(f.dy + here) - fma(xhat, mean_product[c], mean_dy[c]));
        const vf counted = select(inside, dx, vf{});
        store(f.dx + here, f.add ? load(f.dx + here) + counted : counted);
      }
    });
  });
}

}  // namespace shoal::SHOAL_ISA
