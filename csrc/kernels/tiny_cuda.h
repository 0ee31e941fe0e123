// The three products of a dense layer of a tiny network (conv_cuda.h has them for all others). Its weights and values
// lie in the shared memory of a small block that has the member for itself, so that nothing is staged: a warp reads what
// it multiplies where it is. Which thread adds up what follows from the shape alone, so that the number of warps changes
// no bit.
#pragma once

#include "kernels/conv_cuda.h"

namespace shoal::cuda {

// Loads through such a pointer are known to be of shared memory, and so cheaper.
template <class T>
SHOAL_DEVICE T* in_shared(T* p) {
#ifdef __CUDACC__
  __builtin_assume(__isShared(p));
#endif
  return p;
}

SHOAL_DEVICE int pieces_of(int count, int piece) { return (count + piece - 1) / piece; }

// y = finish(W x + b). A warp takes four outputs of 32 samples; its lanes read a weight together.
SHOAL_OP void tiny_forward(const Team& team, const LayerForward& f) {
  constexpr int kOutputs = 4, kDepth = 4;
  const int inputs = f.weights.inputs, outputs = f.window.y.channels, lane = static_cast<int>(threadIdx.x) % kLanes;
  const int pieces = pieces_of(outputs, kOutputs);
  for (int t = team.warp(); t < f.groups * pieces; t += team.warps()) {
    const int group = t / pieces, first = t % pieces * kOutputs;
    const float* const x = in_shared(f.x) + place(group, inputs, 0) + lane;
    const float* rows[kOutputs];
#pragma unroll
    for (int r = 0; r < kOutputs; ++r)
      rows[r] = in_shared(f.weights.weight) + min(first + r, outputs - 1) * f.weights.stride;
    float sum[kOutputs] = {};
    int k = 0;
    for (; k + kDepth <= inputs; k += kDepth) {
      float weight[kOutputs][kDepth];
#pragma unroll
      for (int r = 0; r < kOutputs; ++r) load_vectors(rows[r] + k, weight[r]);
#pragma unroll
      for (int j = 0; j < kDepth; ++j) {
        const float value = x[(k + j) * kLanes];
#pragma unroll
        for (int r = 0; r < kOutputs; ++r) sum[r] = fmaf(value, weight[r][j], sum[r]);
      }
    }
    for (; k < inputs; ++k) {
#pragma unroll
      for (int r = 0; r < kOutputs; ++r) sum[r] = fmaf(x[k * kLanes], rows[r][k], sum[r]);
    }
#pragma unroll
    for (int r = 0; r < kOutputs; ++r) {
      const int column = first + r;
      if (column >= outputs) continue;
      const float v = f.weights.bias ? sum[r] + in_shared(f.weights.bias)[column] : sum[r];
      in_shared(f.y)[place(group, outputs, column) + lane] = f.finisher.forward(group * kLanes + lane, column, v);
    }
  }
}

// dx = W^T dy. A warp takes eight inputs of 32 samples; a row of weights has room for them all.
SHOAL_OP void tiny_backward_data(const Team& team, const LayerBackwardData& f) {
  constexpr int kInputs = 8;
  static_assert(kPad % kInputs == 0);
  const int inputs = f.weights.inputs, outputs = f.window.y.channels, lane = static_cast<int>(threadIdx.x) % kLanes;
  const int pieces = pieces_of(inputs, kInputs);
  for (int t = team.warp(); t < f.groups * pieces; t += team.warps()) {
    const int group = t / pieces, first = t % pieces * kInputs;
    const float* const dy = in_shared(f.dy) + place(group, outputs, 0) + lane;
    float sum[kInputs] = {};
    for (int o = 0; o < outputs; ++o) {
      float weight[kInputs];
      load_vectors(in_shared(f.weights.weight) + o * f.weights.stride + first, weight);
      const float gradient = dy[o * kLanes];
#pragma unroll
      for (int i = 0; i < kInputs; ++i) sum[i] = fmaf(gradient, weight[i], sum[i]);
    }
    float* const dx = in_shared(f.dx) + place(group, inputs, first) + lane;
#pragma unroll
    for (int i = 0; i < kInputs; ++i) {
      if (first + i < inputs) dx[i * kLanes] = f.add ? dx[i * kLanes] + sum[i] : sum[i];
    }
  }
}

// A weight's sum over the samples begins at another sample in each lane, so that the lanes, each in a row of its own,
// read 32 banks.
SHOAL_DEVICE int rotated(int sample) { return (sample + static_cast<int>(threadIdx.x)) % kLanes; }

// The gradients of four outputs' weights of four inputs, and their step. The inputs are `across` apart, so that
// neighbouring lanes change neighbouring weights. `rule` is f's, by value: a store might change what f refers to.
SHOAL_DEVICE void tiny_step_weights(const LayerBackwardWeights& f, const Update rule, int across, int first_output,
                                    int first_input) {
  constexpr int kSide = 4;
  const int inputs = f.weights.inputs, outputs = f.window.y.channels;
  int output[kSide], input[kSide];
#pragma unroll
  for (int i = 0; i < kSide; ++i) {
    output[i] = min(first_output + i, outputs - 1) * kLanes;
    input[i] = min(first_input + i * across, inputs - 1) * kLanes;
  }
  float sum[kSide][kSide] = {};
  for (int group = 0; group < f.groups; ++group) {
    const float* const dy = in_shared(f.dy) + place(group, outputs, 0);
    const float* const x = in_shared(f.x) + place(group, inputs, 0);
#pragma unroll 4
    for (int s = 0; s < kLanes; ++s) {
      const int at = rotated(s);
      float gradient[kSide], value[kSide];
#pragma unroll
      for (int i = 0; i < kSide; ++i) gradient[i] = dy[output[i] + at], value[i] = x[input[i] + at];
#pragma unroll
      for (int r = 0; r < kSide; ++r) {
#pragma unroll
        for (int c = 0; c < kSide; ++c) sum[r][c] = fmaf(gradient[r], value[c], sum[r][c]);
      }
    }
  }
#pragma unroll
  for (int r = 0; r < kSide; ++r) {
#pragma unroll
    for (int c = 0; c < kSide; ++c) {
      const int o = first_output + r, i = first_input + c * across;
      if (o < outputs && i < inputs)
        update(rule, sum[r][c], in_shared(f.weights.weight) + o * f.weights.stride + i, f.slot_stride);
    }
  }
}

SHOAL_DEVICE void tiny_step_bias(const LayerBackwardWeights& f, const Update rule, int output) {
  const int outputs = f.window.y.channels;
  float sum = 0;
  for (int group = 0; group < f.groups; ++group) {
    const float* const dy = in_shared(f.dy) + place(group, outputs, output);
#pragma unroll 4
    for (int s = 0; s < kLanes; ++s) sum += dy[rotated(s)];
  }
  update(rule, sum, in_shared(f.weights.bias) + output, f.slot_stride);
}

// dW = dy^T x and the optimiser's step on it. A thread takes 4 x 4 weights, or a bias.
SHOAL_OP void tiny_backward_weights(const Team& team, const LayerBackwardWeights& f) {
  const int outputs = f.window.y.channels;
  const int across = pieces_of(f.weights.inputs, 4), tiles = across * pieces_of(outputs, 4);
  const int biases = f.weights.bias ? outputs : 0;
  const Update rule = f.rule;
  for (int t = team.thread(); t < tiles + biases; t += team.threads()) {
    if (t < tiles) {
      tiny_step_weights(f, rule, across, t / across * 4, t % across);
    } else {
      tiny_step_bias(f, rule, t - tiles);
    }
  }
}

}  // namespace shoal::cuda
