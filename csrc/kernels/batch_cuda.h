// Batches on the GPU: which samples, how they are augmented (engine/augment.h), and their inputs and goals.
#pragma once

#include "kernels/batch.h"
#include "kernels/window_cuda.h"

namespace shoal::cuda {

// A dataset in the device's memory.
struct DeviceData {
  std::int64_t samples, features, outputs;
  const std::uint8_t* x_u8;    // (samples, features), or
  const float* x_f32;          // (samples, features)
  const float *scale, *shift;  // (features,)
  const std::int32_t* labels;  // (samples,), cross_entropy
  const float* targets;        // (samples, outputs), mse
};

// How one sample of a batch is moved and mirrored.
struct Crop {
  std::int32_t down, right;
  bool mirrored;
};

// A sample of a batch; lanes behind the last one hold copies of the first, and no goal.
struct Chosen {
  std::uint32_t sample;
  Crop crop;
};

struct Augmenting {
  std::uint32_t pad;
  bool flip;
  PhiloxKey key;
  std::uint32_t step;

  __device__ bool any() const { return pad > 0 || flip; }
  __device__ Crop crop(std::uint32_t row) const {
    const auto words = philox({0, row, step, stream(Purpose::augment)}, key);
    const auto shift = [&](std::uint32_t word) {
      const std::uint64_t choices = 2 * static_cast<std::uint64_t>(pad) + 1;
      return static_cast<std::int32_t>(word * choices >> 32) - static_cast<std::int32_t>(pad);
    };
    return {shift(words[0]), shift(words[1]), flip && words[2] >> 31 != 0};
  }
};

// chosen[row] for a batch of `rows` from place `first` of a pass.
SHOAL_OP void choose(const Team& team, const Shuffle& shuffle, const Augmenting& augmenting, std::uint32_t first,
                     int rows, Chosen* chosen) {
  const int end = (rows + kLanes - 1) / kLanes * kLanes;
  for (int row = team.thread(); row < end; row += team.threads()) {
    const auto at = static_cast<std::uint32_t>(row < rows ? row : 0);
    chosen[row] = {shuffled(shuffle, first + at), augmenting.any() ? augmenting.crop(at) : Crop{0, 0, false}};
  }
}

// The place in a sample that feature `at` of its augmented image comes from; -1: from outside.
SHOAL_DEVICE std::int64_t source(const Grid& image, const Crop& crop, int at) {
  const int pixel = image.by_channels.quotient(at), channel = image.by_channels.rest(at, pixel);
  const int row = image.by_width.quotient(pixel), column = image.by_width.rest(pixel, row);
  const std::int64_t from_row = std::int64_t{row} + crop.down;
  const std::int64_t from_column = std::int64_t{crop.mirrored ? image.width - 1 - column : column} + crop.right;
  const bool inside = from_row >= 0 && from_row < image.height && from_column >= 0 && from_column < image.width;
  return inside ? (from_row * image.width + from_column) * image.channels + channel : -1;
}

// x[group][feature][lane] = raw scale + shift; `image` is the shape of the raw samples.
template <class T>
SHOAL_DEVICE void gather(const Team& team, const DeviceData& data, const T* raw, const Grid& image,
                         const Chosen* chosen, int groups, float* x) {
  const int features = static_cast<int>(data.features);
  for (int i = team.warp(); i < groups * features; i += team.warps()) {
    const int group = i / features, feature = i % features, lane = static_cast<int>(threadIdx.x) % kLanes;
    const Chosen& c = chosen[group * kLanes + lane];
    const std::int64_t from = source(image, c.crop, feature);
    const float value = from < 0 ? 0.0f : static_cast<float>(raw[std::int64_t{c.sample} * features + from]);
    x[place(group, features, feature) + lane] = fmaf(value, data.scale[feature], data.shift[feature]);
  }
}

// The same for samples as they are, four neighbouring bytes at a time.
SHOAL_DEVICE void gather_words(const Team& team, const DeviceData& data, const Chosen* chosen, int groups, float* x) {
  const int words = static_cast<int>(data.features) / 4;
  const auto* raw = reinterpret_cast<const std::uint32_t*>(data.x_u8);
  for (int i = team.warp(); i < groups * words; i += team.warps()) {
    const int group = i / words, first = i % words * 4, lane = static_cast<int>(threadIdx.x) % kLanes;
    const std::uint32_t word = raw[std::int64_t{chosen[group * kLanes + lane].sample} * words + first / 4];
    float* const to = x + place(group, words * 4, first) + lane;
#pragma unroll
    for (int b = 0; b < 4; ++b) {
      const auto value = static_cast<float>(word >> 8 * b & 0xFF);
      to[b * kLanes] = fmaf(value, data.scale[first + b], data.shift[first + b]);
    }
  }
}

SHOAL_OP void gather(const Team& team, const DeviceData& data, const Grid& image, const Chosen* chosen, bool augmented,
                     int groups, float* x) {
  const bool in_words = !augmented && data.features % 4 == 0 && reinterpret_cast<std::uintptr_t>(data.x_u8) % 4 == 0;
  if (data.x_u8 && in_words) {
    gather_words(team, data, chosen, groups, x);
  } else if (data.x_u8) {
    gather(team, data, data.x_u8, image, chosen, groups, x);
  } else {
    gather(team, data, data.x_f32, image, chosen, groups, x);
  }
}

}  // namespace shoal::cuda
