// The kernels of windows, convolution and pooling: every instruction set this machine has against plain loops in double.
#include <doctest/doctest.h>

#include <array>
#include <random>

#include "teams.h"

using namespace shoal;
using test::for_each_table;
using test::Images;
using test::kActivations;
using test::kTolerance;
using test::Matrix;
using test::plain;
using test::run_as_teams;
using test::worst;

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

}  // namespace

// ---- convolution

namespace {

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
