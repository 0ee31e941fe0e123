// The kernels of images, and of batches in slices: every instruction set this machine has against plain loops in
// double, and against the kernels of rows where they must agree bit for bit.
#include <doctest/doctest.h>

#include <array>
#include <span>
#include <type_traits>

#include "arrays.h"
#include "kernels/kernels.h"

using namespace shoal;
using test::Images;
using test::Matrix;
using test::plain;
using test::worst;

namespace {

constexpr Activation kActivations[] = {Activation::identity, Activation::relu, Activation::leaky_relu,
                                       Activation::sigmoid, Activation::tanh};

// Sums of up to 2000 products of numbers below 1, in float32 in an order of their own: about sqrt(2000) 2^-24 each.
constexpr double kTolerance = 2e-5;

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

// Runs op(rank, size) for all ranks of teams of two, of three (the last one first) and of one; all must write the same
// bits into `outs`.
template <class Op>
void run_as_teams(const std::vector<std::span<float>>& outs, const Op& op) {
  using Values = std::vector<std::vector<float>>;
  const auto copy = [&] {
    Values values;
    for (const auto& out : outs) values.emplace_back(out.begin(), out.end());
    return values;
  };
  const Values before = copy();
  const auto restore = [&] {
    for (std::size_t i = 0; i < outs.size(); ++i) std::copy(before[i].begin(), before[i].end(), outs[i].begin());
  };
  for (int rank = 0; rank < 2; ++rank) op(rank, 2);
  const Values by_two = copy();
  restore();
  for (int rank = 3; rank-- > 0;) op(rank, 3);
  const Values by_three = copy();
  restore();
  op(0, 1);
  for (std::size_t i = 0; i < outs.size(); ++i) {
    CHECK(same_bits(outs[i], by_two[i]));
    CHECK(same_bits(outs[i], by_three[i]));
  }
}

// Calls body(kernels, samples) for full and short last groups.
template <class Body>
void for_each_table(const Body& body) {
  for (const Kernels* k : available_kernels()) {
    CAPTURE(std::string(k->name));
    for (const int samples : {1, k->lanes, 3 * k->lanes - 3}) {
      CAPTURE(samples);
      body(*k, samples);
    }
  }
}

const Image kImages[] = {{1, 1, 1}, {3, 5, 2}, {4, 3, 17}, {7, 2, 3}, {1, 9, 16}};

}  // namespace

// ---- the layout

TEST_CASE("images are gathered, and nothing is read past the end of the data") {
  for_each_table([](const Kernels& k, std::int64_t rows) {
    for (const Image& image : kImages) {
      CAPTURE(image.channels);
      constexpr std::int64_t n = 11;
      const std::int64_t features = image.features();
      std::mt19937 engine(4);
      std::vector<std::uint8_t> bytes(static_cast<std::size_t>(n * features));  // AddressSanitizer watches its end
      for (auto& b : bytes) b = static_cast<std::uint8_t>(engine());
      const std::vector<float> floats(bytes.begin(), bytes.end());
      std::vector<std::uint32_t> index;
      for (std::int64_t r = 0; r < rows; ++r) index.push_back(static_cast<std::uint32_t>((n - 1 + r * 7) % n));
      const Matrix scale = Matrix::random(1, features, 5), shift = Matrix::random(1, features, 6);
      Dataset d{.samples = n, .shape = {image.height, image.width, image.channels}, .x_u8 = bytes.data()};
      const Images x(rows, image, k.lanes), same = x.copy();
      const auto gather = [&](const Images& to, int rank, int size) {
        k.image_gather({&d, image, scale.data(), shift.data(), rows, index.data(), to.data()}, rank, size);
      };
      run_as_teams({x.values()}, [&](int rank, int size) { gather(x, rank, size); });
      const auto want = [&](std::int64_t sample, std::int64_t f) {
        return double{floats[static_cast<std::size_t>(sample * features + f)]} * scale(0, f) + shift(0, f);
      };
      CHECK(worst(rows, features, x,
                  [&](std::int64_t r, std::int64_t f) { return want(index[static_cast<std::size_t>(r)], f); }) < 1e-6);
      for (std::int64_t lane = rows; lane < x.groups * k.lanes; ++lane) {
        bool copies = false;
        for (std::int64_t r = 0; r < rows; ++r) {
          bool equal = true;
          for (std::int64_t f = 0; f < features; ++f) equal &= x(lane, f) == x(r, f);
          copies |= equal;
        }
        CHECK(copies);
      }
      d.x_u8 = nullptr;
      d.x_f32 = floats.data();
      gather(same, 0, 1);
      CHECK(same_bits(same.values(), x.values()));
    }
  });
}

TEST_CASE("images become rows and rows images") {
  for_each_table([](const Kernels& k, std::int64_t samples) {
    for (const Image& image : kImages) {
      CAPTURE(image.channels);
      const std::int64_t features = image.features();
      const Images x = Images::random(samples, image, k.lanes, 1), back(samples, image, k.lanes);
      const Matrix rows(samples, features);
      run_as_teams({rows.values()}, [&](int rank, int size) {
        k.image_to_rows({image, samples, x.data(), rows.data(), false}, rank, size);
      });
      CHECK(rows.padding_is_zero());
      CHECK(worst(samples, features, rows, x) == 0);
      run_as_teams({back.values()}, [&](int rank, int size) {
        k.image_from_rows({image, samples, rows.data(), back.data(), false}, rank, size);
      });
      CHECK(back.same_values(x));
      CHECK(back.missing_are_zero());
      const Images sum = Images::random(samples, image, k.lanes, 2), before = sum.copy();
      run_as_teams({sum.values()}, [&](int rank, int size) {
        k.image_from_rows({image, samples, rows.data(), sum.data(), true}, rank, size);
      });
      CHECK(worst(sum.groups * k.lanes, features, sum,
                  [&](std::int64_t s, std::int64_t f) { return before(s, f) + (s < samples ? x(s, f) : 0.0f); }) == 0);
    }
  });
}

// ---- activation and dropout

TEST_CASE("activation and dropout of images are those of rows, bit for bit") {
  for_each_table([](const Kernels& k, std::int64_t samples) {
    for (const Image& image : {Image{3, 5, 17}, Image{1, 1, 2}, Image{4, 4, 8}}) {
      for (const Activation activation : kActivations) {
        for (const float rate : {0.0f, 0.3f}) {
          CAPTURE(image.channels);
          CAPTURE(static_cast<int>(activation));
          CAPTURE(rate);
          const std::int64_t features = image.features();
          const Dropout dropout{rate, {1, 2}, 5, 3};
          const Images y = Images::random(samples, image, k.lanes, 1, -3, 3);
          const Images dy = Images::random_gradient(samples, image, k.lanes, 2);
          const Matrix rows(samples, features), drows(samples, features);
          k.image_to_rows({image, samples, y.data(), rows.data(), false}, 0, 1);
          k.image_to_rows({image, samples, dy.data(), drows.data(), false}, 0, 1);
          const ImageFinish args{image, y.groups, 32, activation, 0.1f, dropout, y.data(), dy.data()};
          const Finish same{samples, features, 32, activation, 0.1f, nullptr, dropout, rows.data(), drows.data()};
          run_as_teams({y.values()}, [&](int rank, int size) { k.image_finish_forward(args, rank, size); });
          k.finish_forward(same, 0, 1);
          CHECK(worst(samples, features, y, rows) == 0);
          run_as_teams({dy.values()}, [&](int rank, int size) { k.image_finish_backward(args, rank, size); });
          k.finish_backward(same, 0, 1);
          CHECK(worst(samples, features, dy, drows) == 0);
          CHECK(dy.missing_are_zero());
        }
      }
    }
  });
}

TEST_CASE("the place in the batch decides what dropout draws, not the slice") {
  for (const Kernels* k : available_kernels()) {
    CAPTURE(std::string(k->name));
    const std::int64_t rows = 37, first = 16, columns = 70;
    const Matrix whole = Matrix::random(rows, columns, 1), slice(rows - first, columns);
    std::copy(whole.row(first), whole.row(rows - 1) + whole.stride, slice.data());
    Finish args{.rows = rows,
                .columns = columns,
                .first_row = 0,
                .activation = Activation::tanh,
                .slope = 0,
                .bias = nullptr,
                .dropout = {0.5f, {1, 2}, 5, 0},
                .y = whole.data(),
                .dy = nullptr};
    k->finish_forward(args, 0, 1);
    args.rows = rows - first;
    args.first_row = first;
    args.y = slice.data();
    k->finish_forward(args, 0, 1);
    CHECK(std::memcmp(whole.row(first), slice.data(), slice.values().size_bytes()) == 0);
  }
}

// ---- shortcuts

TEST_CASE("a shortcut is added whole, or of every stride-th pixel, and its gradient goes back there") {
  constexpr std::array<std::array<Image, 2>, 6> kPairs{{{{{5, 7, 3}, {5, 7, 3}}},
                                                        {{{3, 4, 8}, {5, 7, 3}}},
                                                        {{{1, 1, 2}, {1, 1, 1}}},
                                                        {{{2, 7, 17}, {5, 7, 16}}},
                                                        {{{3, 3, 6}, {9, 8, 2}}},
                                                        {{{1, 1, 4}, {4, 5, 4}}}}};
  for_each_table([&](const Kernels& k, std::int64_t samples) {
    for (const auto& [image, skip_image] : kPairs) {
      const Image &a = image, &b = skip_image;
      CAPTURE(b.height);
      CAPTURE(a.height);
      const std::int64_t down = (b.height + a.height - 1) / a.height, right = (b.width + a.width - 1) / a.width;
      // Where feature f of y comes from, or -1.
      const auto source = [&](std::int64_t f) {
        const std::int64_t c = f % a.channels, column = f / a.channels % a.width, row = f / a.channels / a.width;
        return c < b.channels ? (row * down * b.width + column * right) * b.channels + c : -1;
      };
      const Images x = Images::random(samples, a, k.lanes, 1), skip = Images::random(samples, b, k.lanes, 2);
      const Images plain_sum(samples, a, k.lanes);
      for (const Activation activation : kActivations) {
        const Images y(samples, a, k.lanes);
        run_as_teams({y.values()}, [&](int rank, int size) {
          k.image_add({a, b, x.groups, x.data(), skip.data(), activation, 0.1f, y.data()}, rank, size);
        });
        if (activation == Activation::identity) {
          std::copy(y.values().begin(), y.values().end(), plain_sum.data());
          CHECK(worst(samples, a.features(), y, [&](std::int64_t s, std::int64_t f) {
                  return double{x(s, f)} + (source(f) >= 0 ? skip(s, source(f)) : 0.0f);
                }) < 1e-7);
        } else {
          const Images finished = plain_sum.copy();
          k.image_finish_forward({a, x.groups, 0, activation, 0.1f, {}, finished.data(), nullptr}, 0, 1);
          CHECK(y.same_values(finished));
        }
      }
      const Images dy = Images::random_gradient(samples, a, k.lanes, 3);
      for (const bool add : {false, true}) {
        const Images dskip = add ? Images::random_gradient(samples, b, k.lanes, 4) : Images(samples, b, k.lanes);
        std::vector<double> want(static_cast<std::size_t>(samples * b.features()));
        if (add) want = plain(samples, b.features(), dskip);
        for (std::int64_t s = 0; s < samples; ++s) {
          for (std::int64_t f = 0; f < a.features(); ++f) {
            if (source(f) >= 0) want[static_cast<std::size_t>(s * b.features() + source(f))] += dy(s, f);
          }
        }
        run_as_teams({dskip.values()}, [&](int rank, int size) {
          k.image_add_backward({a, b, dy.groups, dy.data(), add, dskip.data()}, rank, size);
        });
        CHECK(worst(samples, b.features(), dskip, want) < 1e-7);
        CHECK(dskip.missing_are_zero());
      }
    }
  });
}

// ---- convolution

namespace {

struct Pads {
  std::int64_t top, left, bottom, right;
};

ConvShape window(const Image& x, std::int64_t channels, std::array<std::int64_t, 2> kernel,
                 std::array<std::int64_t, 2> stride, const Pads& pads) {
  const auto outputs = [](std::int64_t size, std::int64_t k, std::int64_t s) {
    return size < k ? 0 : (size - k) / s + 1;
  };
  return {.x = x,
          .y = {outputs(x.height + pads.top + pads.bottom, kernel[0], stride[0]),
                outputs(x.width + pads.left + pads.right, kernel[1], stride[1]), channels},
          .kernel_height = kernel[0],
          .kernel_width = kernel[1],
          .stride_height = stride[0],
          .stride_width = stride[1],
          .top = pads.top,
          .left = pads.left};
}

// Sizes at the edges of the tiles, and more drawn at random.
std::vector<ConvShape> conv_shapes() {
  std::vector<ConvShape> shapes{
      window({1, 1, 1}, 1, {1, 1}, {1, 1}, {}),
      window({5, 7, 1}, 6, {5, 5}, {1, 1}, {2, 2, 2, 2}),
      window({7, 6, 3}, 5, {3, 3}, {2, 2}, {1, 1, 1, 1}),
      window({9, 5, 2}, 1, {2, 2}, {2, 2}, {}),
      window({6, 9, 17}, 7, {2, 5}, {1, 2}, {0, 2, 1, 2}),
      window({5, 5, 65}, 13, {3, 3}, {1, 1}, {1, 1, 1, 1}),
      window({4, 5, 130}, 16, {2, 2}, {1, 1}, {0, 0, 1, 1}),  // same: an odd zero comes last
      window({3, 2, 6}, 16, {5, 5}, {1, 1}, {4, 4, 4, 4}),    // smaller than the kernel
      window({2, 2, 130}, 5, {5, 5}, {3, 2}, {2, 2, 2, 2}),
      window({1, 8, 3}, 6, {5, 5}, {2, 1}, {4, 3, 2, 4}),
      window({11, 10, 3}, 6, {5, 5}, {3, 3}, {}),
      window({8, 8, 6}, 13, {1, 1}, {2, 2}, {}),  // pixels that nobody reads
      window({7, 9, 2}, 7, {2, 2}, {3, 3}, {}),
      window({10, 3, 2}, 13, {2, 5}, {3, 1}, {1, 2, 0, 2}),
      window({3, 17, 1}, 6, {3, 3}, {1, 1}, {1, 1, 1, 1}),
      window({2, 3, 2}, 5, {2, 2}, {3, 3}, {}),  // a stride beyond the image
      window({6, 40, 5}, 6, {5, 5}, {1, 1}, {2, 2, 2, 2}),
  };
  std::mt19937 engine(7);
  const auto draw = [&](std::initializer_list<std::int64_t> from) { return from.begin()[engine() % from.size()]; };
  const auto below = [&](std::int64_t n) { return static_cast<std::int64_t>(engine()) % n; };
  constexpr std::array<std::array<std::int64_t, 2>, 7> kKernels{
      {{1, 1}, {2, 2}, {3, 3}, {5, 5}, {2, 5}, {4, 1}, {1, 6}}};
  while (shapes.size() < 60) {
    const auto kernel = kKernels[engine() % kKernels.size()];
    const Image x{1 + below(9), 1 + below(13), draw({1, 2, 3, 6, 17})};
    const Pads pads{below(kernel[0]), below(kernel[1]), below(kernel[0]), below(kernel[1])};
    const ConvShape shape =
        window(x, draw({1, 5, 6, 7, 13, 16}), kernel, {draw({1, 1, 2, 3}), draw({1, 1, 2, 3})}, pads);
    if (shape.y.pixels() > 0) shapes.push_back(shape);
  }
  return shapes;
}

// Calls body(pixel of y, pixel of x, tap) for all taps that lie in the image, a window's in their order.
template <class Body>
void for_taps(const ConvShape& s, const Body& body) {
  for (std::int64_t p = 0; p < s.y.pixels(); ++p) {
    for (std::int64_t t = 0; t < s.taps(); ++t) {
      const std::int64_t row = p / s.y.width * s.stride_height + t / s.kernel_width - s.top;
      const std::int64_t column = p % s.y.width * s.stride_width + t % s.kernel_width - s.left;
      if (row >= 0 && row < s.x.height && column >= 0 && column < s.x.width) body(p, row * s.x.width + column, t);
    }
  }
}

// Calls body(index of y, of x, of the weight) for all products of a convolution, in arrays without padding.
template <class Body>
void for_products(const ConvShape& s, std::int64_t samples, const Body& body) {
  for_taps(s, [&](std::int64_t p, std::int64_t q, std::int64_t t) {
    for (std::int64_t b = 0; b < samples; ++b) {
      for (std::int64_t f = 0; f < s.y.channels; ++f) {
        const std::int64_t y = (b * s.y.pixels() + p) * s.y.channels + f;
        const std::int64_t x = (b * s.x.pixels() + q) * s.x.channels, w = (f * s.taps() + t) * s.x.channels;
        for (std::int64_t c = 0; c < s.x.channels; ++c) {
          body(static_cast<std::size_t>(y), static_cast<std::size_t>(x + c), static_cast<std::size_t>(w + c));
        }
      }
    }
  });
}

template <class Body>
void for_each_convolution(const Body& body) {
  const std::vector<ConvShape> shapes = conv_shapes();
  for (const Kernels* k : available_kernels()) {
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      const ConvShape& s = shapes[i];
      INFO(k->name, ": ", s.x.height, " x ", s.x.width, " x ", s.x.channels, ", ", s.y.channels, " filters of ",
           s.kernel_height, " x ", s.kernel_width, ", stride ", s.stride_height, " x ", s.stride_width, ", top ", s.top,
           ", left ", s.left);
      body(*k, s, i % 3 == 0 ? 3 * k->lanes - 3 : i % 3 == 1 ? k->lanes : 1);
    }
  }
}

}  // namespace

TEST_CASE("convolution forward") {
  for_each_convolution([](const Kernels& k, const ConvShape& s, std::int64_t samples) {
    const Images x = Images::random(samples, s.x, k.lanes, 1), y(samples, s.y, k.lanes);
    const Matrix weight = Matrix::random(s.y.channels, s.inputs(), 2), bias = Matrix::random(1, s.y.channels, 3);
    const Matrix packed(1, s.inputs() * s.y.channels);
    k.conv_pack({s, weight.data(), packed.data(), nullptr});
    CHECK(packed.padding_is_zero());
    ConvForward args{s, x.groups, x.data(), packed.data(), bias.data(), Activation::identity, 0.1f, y.data()};
    run_as_teams({y.values()}, [&](int rank, int size) { k.conv_forward(args, rank, size); });
    const auto xs = plain(samples, s.x.features(), x), ws = plain(s.y.channels, s.inputs(), weight);
    std::vector<double> want(static_cast<std::size_t>(samples * s.y.features()));
    for (std::size_t i = 0; i < want.size(); ++i) {
      want[i] = bias(0, static_cast<std::int64_t>(i) % s.y.channels);
    }
    for_products(s, samples, [&](std::size_t iy, std::size_t ix, std::size_t iw) { want[iy] += xs[ix] * ws[iw]; });
    CHECK(worst(samples, s.y.features(), y, want) < kTolerance);

    for (const Activation activation : kActivations) {
      const Images finished = y.copy(), fused(samples, s.y, k.lanes);
      k.image_finish_forward({s.y, y.groups, 0, activation, 0.1f, {}, finished.data(), nullptr}, 0, 1);
      args.activation = activation;
      args.y = fused.data();
      k.conv_forward(args, 0, 1);
      CHECK(fused.same_values(finished));
    }
    args.activation = Activation::identity;
    args.bias = nullptr;
    const Images without(samples, s.y, k.lanes);
    args.y = without.data();
    k.conv_forward(args, 0, 1);
    CHECK(worst(samples, s.y.features(), without, [&](std::int64_t b, std::int64_t f) {
            return want[static_cast<std::size_t>(b * s.y.features() + f)] - bias(0, f % s.y.channels);
          }) < kTolerance);
  });
}

TEST_CASE("convolution backward by data") {
  for_each_convolution([](const Kernels& k, const ConvShape& s, std::int64_t samples) {
    const Images dy = Images::random_gradient(samples, s.y, k.lanes, 1);
    const Matrix weight = Matrix::random(s.y.channels, s.inputs(), 2);
    const Matrix forward(1, s.inputs() * s.y.channels), packed(1, s.inputs() * s.y.channels);
    k.conv_pack({s, weight.data(), forward.data(), packed.data()});
    CHECK(packed.padding_is_zero());
    const auto dys = plain(samples, s.y.features(), dy), ws = plain(s.y.channels, s.inputs(), weight);
    for (const bool add : {false, true}) {
      CAPTURE(add);
      const Images dx = add ? Images::random_gradient(samples, s.x, k.lanes, 3) : Images(samples, s.x, k.lanes);
      std::vector<double> want(static_cast<std::size_t>(samples * s.x.features()));
      if (add) want = plain(samples, s.x.features(), dx);
      for_products(s, samples, [&](std::size_t iy, std::size_t ix, std::size_t iw) { want[ix] += dys[iy] * ws[iw]; });
      run_as_teams({dx.values()}, [&](int rank, int size) {
        k.conv_backward_data({s, dy.groups, dy.data(), packed.data(), add, dx.data()}, rank, size);
      });
      CHECK(worst(samples, s.x.features(), dx, want) < kTolerance);
      CHECK(dx.missing_are_zero());
    }
  });
}

TEST_CASE("convolution backward by weights") {
  for_each_convolution([](const Kernels& k, const ConvShape& s, std::int64_t samples) {
    const Images x = Images::random(samples, s.x, k.lanes, 1);
    const Images dy = Images::random_gradient(samples, s.y, k.lanes, 2);
    const Matrix weight = Matrix::random(s.y.channels, s.inputs(), 3), bias = Matrix::random(1, s.y.channels, 4);
    const auto xs = plain(samples, s.x.features(), x), dys = plain(samples, s.y.features(), dy);
    auto want = plain(s.y.channels, s.inputs(), weight), want_bias = plain(1, s.y.channels, bias);
    for_products(s, samples, [&](std::size_t iy, std::size_t ix, std::size_t iw) { want[iw] += dys[iy] * xs[ix]; });
    for (std::size_t i = 0; i < dys.size(); ++i) want_bias[i % want_bias.size()] += dys[i];
    const Matrix alone = weight.copy();
    run_as_teams({weight.values(), bias.values()}, [&](int rank, int size) {
      k.conv_backward_weights({s, x.groups, x.data(), dy.data(), weight.data(), bias.data()}, rank, size);
    });
    CHECK(worst(s.y.channels, s.inputs(), weight, want) < kTolerance);
    CHECK(worst(1, s.y.channels, bias, want_bias) < kTolerance);
    CHECK(weight.padding_is_zero());
    CHECK(bias.padding_is_zero());
    k.conv_backward_weights({s, x.groups, x.data(), dy.data(), alone.data(), nullptr}, 0, 1);
    CHECK(alone.same_bits(weight));
  });
}

// ---- pooling

namespace {

std::vector<ConvShape> pool_shapes() {
  std::vector<ConvShape> shapes{
      window({1, 1, 1}, 1, {1, 1}, {1, 1}, {}),
      window({6, 8, 6}, 6, {2, 2}, {2, 2}, {}),
      window({7, 9, 5}, 5, {2, 2}, {2, 2}, {}),              // a row and a column left over
      window({7, 8, 17}, 17, {3, 3}, {2, 2}, {1, 1, 1, 1}),  // overlapping
      window({5, 5, 3}, 3, {5, 5}, {1, 1}, {2, 2, 2, 2}),
      window({4, 6, 2}, 2, {4, 6}, {1, 1}, {}),  // global
      window({6, 5, 4}, 4, {2, 3}, {1, 2}, {0, 1, 1, 1}),
      window({7, 7, 3}, 3, {1, 1}, {3, 3}, {}),
      window({2, 3, 3}, 3, {5, 5}, {2, 2}, {4, 4, 4, 4}),
  };
  for (const ConvShape& s : conv_shapes()) {
    if (s.x.channels <= 17) shapes.push_back(s);
    shapes.back().y.channels = shapes.back().x.channels;
  }
  return shapes;
}

// How many pixels of its image each window has, and which of them each sample and channel takes the maximum from.
struct Windows {
  std::vector<std::int64_t> size;
  std::vector<std::int64_t> best;  // (samples, features of y): feature of x

  Windows(const ConvShape& s, const Images& x)
      : size(static_cast<std::size_t>(s.y.pixels())), best(static_cast<std::size_t>(x.samples * s.y.features()), -1) {
    for_taps(s, [&](std::int64_t p, std::int64_t q, std::int64_t) {
      ++size[static_cast<std::size_t>(p)];
      for (std::int64_t b = 0; b < x.samples; ++b) {
        for (std::int64_t c = 0; c < s.x.channels; ++c) {
          auto& at = best[static_cast<std::size_t>(b * s.y.features() + p * s.y.channels + c)];
          if (at < 0 || x(b, q * s.x.channels + c) > x(b, at)) at = q * s.x.channels + c;
        }
      }
    });
  }
};

}  // namespace

TEST_CASE("pooling takes the first maximum or the mean of what lies in the image") {
  const std::vector<ConvShape> shapes = pool_shapes();
  for_each_table([&](const Kernels& k, std::int64_t samples) {
    for (const ConvShape& s : shapes) {
      INFO(s.x.height, " x ", s.x.width, " x ", s.x.channels, ", window ", s.kernel_height, " x ", s.kernel_width,
           ", stride ", s.stride_height, " x ", s.stride_width, ", top ", s.top, ", left ", s.left);
      const Images x = Images::random(samples, s.x, k.lanes, 1, -2, 3);
      for (float& value : x.values()) value = std::floor(value);  // many ties
      const Windows windows(s, x);
      const Images dy = Images::random_gradient(samples, s.y, k.lanes, 2);
      for (const Pooling pooling : {Pooling::max, Pooling::average}) {
        CAPTURE(static_cast<int>(pooling));
        std::vector<double> want(static_cast<std::size_t>(samples * s.y.features()));
        // Calls body(index of y, of x, the part of x in y) in arrays without padding.
        const auto for_parts = [&](const auto& body) {
          if (pooling == Pooling::max) {
            for (std::size_t i = 0; i < windows.best.size(); ++i) {
              body(i, static_cast<std::int64_t>(i) / s.y.features() * s.x.features() + windows.best[i], 1.0);
            }
            return;
          }
          for_taps(s, [&](std::int64_t p, std::int64_t q, std::int64_t) {
            for (std::int64_t i = 0; i < samples * s.x.channels; ++i) {
              const std::int64_t b = i / s.x.channels, c = i % s.x.channels;
              body(static_cast<std::size_t>(b * s.y.features() + p * s.y.channels + c),
                   b * s.x.features() + q * s.x.channels + c,
                   1 / static_cast<double>(windows.size[static_cast<std::size_t>(p)]));
            }
          });
        };
        const Images y(samples, s.y, k.lanes);
        run_as_teams({y.values()}, [&](int rank, int size) {
          k.pool_forward({s, pooling, x.groups, x.data(), y.data()}, rank, size);
        });
        for_parts([&](std::size_t iy, std::int64_t ix, double part) {
          want[iy] += x(ix / s.x.features(), ix % s.x.features()) * part;
        });
        CHECK(worst(samples, s.y.features(), y, want) < 1e-6);
        for (const bool add : {false, true}) {
          CAPTURE(add);
          const Images dx = add ? Images::random_gradient(samples, s.x, k.lanes, 3) : Images(samples, s.x, k.lanes);
          std::vector<double> want_dx(static_cast<std::size_t>(samples * s.x.features()));
          if (add) want_dx = plain(samples, s.x.features(), dx);
          for_parts([&](std::size_t iy, std::int64_t ix, double part) {
            const auto i = static_cast<std::int64_t>(iy);
            want_dx[static_cast<std::size_t>(ix)] += dy(i / s.y.features(), i % s.y.features()) * part;
          });
          run_as_teams({dx.values()}, [&](int rank, int size) {
            k.pool_backward({s, pooling, x.groups, x.data(), y.data(), dy.data(), add, dx.data()}, rank, size);
          });
          CHECK(worst(samples, s.x.features(), dx, want_dx) < 2e-6);
          CHECK(dx.missing_are_zero());
        }
      }
    }
  });
}

TEST_CASE("a NaN in a window is its maximum, wherever it stands; so is minus infinity alone") {
  for (const Kernels* k : available_kernels()) {
    CAPTURE(std::string(k->name));
    const ConvShape s = window({4, 4, 2}, 2, {2, 2}, {2, 2}, {});
    for (std::int64_t at = 0; at < s.x.features(); ++at) {
      const Images x = Images::random(1, s.x, k->lanes, 1), y(1, s.y, k->lanes);
      x(0, at) = NAN;
      k->pool_forward({s, Pooling::max, 1, x.data(), y.data()}, 0, 1);
      int count = 0;
      for (std::int64_t f = 0; f < s.y.features(); ++f) count += std::isnan(y(0, f));
      CHECK(count == 1);
      CHECK(std::isnan(y(0, (at / 2 / 4 / 2 * 2 + at / 2 % 4 / 2) * 2 + at % 2)));
    }
    const Images x = Images::random(1, s.x, k->lanes, 1, -INFINITY, -INFINITY), y(1, s.y, k->lanes);
    std::fill(x.values().begin(), x.values().end(), -INFINITY);
    k->pool_forward({s, Pooling::max, 1, x.data(), y.data()}, 0, 1);
    for (std::int64_t f = 0; f < s.y.features(); ++f) CHECK(y(0, f) == -INFINITY);
  }
}

// ---- batch normalisation

namespace {

constexpr std::int64_t kSlice = 32;  // samples

// Batch statistics of x and all that follows from them, in double.
struct NormReference {
  std::vector<double> mean, var, xhat;

  template <class Array>
  NormReference(std::int64_t samples, std::int64_t features, std::int64_t channels, const Array& x, double epsilon)
      : mean(sums(samples, features, channels, x)), var(mean.size()) {
    const std::int64_t pixels = features / channels;
    const auto count = static_cast<double>(samples * pixels);
    for (double& m : mean) m /= count;
    const auto centred = [&](std::int64_t s, std::int64_t f) { return x(s, f) - mean[at(f, channels)]; };
    var = sums(samples, features, channels,
               [&](std::int64_t s, std::int64_t f) { return centred(s, f) * centred(s, f); });
    for (double& v : var) v /= count;
    xhat = plain(samples, features, [&](std::int64_t s, std::int64_t f) {
      return centred(s, f) / std::sqrt(var[at(f, channels)] + epsilon);
    });
  }

  static std::size_t at(std::int64_t feature, std::int64_t channels) {
    return static_cast<std::size_t>(feature % channels);
  }

  // By channel.
  template <class Array>
  static std::vector<double> sums(std::int64_t samples, std::int64_t features, std::int64_t channels, const Array& x) {
    std::vector<double> sums(static_cast<std::size_t>(channels));
    for (std::int64_t s = 0; s < samples; ++s) {
      for (std::int64_t f = 0; f < features; ++f) sums[at(f, channels)] += x(s, f);
    }
    return sums;
  }
};

// x and dy are Images, or a Matrix of rows; `slice` is how many samples go at once.
template <class Array>
void check_norm(const Kernels& k, const NormShape& shape, std::int64_t samples, std::int64_t slice, const Array& x,
                const Array& dy) {
  constexpr double kEpsilon = 1e-3;
  const std::int64_t channels = shape.image.channels, features = shape.image.features();
  const auto count = static_cast<double>(samples * shape.image.pixels());
  const auto for_slices = [&](const auto& body) {
    for (std::int64_t first = 0; first < samples; first += slice) body(first, std::min(slice, samples - first));
  };
  const NormReference want(samples, features, channels, x, kEpsilon);

  const Matrix statistics(2, channels);  // mean, sum of squares
  std::fill(statistics.values().begin(), statistics.values().end(), NAN);
  run_as_teams({statistics.values()}, [&](int rank, int size) {
    for_slices([&](std::int64_t first, std::int64_t rows) {
      k.norm_statistics({shape, rows, first, x.row(first), statistics.row(0), statistics.row(1)}, rank, size);
    });
  });
  CHECK(worst(1, channels, statistics, want.mean) < 1e-6);
  CHECK(worst(1, channels, [&](std::int64_t, std::int64_t c) { return statistics(1, c) / count; }, want.var) < 1e-6);

  // The parameters by channel; their padding is zero, as in a member.
  const Matrix weight = Matrix::random(1, channels, 11, 0.5f, 2), bias = Matrix::random(1, channels, 12);
  const Matrix mean(1, channels), inverse(1, channels), scale(1, channels);
  for (std::int64_t c = 0; c < channels; ++c) {
    mean(0, c) = statistics(0, c);
    inverse(0, c) = static_cast<float>(1 / std::sqrt(statistics(1, c) / count + kEpsilon));
    scale(0, c) = weight(0, c) * inverse(0, c);
  }
  const Array y = x.copy();
  run_as_teams({y.values()}, [&](int rank, int size) {
    for_slices([&](std::int64_t first, std::int64_t rows) {
      k.norm_forward(
          {shape, rows, x.row(first), mean.data(), scale.data(), bias.data(), Activation::identity, 0.1f, y.row(first)},
          rank, size);
    });
  });
  CHECK(worst(samples, features, y, [&](std::int64_t s, std::int64_t f) {
          const double xhat = want.xhat[static_cast<std::size_t>(s * features + f)];
          return weight(0, f % channels) * xhat + bias(0, f % channels);
        }) < kTolerance);

  const auto finish = [&](Activation activation, const Array& values, const Array* gradient) {
    float* to = gradient ? gradient->data() : nullptr;
    if (shape.rows) {
      const Finish args{samples, features, 0, activation, 0.1f, nullptr, {}, values.data(), to};
      gradient ? k.finish_backward(args, 0, 1) : k.finish_forward(args, 0, 1);
    } else {
      const ImageFinish args{shape.image, (samples + k.lanes - 1) / k.lanes, 0, activation, 0.1f, {}, values.data(),
                             to};
      gradient ? k.image_finish_backward(args, 0, 1) : k.image_finish_forward(args, 0, 1);
    }
  };
  for (const Activation activation : kActivations) {
    CAPTURE(static_cast<int>(activation));
    const Array fused = x.copy(), finished = y.copy(), dz = dy.copy(), by_hand = dy.copy();
    for_slices([&](std::int64_t first, std::int64_t rows) {
      k.norm_forward(
          {shape, rows, x.row(first), mean.data(), scale.data(), bias.data(), activation, 0.1f, fused.row(first)}, 0,
          1);
    });
    finish(activation, finished, nullptr);
    CHECK(worst(samples, features, fused, finished) == 0);

    Matrix sums = Matrix::random(2, channels, 13);  // dy, dy xhat: added to
    const auto before = plain(2, channels, sums);
    run_as_teams({sums.values(), dz.values()}, [&](int rank, int size) {
      for_slices([&](std::int64_t first, std::int64_t rows) {
        k.norm_backward_sums({shape, rows, x.row(first), fused.row(first), mean.data(), inverse.data(), activation,
                              0.1f, dz.row(first), sums.row(0), sums.row(1)},
                             rank, size);
      });
    });
    finish(activation, finished, &by_hand);
    CHECK(worst(samples, features, dz, by_hand) == 0);
    const auto product = [&](std::int64_t s, std::int64_t f) {
      return dz(s, f) * want.xhat[static_cast<std::size_t>(s * features + f)];
    };
    const auto sum_dy = NormReference::sums(samples, features, channels, dz);
    const auto sum_product = NormReference::sums(samples, features, channels, product);
    CHECK(worst(2, channels, sums, [&](std::int64_t i, std::int64_t c) {
            const auto at = static_cast<std::size_t>(c);
            return before[static_cast<std::size_t>(i * channels + c)] + (i ? sum_product : sum_dy)[at];
          }) < kTolerance);

    Matrix means(2, channels);
    for (std::int64_t c = 0; c < channels; ++c) {
      means(0, c) = static_cast<float>(sum_dy[static_cast<std::size_t>(c)] / count);
      means(1, c) = static_cast<float>(sum_product[static_cast<std::size_t>(c)] / count);
    }
    for (const bool add : {false, true}) {
      CAPTURE(add);
      const Array dx = add ? dy.copy() : x.copy();
      run_as_teams({dx.values()}, [&](int rank, int size) {
        for_slices([&](std::int64_t first, std::int64_t rows) {
          k.norm_backward_data({shape, rows, x.row(first), dz.row(first), mean.data(), inverse.data(), scale.data(),
                                means.row(0), means.row(1), add, dx.row(first)},
                               rank, size);
        });
      });
      CHECK(worst(samples, features, dx, [&](std::int64_t s, std::int64_t f) {
              const auto c = static_cast<std::size_t>(f % channels);
              const double xhat = want.xhat[static_cast<std::size_t>(s * features + f)];
              const double inside = dz(s, f) - sum_dy[c] / count - xhat * sum_product[c] / count;
              return (add ? dy(s, f) : 0.0f) + weight(0, f % channels) / std::sqrt(want.var[c] + kEpsilon) * inside;
            }) < kTolerance);
      if constexpr (std::is_same_v<Array, Images>) CHECK(dx.missing_are_zero());
      if constexpr (std::is_same_v<Array, Matrix>) CHECK(dx.padding_is_zero());
    }
  }
}

}  // namespace

TEST_CASE("batch normalisation over slices is that of the whole batch") {
  for (const Kernels* k : available_kernels()) {
    for (const std::int64_t channels : {1, 3, 8, 13, 17}) {
      for (const std::int64_t samples : {1, 16, 2 * 32 + 7}) {
        for (const std::int64_t slice : {kSlice, std::int64_t{1000}}) {
          CAPTURE(std::string(k->name));
          CAPTURE(channels);
          CAPTURE(samples);
          CAPTURE(slice);
          for (const Image& image : {Image{3, 5, channels}, Image{1, 1, channels}}) {
            CAPTURE(image.height);
            check_norm(*k, {image, false}, samples, slice, Images::random(samples, image, k->lanes, 1, 1, 3),
                       Images::random_gradient(samples, image, k->lanes, 2));
          }
          CAPTURE("rows");
          check_norm(*k, {{1, 1, channels}, true}, samples, slice, Matrix::random(samples, channels, 1, 1, 3),
                     Matrix::random(samples, channels, 2));
        }
      }
    }
  }
}

TEST_CASE("the variance of numbers far from zero is not lost") {
  for (const Kernels* k : available_kernels()) {
    CAPTURE(std::string(k->name));
    const Image image{4, 4, 2};
    const Images x = Images::random(80, image, k->lanes, 1, 4096, 4097);
    const Matrix statistics(2, 2);
    for (const std::int64_t first : {0, 48}) {
      const std::int64_t rows = first ? 32 : 48;
      k->norm_statistics({{image, false}, rows, first, x.row(first), statistics.row(0), statistics.row(1)}, 0, 1);
    }
    const NormReference want(80, image.features(), 2, x, 0);
    // float32 holds the numbers themselves to 2.4e-4, a means' rounding adds its square
    CHECK(worst(1, 2, [&](std::int64_t, std::int64_t c) { return statistics(1, c) / 1280; }, want.var) < 1e-5);
  }
}

// ---- gradients in memory, and batches in slices

namespace {

Update some_update(Optimizer optimizer) {
  Hyperparameters h;
  h.lr = 0.1f;
  h.momentum = optimizer == Optimizer::sgd || optimizer == Optimizer::rmsprop ? 0.9f : 0;
  h.nesterov = optimizer == Optimizer::sgd;
  h.weight_decay = 0.01f;
  h.epsilon = 1e-3f;
  return update_at(update_rule(optimizer, h), 3);
}

constexpr Optimizer kOptimizers[] = {Optimizer::sgd, Optimizer::adam, Optimizer::adamw, Optimizer::rmsprop,
                                     Optimizer::adagrad};

}  // namespace

TEST_CASE("a step with a gradient in memory is that of a dense layer, bit for bit") {
  for (const Kernels* k : available_kernels()) {
    for (const Optimizer optimizer : kOptimizers) {
      for (const std::int64_t n : {16, 48, 1600}) {
        CAPTURE(std::string(k->name));
        CAPTURE(static_cast<int>(optimizer));
        CAPTURE(n);
        const Update update = some_update(optimizer);
        const Matrix state = Matrix::random(3, n, 1, 0.1f, 1), gradient = Matrix::random(1, n, 2);
        const Matrix same = state.copy(), one = Matrix::random(1, 1, 3, 1, 1);
        one(0, 0) = 1;
        run_as_teams({state.values()}, [&](int rank, int size) {
          k->apply({update, n, gradient.data(), state.data(), state.stride}, rank, size);
        });
        k->dense_backward_weights(
            {{1, n, 1}, gradient.data(), one.data(), same.data(), nullptr, same.stride, update, {}}, 0, 1);
        CHECK(state.same_bits(same));
      }
    }
  }
}

TEST_CASE("two slices give a dense layer the step of the whole batch") {
  for (const Kernels* k : available_kernels()) {
    for (const Optimizer optimizer : kOptimizers) {
      CAPTURE(std::string(k->name));
      CAPTURE(static_cast<int>(optimizer));
      const std::int64_t rows = 23, first = 16, inputs = 35, outputs = 13;
      const Matrix x = Matrix::random(rows, inputs, 1), dy = Matrix::random(rows, outputs, 2);
      const std::int64_t bias = outputs * padded(inputs), floats = bias + padded(outputs);
      const Matrix whole = Matrix::random(3, floats, 3, 0.1f, 1), sliced = whole.copy(), gradient(1, floats);
      std::fill(gradient.values().begin(), gradient.values().end(), NAN);  // the first slice does not read it
      const auto step = [&](const Matrix& state, std::int64_t begin, std::int64_t end, const SliceSum& sum, int rank,
                            int size) {
        k->dense_backward_weights({{end - begin, inputs, outputs},
                                   x.row(begin),
                                   dy.row(begin),
                                   state.data(),
                                   state.data() + bias,
                                   state.stride,
                                   some_update(optimizer),
                                   sum},
                                  rank, size);
      };
      step(whole, 0, rows, {}, 0, 1);
      const Matrix before = sliced.copy();
      run_as_teams({sliced.values(), gradient.values()}, [&](int rank, int size) {
        step(sliced, 0, first, {gradient.data(), sliced.data(), true, false}, rank, size);
      });
      CHECK(sliced.same_bits(before));
      run_as_teams({sliced.values()}, [&](int rank, int size) {
        step(sliced, first, rows, {gradient.data(), sliced.data(), false, true}, rank, size);
      });
      CHECK(worst(3, floats, sliced, whole) < 1e-6);
      CHECK_FALSE(sliced.same_bits(before));
    }
  }
}

TEST_CASE("the gradient by a dense layer's inputs is added to what is there") {
  for (const Kernels* k : available_kernels()) {
    for (const DenseShape& s : {DenseShape{1, 1, 1}, DenseShape{7, 17, 9}, DenseShape{33, 70, 33}}) {
      CAPTURE(std::string(k->name));
      CAPTURE(s.rows);
      const Matrix dy = Matrix::random(s.rows, s.outputs, 1), w = Matrix::random(s.outputs, s.inputs, 2);
      const Matrix dx(s.rows, s.inputs), sum = Matrix::random(s.rows, s.inputs, 3), before = sum.copy();
      k->dense_backward_data({s, dy.data(), w.data(), false, dx.data()}, 0, 1);
      run_as_teams({sum.values()}, [&](int rank, int size) {
        k->dense_backward_data({s, dy.data(), w.data(), true, sum.data()}, rank, size);
      });
      CHECK(sum.padding_is_zero());
      CHECK(worst(s.rows, s.inputs, sum,
                  [&](std::int64_t r, std::int64_t i) { return double{before(r, i)} + dx(r, i); }) < 1e-7);
    }
  }
}

TEST_CASE("a slice's losses have the gradient of the mean over the whole batch") {
  for (const Kernels* k : available_kernels()) {
    for (const Loss loss : {Loss::cross_entropy, Loss::mse}) {
      CAPTURE(std::string(k->name));
      CAPTURE(static_cast<int>(loss));
      const std::int64_t rows = 21, first = 16, outputs = 10;
      const Matrix whole = Matrix::random(rows, outputs, 1), sliced = whole.copy();
      const Matrix targets = Matrix::random(rows, outputs, 2), losses(2, rows);
      std::vector<std::int32_t> labels;
      for (int r = 0; r < rows; ++r) labels.push_back(r * 7 % 10);
      k->loss_step({loss, rows, outputs, rows, whole.data(), labels.data(), targets.data(), losses.row(0)}, 0, 1);
      for (const std::int64_t begin : {std::int64_t{0}, first}) {
        k->loss_step({loss, begin ? rows - first : first, outputs, rows, sliced.row(begin), labels.data() + begin,
                      targets.row(begin), losses.row(1) + begin},
                     0, 1);
      }
      CHECK(sliced.same_bits(whole));
      CHECK(worst(1, rows, losses, [&](std::int64_t, std::int64_t r) { return losses(1, r); }) == 0);
    }
  }
}
