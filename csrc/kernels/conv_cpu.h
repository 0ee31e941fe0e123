// Convolutions on the CPU. Forward and backward by data are one register tile: outputs of M channels at N pixels, a
// weight broadcast to all samples for every M N multiply-adds. Backward by weights is another: M filters times N
// inputs, summed over pixels and then over samples. Bound by FMA: the N (or M + N) vectors a step come from L1 and L2.
#pragma once

#include "kernels/conv.h"
#include "kernels/dense.h"
#include "kernels/finish_cpu.h"
#include "kernels/simd.h"

namespace shoal::SHOAL_ISA {

constexpr int kConvM = W >= 16 ? 6 : 4, kConvN = W >= 16 ? 4 : 3;

// `count` things in tiles of at most `most`, as equal as can be.
struct Tiles {
  std::int64_t count, tiles;
  Tiles(std::int64_t count_, std::int64_t most) : count(count_), tiles((count_ + most - 1) / most) {}
  std::int64_t begin(std::int64_t t) const { return count * t / tiles; }
  int size(std::int64_t t) const { return static_cast<int>(begin(t + 1) - begin(t)); }
};

// What a tap outside of the image reads, kZeroChannels channels at a time.
constexpr std::int64_t kZeroChannels = 64;
alignas(64) static const float kZeros[kZeroChannels * W] = {};

// Calls body.template operator()<M, N>() for sizes known at run time only.
template <int M, int N, class Body>
SHOAL_INLINE void for_tile(int m, int n, const Body& body) {
  if (m == M && n == N) return body.template operator()<M, N>();
  if constexpr (M > 1) {
    if (m < M) return for_tile<M - 1, N>(m, n, body);
  }
  if constexpr (N > 1) {
    if (n < N) return for_tile<M, N - 1>(m, n, body);
  }
}

static void conv_pack(const ConvPack& f) {
  const ConvShape& s = f.shape;
  const std::int64_t filters = s.y.channels, channels = s.x.channels, stride = padded(s.inputs());
  const Tiles forward(filters, kConvM), backward(channels, kConvM);
  float* to = f.forward;
  for (std::int64_t t = 0; t < forward.tiles; ++t) {
    for (std::int64_t k = 0; k < s.inputs(); ++k) {
      for (int m = 0; m < forward.size(t); ++m) *to++ = f.weight[(forward.begin(t) + m) * stride + k];
    }
  }
  to = f.backward;
  for (std::int64_t t = 0; to && t < backward.tiles; ++t) {
    for (std::int64_t tap = 0; tap < s.taps(); ++tap) {
      for (std::int64_t o = 0; o < filters; ++o) {
        const float* from = f.weight + o * stride + tap * channels + backward.begin(t);
        for (int m = 0; m < backward.size(t); ++m) *to++ = from[m];
      }
    }
  }
}

// sum[m][n] += sum_c weight[c][m] from[n][c]; a null from[n] stands for zeros.
template <int M, int N>
SHOAL_INLINE void multiply_tap(vf (&sum)[M][N], const float* const (&from)[N], const float* weight,
                               std::int64_t channels) {
  for (std::int64_t first = 0; first < channels; first += kZeroChannels) {
    const float* x[N];
    SHOAL_UNROLL
    for (int n = 0; n < N; ++n) x[n] = from[n] ? from[n] + first * W : kZeros;
    const std::int64_t end = channels - first < kZeroChannels ? channels - first : kZeroChannels;
    for (std::int64_t c = 0; c < end; ++c, weight += M) {
      vf xs[N];
      SHOAL_UNROLL
      for (int n = 0; n < N; ++n) xs[n] = load(x[n] + c * W);
      SHOAL_UNROLL
      for (int m = 0; m < M; ++m) {
        const vf w = splat(weight[m]);
        SHOAL_UNROLL
        for (int n = 0; n < N; ++n) sum[m][n] = fma(w, xs[n], sum[m][n]);
      }
    }
  }
}

SHOAL_INLINE bool within(std::int64_t i, std::int64_t size) {
  return static_cast<std::uint64_t>(i) < static_cast<std::uint64_t>(size);
}

// ---- forward
// -------------------------------------------------------------------------------------------------------------

// Outputs of M filters from `filter` on at N pixels from `pixel` on, of one group.
template <int M, int N>
static void forward_tile(const ConvForward& f, const float* x, const float* packed, std::int64_t filter,
                         std::int64_t pixel, float* y) {
  const ConvShape& s = f.shape;
  const std::int64_t step = pixel_vectors(s.x.channels) * W;
  std::int64_t row[N], column[N];
  bool interior = true;
  for (std::int64_t n = 0, h = pixel / s.y.width, w = pixel % s.y.width; n < N; ++n) {
    row[n] = h * s.stride_height - s.top;
    column[n] = w * s.stride_width - s.left;
    interior &= row[n] >= 0 && row[n] + s.kernel_height <= s.x.height;
    interior &= column[n] >= 0 && column[n] + s.kernel_width <= s.x.width;
    if (++w == s.y.width) ++h, w = 0;
  }
  vf sum[M][N] = {};
  // Inside of the image the taps of a kernel's row lie one after the other, if nothing lies between pixels.
  const bool whole_rows = interior && s.x.channels % 2 == 1;
  const std::int64_t taps = whole_rows ? 1 : s.kernel_width,
                     channels = whole_rows ? s.kernel_width * s.x.channels : s.x.channels;
  for (std::int64_t i = 0; i < s.kernel_height; ++i) {
    for (std::int64_t j = 0; j < taps; ++j, packed += M * channels) {
      const float* from[N];
      bool any = false;
      SHOAL_UNROLL
      for (int n = 0; n < N; ++n) {
        const bool inside = interior || (within(row[n] + i, s.x.height) && within(column[n] + j, s.x.width));
        from[n] = inside ? x + ((row[n] + i) * s.x.width + column[n] + j) * step : nullptr;
        any |= inside;
      }
      if (any) multiply_tap<M, N>(sum, from, packed, channels);
    }
  }
  for_activation(f.activation, [&]<Activation kind>() {
    SHOAL_UNROLL
    for (int m = 0; m < M; ++m) {
      const vf bias = f.bias ? splat(f.bias[filter + m]) : vf{};
      SHOAL_UNROLL
      for (int n = 0; n < N; ++n) {
        float* to = y + ((pixel + n) * pixel_vectors(s.y.channels) + filter + m) * W;
        store(to, activate<kind>(sum[m][n] + bias, f.slope));
      }
    }
  });
}

static void conv_forward(const ConvForward& f, int rank, int size) {
  const ConvShape& s = f.shape;
  const Tiles pixels(s.y.pixels(), kConvN), filters(s.y.channels, kConvM);
  const Range mine = share(f.groups * pixels.tiles, rank, size);
  for (std::int64_t t = mine.begin; t < mine.end; ++t) {
    const std::int64_t group = t / pixels.tiles, p = t % pixels.tiles;
    const float* x = f.x + group * image_vectors(s.x) * W;
    float* y = f.y + group * image_vectors(s.y) * W;
    for (std::int64_t o = 0; o < filters.tiles; ++o) {
      for_tile<kConvM, kConvN>(filters.size(o), pixels.size(p), [&]<int M, int N>() {
        forward_tile<M, N>(f, x, f.packed + filters.begin(o) * s.inputs(), filters.begin(o), pixels.begin(p), y);
      });
    }
  }
}

// ---- backward by data
// ----------------------------------------------------------------------------------------------------

// Gradients of M channels from `channel` on at N pixels of a row, `stride_width` apart: those that the same taps read.
template <int M, int N>
static void backward_data_tile(const ConvBackwardData& f, const float* dy, const float* packed, std::int64_t channel,
                               std::int64_t row, std::int64_t column, float* dx) {
  const ConvShape& s = f.shape;
  const std::int64_t step = pixel_vectors(s.y.channels) * W;
  vf sum[M][N] = {};
  for (std::int64_t i = 0; i < s.kernel_height; ++i) {
    const std::int64_t down = row + s.top - i;
    if (down % s.stride_height != 0 || !within(down / s.stride_height, s.y.height)) continue;
    for (std::int64_t j = 0; j < s.kernel_width; ++j) {
      const std::int64_t right = column + s.left - j;
      if (right % s.stride_width != 0) continue;
      const float* from[N];
      bool any = false;
      SHOAL_UNROLL
      for (int n = 0; n < N; ++n) {
        const std::int64_t at = right / s.stride_width + n;
        from[n] = within(at, s.y.width) ? dy + (down / s.stride_height * s.y.width + at) * step : nullptr;
        any |= from[n] != nullptr;
      }
      if (any) multiply_tap<M, N>(sum, from, packed + (i * s.kernel_width + j) * s.y.channels * M, s.y.channels);
    }
  }
  SHOAL_UNROLL
  for (int n = 0; n < N; ++n) {
    float* to = dx + ((row * s.x.width + column + n * s.stride_width) * pixel_vectors(s.x.channels) + channel) * W;
    SHOAL_UNROLL
    for (int m = 0; m < M; ++m) store(to + m * W, f.add ? load(to + m * W) + sum[m][n] : sum[m][n]);
  }
}

static void conv_backward_data(const ConvBackwardData& f, int rank, int size) {
  const ConvShape& s = f.shape;
  const Tiles channels(s.x.channels, kConvM);
  const Range mine = share(f.groups * s.x.height, rank, size);
  for (std::int64_t t = mine.begin; t < mine.end; ++t) {
    const std::int64_t group = t / s.x.height, row = t % s.x.height;
    const float* dy = f.dy + group * image_vectors(s.y) * W;
    float* dx = f.dx + group * image_vectors(s.x) * W;
    for (std::int64_t phase = 0; phase < s.stride_width && phase < s.x.width; ++phase) {
      const Tiles columns((s.x.width - phase + s.stride_width - 1) / s.stride_width, kConvN);
      for (std::int64_t p = 0; p < columns.tiles; ++p) {
        const std::int64_t column = phase + columns.begin(p) * s.stride_width;
        for (std::int64_t c = 0; c < channels.tiles; ++c) {
          const float* packed = f.packed + channels.begin(c) * s.taps() * s.y.channels;
          for_tile<kConvM, kConvN>(channels.size(c), columns.size(p), [&]<int M, int N>() {
            backward_data_tile<M, N>(f, dy, packed, channels.begin(c), row, column, dx);
          });
        }
      }
    }
  }
}

// ---- backward by weights
// -------------------------------------------------------------------------------------------------

// N inputs of a filter, neighbours in one row of its kernel: where they are beside the pixel under the row's first tap,
// and the columns of y, [first, last), whose taps they are inside of the image.
template <int N>
struct Inputs {
  std::int64_t offset[N];  // floats
  std::int64_t first[N], last[N];

  Inputs(const ConvShape& s, std::int64_t input) {
    std::int64_t j = input / s.x.channels, c = input % s.x.channels;
    for (int n = 0; n < N; ++n) {
      offset[n] = (j * pixel_vectors(s.x.channels) + c) * W;
      first[n] = column_from(s, s.left - j);
      last[n] = column_from(s, s.x.width + s.left - j);
      if (++c == s.x.channels) ++j, c = 0;
    }
  }

  // The first column of y at or beyond column x - left of x, up to the width of y.
  static std::int64_t column_from(const ConvShape& s, std::int64_t x) {
    const std::int64_t column = x <= 0 ? 0 : s.stride_width == 1 ? x : (x + s.stride_width - 1) / s.stride_width;
    return column < s.y.width ? column : s.y.width;
  }
};

// One row of outputs: M filters from dy on, N inputs in the row x.
template <int M, int N>
SHOAL_INLINE void multiply_row(vf (&sum)[M][N], const ConvShape& s, const Inputs<N>& inputs, const float* dy,
                               const float* x) {
  const std::int64_t dy_step = pixel_vectors(s.y.channels) * W;
  const std::int64_t x_step = pixel_vectors(s.x.channels) * W;
  const float* origin = x - s.left * x_step;
  // Neighbours read further right: the first is the last to enter the image, the last the first to leave it.
  const std::int64_t begin = inputs.first[0];
  const std::int64_t end = inputs.last[N - 1] > begin ? inputs.last[N - 1] : begin;
  for (std::int64_t column = begin; column < end; ++column) {
    const float* at = origin + column * s.stride_width * x_step;
    vf xs[N];
    SHOAL_UNROLL
    for (int n = 0; n < N; ++n) xs[n] = load(at + inputs.offset[n]);
    SHOAL_UNROLL
    for (int m = 0; m < M; ++m) {
      const vf d = in_register(load(dy + column * dy_step + m * W));
      SHOAL_UNROLL
      for (int n = 0; n < N; ++n) sum[m][n] = fma(d, xs[n], sum[m][n]);
    }
  }
  if (inputs.first[N - 1] == begin && inputs.last[0] == end) return;
  SHOAL_UNROLL
  for (int n = 0; n < N; ++n) {  // the columns where only some are inside
    const auto edge = [&](std::int64_t from, std::int64_t to) {
      for (std::int64_t column = from; column < to; ++column) {
        const vf v = load(origin + column * s.stride_width * x_step + inputs.offset[n]);
        SHOAL_UNROLL
        for (int m = 0; m < M; ++m) sum[m][n] = fma(load(dy + column * dy_step + m * W), v, sum[m][n]);
      }
    };
    edge(inputs.first[n], begin < inputs.last[n] ? begin : inputs.last[n]);
    edge(end > inputs.first[n] ? end : inputs.first[n], inputs.last[n]);
  }
}

// Rows of y, and with them of x, that stay in L2 while all tiles go over them.
SHOAL_INLINE std::int64_t rows_in_cache(const ConvShape& s) {
  constexpr std::int64_t kFloats = 10 * 1024 * W;  // 640 KB of 16 lanes
  const std::int64_t row =
      s.y.width * pixel_vectors(s.y.channels) + s.stride_height * s.x.width * pixel_vectors(s.x.channels);
  return kFloats < row * W ? 1 : kFloats / (row * W);
}

// Adds the gradients of M filters by N inputs in kernel row i, from output rows [begin, end) of a group.
template <int M, int N>
static void backward_weights_tile(const ConvBackwardWeights& f, const float* x, const float* dy, std::int64_t filter,
                                  std::int64_t i, std::int64_t input, Range rows) {
  const ConvShape& s = f.shape;
  const Inputs<N> inputs(s, input);
  vf sum[M][N] = {};
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const std::int64_t from = row * s.stride_height - s.top + i;
    if (!within(from, s.x.height)) continue;
    multiply_row<M, N>(sum, s, inputs, dy + (row * s.y.width * pixel_vectors(s.y.channels) + filter) * W,
                       x + from * s.x.width * pixel_vectors(s.x.channels) * W);
  }
  const std::int64_t stride = padded(s.inputs());
  SHOAL_UNROLL
  for (int m = 0; m < M; ++m) {
    vf lanes[power_of_two(N)] = {};
    SHOAL_UNROLL
    for (int n = 0; n < N; ++n) lanes[n] = sum[m][n];
    float* to = f.weight + (filter + m) * stride + i * s.kernel_width * s.x.channels + input;
    vf gradient{};
    __builtin_memcpy(&gradient, to, N * sizeof(float));
    gradient += lane_sums<W, power_of_two(N)>(lanes);
    __builtin_memcpy(to, &gradient, N * sizeof(float));
  }
}

template <int M>
static void bias_tile(const ConvBackwardWeights& f, std::int64_t filter) {
  const std::int64_t step = pixel_vectors(f.shape.y.channels) * W;
  for (std::int64_t group = 0; group < f.groups; ++group) {
    const float* dy = f.dy + group * image_vectors(f.shape.y) * W + filter * W;
    vf sum[M] = {};
    for (std::int64_t pixel = 0; pixel < f.shape.y.pixels(); ++pixel, dy += step) {
      SHOAL_UNROLL
      for (int m = 0; m < M; ++m) sum[m] += load(dy + m * W);
    }
    for (int m = 0; m < M; ++m) f.bias[filter + m] += sum_lanes(sum[m]);
  }
}

static void bias_gradient(const ConvBackwardWeights& f, int rank, int size) {
  const Tiles filters(f.shape.y.channels, kConvM);
  const Range mine = share(filters.tiles, rank, size);
  for (std::int64_t t = mine.begin; t < mine.end; ++t) {
    for_tile<kConvM, 1>(filters.size(t), 1, [&]<int M, int N>() { bias_tile<M>(f, filters.begin(t)); });
  }
}

static void conv_backward_weights(const ConvBackwardWeights& f, int rank, int size) {
  const ConvShape& s = f.shape;
  const Tiles filters(s.y.channels, kConvM), inputs(s.kernel_width * s.x.channels, kConvN);
  const Tiles blocks(s.y.height, rows_in_cache(s));
  const std::int64_t tiles = s.kernel_height * inputs.tiles;
  const Range mine = share(filters.tiles * tiles, rank, size);
  for (std::int64_t group = 0; group < f.groups; ++group) {
    const float* x = f.x + group * image_vectors(s.x) * W;
    const float* dy = f.dy + group * image_vectors(s.y) * W;
    for (std::int64_t b = 0; b < blocks.tiles; ++b) {
      const Range block{blocks.begin(b), blocks.begin(b + 1)};
      for (std::int64_t t = mine.begin; t < mine.end; ++t) {  // the filters outermost: their dy stays in L1
        const std::int64_t o = t / tiles, i = t % tiles / inputs.tiles, k = t % inputs.tiles;
        for_tile<kConvM, kConvN>(filters.size(o), inputs.size(k), [&]<int M, int N>() {
          backward_weights_tile<M, N>(f, x, dy, filters.begin(o), i, inputs.begin(k), block);
        });
      }
    }
  }
  if (f.bias) bias_gradient(f, rank, size);
}

}  // namespace shoal::SHOAL_ISA
