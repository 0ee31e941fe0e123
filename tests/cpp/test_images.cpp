// The kernels of images: every instruction set this machine has against plain loops in double, and against the kernels
// of rows where they must agree bit for bit.
#include <doctest/doctest.h>

#include <array>
#include <random>

#include "teams.h"

using namespace shoal;
using test::for_each_table;
using test::Images;
using test::kActivations;
using test::Matrix;
using test::plain;
using test::run_as_teams;
using test::same_bits;
using test::worst;

namespace {

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
