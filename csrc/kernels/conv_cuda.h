// The three products of a convolution or dense layer on the GPU (conv.h has the shapes, window_cuda.h the layout), as
// operands and results of product_cuda.h: nothing is copied out of the images beforehand. Operands hold what they divide
// by themselves: through a reference it would be read again for every element, as a store might have changed it.
#pragma once

#include "kernels/finish_cuda.h"
#include "kernels/tensor_product_cuda.h"
#include "kernels/update_cuda.h"
#include "kernels/window_cuda.h"

namespace shoal::cuda {

// ---- forward: y[(group, pixel, lane)][filter] = sum over (tap, channel)

struct ForwardInputs {
  static constexpr bool kAlongDepth = false;
  const Window window;
  const float* x;

  struct Row {
    const float* x;
    int row, column;
  };
  __device__ Row row(int m) const {
    const Pixel p(window.y, m);
    return {x + place(p.group, window.x.features(), 0) + p.lane, p.row * window.stride_height - window.top,
            p.column * window.stride_width - window.left};
  }
  __device__ float at(const Row& r, int k) const {
    const int tap = window.x.by_channels.quotient(k), channel = window.x.by_channels.rest(k, tap);
    const int i = window.by_kernel_width.quotient(tap);
    const int row = r.row + i, column = r.column + window.by_kernel_width.rest(tap, i);
    const bool inside = row >= 0 && row < window.x.height && column >= 0 && column < window.x.width;
    return inside ? r.x[((row * window.x.width + column) * window.x.channels + channel) * kLanes] : 0.0f;
  }
};

struct ForwardWeights {
  static constexpr bool kAlongDepth = true;
  const float* weight;
  int stride;

  using Row = const float*;
  __device__ Row row(int filter) const { return weight + filter * stride; }
  __device__ float at(Row r, int k) const { return r[k]; }
};

struct ForwardOutputs {
  static constexpr bool kAlongRows = true;
  const Window window;
  Finisher finisher;
  const float* bias;  // or null
  float* y;

  __device__ const ForwardOutputs& part(int) const { return *this; }
  __device__ void operator()(int m, int filter, float sum) const {
    const int at = m / kLanes, group = window.y.by_pixels.quotient(at);
    const int column = window.y.by_pixels.rest(at, group) * window.y.channels + filter;
    const float v = bias ? sum + bias[filter] : sum;
    y[place(group, window.y.features(), column) + m % kLanes] =
        finisher.forward(group * kLanes + m % kLanes, column, v);
  }
};

// ---- by the data: dx[(group, pixel, lane)][channel] = sum over (tap, filter)

struct BackwardOutputs {
  static constexpr bool kAlongDepth = false;
  const Window window;
  const float* dy;

  struct Row {
    const float* dy;
    int row, column;
  };
  __device__ Row row(int m) const {
    const Pixel p(window.x, m);
    return {dy + place(p.group, window.y.features(), 0) + p.lane, p.row + window.top, p.column + window.left};
  }
  __device__ float at(const Row& r, int k) const {
    const int tap = window.y.by_channels.quotient(k), filter = window.y.by_channels.rest(k, tap);
    const int i = window.by_kernel_width.quotient(tap);
    const int down = r.row - i, across = r.column - window.by_kernel_width.rest(tap, i);
    if (down < 0 || across < 0) return 0;
    const int row = window.by_stride_height.quotient(down), column = window.by_stride_width.quotient(across);
    const bool read = row < window.y.height && column < window.y.width &&
                      window.by_stride_height.rest(down, row) == 0 && window.by_stride_width.rest(across, column) == 0;
    return read ? r.dy[((row * window.y.width + column) * window.y.channels + filter) * kLanes] : 0.0f;
  }
};

struct BackwardWeights {
  static constexpr bool kAlongDepth = false;
  const Window window;
  const float* weight;
  int stride;

  using Row = const float*;
  __device__ Row row(int channel) const { return weight + channel; }
  __device__ float at(Row r, int k) const {
    const int tap = window.y.by_channels.quotient(k), filter = window.y.by_channels.rest(k, tap);
    return r[filter * stride + tap * window.x.channels];
  }
};

struct BackwardInputs {
  static constexpr bool kAlongRows = true;
  const Window window;
  bool add;
  float* dx;

  __device__ const BackwardInputs& part(int) const { return *this; }
  __device__ void operator()(int m, int channel, float sum) const {
    const int at = m / kLanes, group = window.x.by_pixels.quotient(at);
    const int column = window.x.by_pixels.rest(at, group) * window.x.channels + channel;
    float& to = dx[place(group, window.x.features(), column) + m % kLanes];
    to = add ? to + sum : sum;
  }
};

// ---- by the weights: dw[filter][(tap, channel)] = sum over (group, pixel, lane); the bias is the weight of one more
// input, which is always 1

struct GradientOutputs {
  static constexpr bool kAlongDepth = true;
  const Window window;
  const float* dy;

  using Row = int;
  __device__ Row row(int filter) const { return filter; }
  __device__ float at(Row filter, int k) const {
    return dy[(static_cast<std::int64_t>(k / kLanes) * window.y.channels + filter) * kLanes + k % kLanes];
  }
};

struct GradientInputs {
  static constexpr bool kAlongDepth = true;
  const Window window;
  const float* x;

  struct Row {
    bool is_bias;
    int row, column, channel;
  };
  __device__ Row row(int n) const {
    const int tap = window.x.by_channels.quotient(n), i = window.by_kernel_width.quotient(tap);
    return {tap == window.taps(), i - window.top, window.by_kernel_width.rest(tap, i) - window.left,
            window.x.by_channels.rest(n, tap)};
  }
  __device__ float at(const Row& r, int k) const {
    if (r.is_bias) return 1;
    const Pixel p(window.y, k);
    const int row = p.row * window.stride_height + r.row, column = p.column * window.stride_width + r.column;
    const bool inside = row >= 0 && row < window.x.height && column >= 0 && column < window.x.width;
    if (!inside) return 0;
    return x[place(p.group, window.x.features(), (row * window.x.width + column) * window.x.channels + r.channel) +
             p.lane];
  }
};

// Where a layer's weights and biases lie.
struct Weights {
  float *weight, *bias;  // bias may be null
  int inputs, stride;    // without and with padding
  __device__ float* at(int filter, int n) const { return n < inputs ? weight + filter * stride + n : bias + filter; }
};

// The optimiser's step, taken on the sums: gradients never reach memory.
struct StepWeights {
  static constexpr bool kAlongRows = false;
  Weights weights;
  std::int64_t slot_stride;
  const Update rule;

  __device__ const StepWeights& part(int) const { return *this; }
  __device__ void operator()(int filter, int n, float sum) const {
    update(rule, sum, weights.at(filter, n), slot_stride);
  }
};

// Gradients of a part of the batch, to be added up: (parts, filters, columns).
struct StoreParts {
  static constexpr bool kAlongRows = false;
  float* sums;
  std::int64_t filters;
  int columns;

  __device__ StoreParts part(int p) const { return {sums + p * filters * columns, filters, columns}; }
  __device__ void operator()(int filter, int n, float sum) const { sums[filter * columns + n] = sum; }
};

struct LayerForward {
  const Window& window;
  int groups;
  const float* x;
  Weights weights;
  Finisher finisher;
  float* y;
};

template <class F, class T>
SHOAL_DEVICE void layer_forward_tiles(const Team& team, const LayerForward& f) {
  const int depth = f.weights.inputs;
  multiply<F, T>(team, f.groups * f.window.y.pixels() * kLanes, f.window.y.channels, depth, depth,
                 ForwardInputs{f.window, f.x}, ForwardWeights{f.weights.weight, f.weights.stride},
                 ForwardOutputs{f.window, f.finisher, f.weights.bias, f.y});
}

template <class F>
SHOAL_OP void layer_forward(const Team& team, const LayerForward& f) {
  with_position_tile(f.groups * f.window.y.pixels() * kLanes, f.window.y.channels,
                     [&]<class T>(T) { layer_forward_tiles<F, T>(team, f); });
}

struct LayerBackwardData {
  const Window& window;
  int groups;
  const float* dy;
  Weights weights;
  bool add;
  float* dx;
};

template <class F, class T>
SHOAL_DEVICE void layer_backward_data_tiles(const Team& team, const LayerBackwardData& f) {
  const int depth = f.window.taps() * f.window.y.channels;
  multiply<F, T>(team, f.groups * f.window.x.pixels() * kLanes, f.window.x.channels, depth, depth,
                 BackwardOutputs{f.window, f.dy}, BackwardWeights{f.window, f.weights.weight, f.weights.stride},
                 BackwardInputs{f.window, f.add, f.dx});
}

template <class F>
SHOAL_OP void layer_backward_data(const Team& team, const LayerBackwardData& f) {
  with_position_tile(f.groups * f.window.x.pixels() * kLanes, f.window.x.channels,
                     [&]<class T>(T) { layer_backward_data_tiles<F, T>(team, f); });
}

struct LayerBackwardWeights {
  const Window& window;
  int groups;
  const float *x, *dy;
  Weights weights;
  std::int64_t slot_stride;
  const Update& rule;
  int part;     // positions whose sums are stored apart; all of them: one part, and no gradient in memory
  float* sums;  // (parts, filters, inputs + 1), where there is more than one part
};

template <class F, class T, class Store>
SHOAL_DEVICE void layer_gradient_tiles(const Team& team, const LayerBackwardWeights& f, const Store& store) {
  const int columns = f.weights.inputs + (f.weights.bias ? 1 : 0);
  multiply<F, T>(team, f.window.y.channels, columns, f.groups * f.window.y.pixels() * kLanes, f.part,
                 GradientOutputs{f.window, f.dy}, GradientInputs{f.window, f.x}, store);
}

template <class F>
SHOAL_OP void layer_backward_weights(Team& team, const LayerBackwardWeights& f) {
  const int columns = f.weights.inputs + (f.weights.bias ? 1 : 0), filters = f.window.y.channels;
  const int positions = f.groups * f.window.y.pixels() * kLanes, parts = (positions + f.part - 1) / f.part;
  if (parts == 1) {
    const StepWeights step{f.weights, f.slot_stride, f.rule};
    return with_weight_tile(filters, [&]<class T>(T) { layer_gradient_tiles<F, T>(team, f, step); });
  }
  const StoreParts store{f.sums, filters, columns};
  with_weight_tile(filters, [&]<class T>(T) { layer_gradient_tiles<F, T>(team, f, store); });
  team.sync();
  for (int i = team.thread(); i < filters * columns; i += team.threads()) {
    float sum = 0;
    for (int p = 0; p < parts; ++p) sum += f.sums[static_cast<std::int64_t>(p) * filters * columns + i];
    update(f.rule, sum, f.weights.at(i / columns, i % columns), f.slot_stride);
  }
}

}  // namespace shoal::cuda
