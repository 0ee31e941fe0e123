// Images on the CPU: the passes that move or touch every value once.
#pragma once

#include "kernels/batch_cpu.h"
#include "kernels/finish_cpu.h"
#include "kernels/image.h"
#include "kernels/simd.h"

namespace shoal::SHOAL_ISA {

// Where a feature's vector is, in floats.
SHOAL_INLINE std::int64_t feature_at(std::int64_t feature, std::int64_t channels) {
  return (feature / channels * pixel_vectors(channels) + feature % channels) * W;
}

SHOAL_INLINE vi lanes_below(std::int64_t count) {
  return lane_index() < static_cast<std::int32_t>(count < W ? count : W);
}

SHOAL_INLINE std::int64_t groups_of(std::int64_t rows) { return (rows + W - 1) / W; }

// Calls body(group, first feature of W) for this thread's share of a batch of images.
template <class Body>
SHOAL_INLINE void for_blocks(std::int64_t groups, std::int64_t features, int rank, int size, const Body& body) {
  const std::int64_t blocks = (features + W - 1) / W;
  const Range mine = share(groups * blocks, rank, size);
  for (std::int64_t t = mine.begin; t < mine.end; ++t) body(t / blocks, t % blocks * W);
}

static void image_gather(const ImageGather& f, int rank, int size) {
  const Dataset& d = *f.data;
  const std::int64_t features = f.image.features(), end = d.samples * features;
  for_blocks(groups_of(f.rows), features, rank, size, [&](std::int64_t group, std::int64_t first) {
    vf block[W];
    for (std::int64_t l = 0; l < W; ++l) {
      const std::int64_t row = group * W + l;
      const std::int64_t at = std::int64_t{f.index[row < f.rows ? row : 0]} * features + first;
      const vf v = d.x_u8 ? some_features(d.x_u8, at, end) : some_features(d.x_f32, at, end);
      block[l] = fma(v, load(f.scale + first), load(f.shift + first));
    }
    transpose(block);
    float* x = f.x + group * image_vectors(f.image) * W;
    for (std::int64_t i = 0; i < W && first + i < features; ++i)
      store(x + feature_at(first + i, f.image.channels), block[i]);
  });
}

static void image_to_rows(const ImageRows& f, int rank, int size) {
  const std::int64_t features = f.image.features(), stride = padded(features);
  for_blocks(groups_of(f.rows), stride, rank, size, [&](std::int64_t group, std::int64_t first) {
    const float* x = f.from + group * image_vectors(f.image) * W;
    vf block[W] = {};
    for (std::int64_t i = 0; i < W && first + i < features; ++i)
      block[i] = load(x + feature_at(first + i, f.image.channels));
    transpose(block);
    for (std::int64_t l = 0; l < W && group * W + l < f.rows; ++l)
      store(f.to + (group * W + l) * stride + first, block[l]);
  });
}

static void image_from_rows(const ImageRows& f, int rank, int size) {
  const std::int64_t features = f.image.features(), stride = padded(features);
  for_blocks(groups_of(f.rows), features, rank, size, [&](std::int64_t group, std::int64_t first) {
    vf block[W] = {};
    for (std::int64_t l = 0; l < W && group * W + l < f.rows; ++l)
      block[l] = load(f.from + (group * W + l) * stride + first);
    transpose(block);
    float* x = f.to + group * image_vectors(f.image) * W;
    for (std::int64_t i = 0; i < W && first + i < features; ++i) {
      float* to = x + feature_at(first + i, f.image.channels);
      store(to, f.add ? load(to) + block[i] : block[i]);
    }
  });
}

// Calls body(offset of the vector, random words) for every feature of this thread's share, the lanes being samples.
template <class Body>
SHOAL_INLINE void for_dropped(const ImageFinish& f, int rank, int size, const Body& body) {
  const std::int64_t features = f.image.features(), blocks = (features + 4 * kPad - 1) / (4 * kPad);
  const Range mine = share(f.groups * blocks, rank, size);
  const auto same = [](std::int64_t x) { return vu{} + static_cast<std::uint32_t>(x); };
  for (std::int64_t t = mine.begin; t < mine.end; ++t) {
    const std::int64_t group = t / blocks, first = t % blocks * 4 * kPad;
    const vu row = reinterpret_cast<vu>(lane_index()) + static_cast<std::uint32_t>(f.first_row + group * W);
    for (std::int64_t c = 0; c < kPad && first + c < features; ++c) {
      const Words words =
          philox(same(first / 4 + c), row, same(f.dropout.step), same(stream(Purpose::dropout, f.dropout.layer)),
                 same(f.dropout.key.seed), same(f.dropout.key.id));
      for (int w = 0; w < 4 && first + w * kPad + c < features; ++w) {
        body(group * image_vectors(f.image) * W + feature_at(first + w * kPad + c, f.image.channels), words.w[w]);
      }
    }
  }
}

// Calls body(offset of the vector) for every vector of this thread's share, those between pixels included.
template <class Body>
SHOAL_INLINE void for_vectors(const Image& image, std::int64_t groups, int rank, int size, const Body& body) {
  const Range mine = share(groups * image_vectors(image), rank, size);
  for (std::int64_t v = mine.begin; v < mine.end; ++v) body(v * W);
}

static void image_finish_forward(const ImageFinish& f, int rank, int size) {
  for_activation(f.activation, [&]<Activation kind>() {
    if (f.dropout.rate > 0) {
      const std::uint32_t threshold = drop_below(f.dropout.rate);
      const float scale = 1 / (1 - f.dropout.rate);
      for_dropped(f, rank, size, [&](std::int64_t at, vu word) {
        const vf v = activate<kind>(load(f.y + at), f.slope);
        store(f.y + at, select(reinterpret_cast<vi>(word >= threshold), v * scale, vf{}));
      });
    } else if (kind != Activation::identity) {
      for_vectors(f.image, f.groups, rank, size,
                  [&](std::int64_t at) { store(f.y + at, activate<kind>(load(f.y + at), f.slope)); });
    }
  });
}

static void image_finish_backward(const ImageFinish& f, int rank, int size) {
  for_activation(f.activation, [&]<Activation kind>() {
    if (f.dropout.rate > 0) {
      const std::uint32_t threshold = drop_below(f.dropout.rate);
      const float scale = 1 / (1 - f.dropout.rate);
      for_dropped(f, rank, size, [&](std::int64_t at, vu word) {
        const vf dy = select(reinterpret_cast<vi>(word >= threshold), load(f.dy + at) * scale, vf{});
        store(f.dy + at, differentiate<kind>(dy, load(f.y + at) * (1 - f.dropout.rate), f.slope));
      });
    } else if (kind != Activation::identity) {
      for_vectors(f.image, f.groups, rank, size, [&](std::int64_t at) {
        store(f.dy + at, differentiate<kind>(load(f.dy + at), load(f.y + at), f.slope));
      });
    }
  });
}

SHOAL_INLINE std::int64_t every(std::int64_t from, std::int64_t to) { return (from + to - 1) / to; }

static void image_add(const ImageAdd& f, int rank, int size) {
  const Image &a = f.image, &b = f.skip_image;
  const std::int64_t down = every(b.height, a.height), right = every(b.width, a.width);
  const Range mine = share(f.groups * a.pixels(), rank, size);
  for_activation(f.activation, [&]<Activation kind>() {
    for (std::int64_t t = mine.begin; t < mine.end; ++t) {
      const std::int64_t group = t / a.pixels(), row = t % a.pixels() / a.width, column = t % a.width;
      const std::int64_t at = t * pixel_vectors(a.channels) * W;
      const float* skip =
          f.skip + (group * b.pixels() + row * down * b.width + column * right) * pixel_vectors(b.channels) * W;
      for (std::int64_t c = 0; c < a.channels; ++c) {
        vf v = load(f.x + at + c * W);
        if (c < b.channels) v += load(skip + c * W);
        store(f.y + at + c * W, activate<kind>(v, f.slope));
      }
    }
  });
}

static void image_add_backward(const ImageAddBackward& f, int rank, int size) {
  const Image &a = f.image, &b = f.skip_image;
  const std::int64_t down = every(b.height, a.height), right = every(b.width, a.width);
  const Range mine = share(f.groups * b.pixels(), rank, size);
  for (std::int64_t t = mine.begin; t < mine.end; ++t) {
    const std::int64_t group = t / b.pixels(), row = t % b.pixels() / b.width, column = t % b.width;
    const bool taken = row % down == 0 && column % right == 0;
    const float* dy =
        f.dy + (group * a.pixels() + row / down * a.width + column / right) * pixel_vectors(a.channels) * W;
    float* to = f.dskip + t * pixel_vectors(b.channels) * W;
    for (std::int64_t c = 0; c < b.channels; ++c) {
      const vf v = taken ? load(dy + c * W) : vf{};
      store(to + c * W, f.add ? load(to + c * W) + v : v);
    }
  }
}

}  // namespace shoal::SHOAL_ISA
