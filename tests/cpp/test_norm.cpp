// The kernels of batch normalisation, of images and of rows: every instruction set this machine has against plain loops
// in double.
#include <doctest/doctest.h>

#include <type_traits>

#include "teams.h"

using namespace shoal;
using test::Images;
using test::kActivations;
using test::kTolerance;
using test::Matrix;
using test::plain;
using test::run_as_teams;
using test::worst;

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
