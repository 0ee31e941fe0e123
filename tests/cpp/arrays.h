// Random arrays in the kernels' layout, and plain loops in double to compare with.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <vector>

#include "core/buffer.h"
#include "kernels/dense.h"
#include "kernels/image.h"

namespace shoal::test {

// Rows of `columns` values, padded(columns) floats apart, aligned, padding zero.
class Matrix {
 public:
  Matrix(std::int64_t row_count, std::int64_t column_count)
      : rows(row_count),
        columns(column_count),
        stride(padded(column_count)),
        buffer_(static_cast<std::size_t>(rows * stride) * sizeof(float)) {}

  static Matrix random(std::int64_t rows, std::int64_t columns, unsigned seed, float low = -1, float high = 1) {
    Matrix m(rows, columns);
    std::mt19937 engine(seed);
    std::uniform_real_distribution<float> draw(low, high);
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t c = 0; c < columns; ++c) m(r, c) = draw(engine);
    }
    return m;
  }

  Matrix copy() const {
    Matrix m(rows, columns);
    std::memcpy(m.data(), data(), buffer_.size());
    return m;
  }

  float* data() const { return reinterpret_cast<float*>(buffer_.data()); }
  float* row(std::int64_t r) const { return data() + r * stride; }
  std::span<float> values() const { return {data(), buffer_.size() / sizeof(float)}; }
  float& operator()(std::int64_t r, std::int64_t c) const { return data()[r * stride + c]; }
  bool same_bits(const Matrix& other) const { return std::memcmp(data(), other.data(), buffer_.size()) == 0; }
  bool padding_is_zero() const {
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t c = columns; c < stride; ++c) {
        if ((*this)(r, c) != 0) return false;
      }
    }
    return true;
  }

  std::int64_t rows, columns, stride;

 private:
  Buffer buffer_;
};

// Images with the samples in the lanes (kernels/image.h), aligned. All starts as NaN, the vectors between pixels too, so
// that a kernel that reads what nobody wrote is found out.
class Images {
 public:
  Images(std::int64_t sample_count, const Image& image_, int lane_count)
      : samples(sample_count),
        image(image_),
        lanes(lane_count),
        groups((samples + lanes - 1) / lanes),
        buffer_(static_cast<std::size_t>(groups * image_vectors(image) * lanes) * sizeof(float)) {
    std::fill(values().begin(), values().end(), NAN);
  }

  // The lanes without a sample hold copies of the first one.
  static Images random(std::int64_t samples, const Image& image, int lanes, unsigned seed, float low = -1,
                       float high = 1) {
    Images images(samples, image, lanes);
    std::mt19937 engine(seed);
    std::uniform_real_distribution<float> draw(low, high);
    for (std::int64_t s = 0; s < images.groups * lanes; ++s) {
      for (std::int64_t f = 0; f < image.features(); ++f) images(s, f) = s < samples ? draw(engine) : images(0, f);
    }
    return images;
  }

  // As random(), the lanes without a sample being zero.
  static Images random_gradient(std::int64_t samples, const Image& image, int lanes, unsigned seed) {
    Images images = random(samples, image, lanes, seed);
    for (std::int64_t s = samples; s < images.groups * lanes; ++s) {
      for (std::int64_t f = 0; f < image.features(); ++f) images(s, f) = 0;
    }
    return images;
  }

  Images copy() const {
    Images images(samples, image, lanes);
    std::memcpy(images.data(), data(), buffer_.size());
    return images;
  }

  float* data() const { return reinterpret_cast<float*>(buffer_.data()); }
  float* row(std::int64_t sample) const { return data() + sample / lanes * image_vectors(image) * lanes; }
  std::span<float> values() const { return {data(), buffer_.size() / sizeof(float)}; }
  float& operator()(std::int64_t sample, std::int64_t feature) const {
    const std::int64_t pixel = feature / image.channels, channel = feature % image.channels;
    return row(sample)[(pixel * pixel_vectors(image.channels) + channel) * lanes + sample % lanes];
  }
  // Of the samples alone, not the vectors between pixels.
  bool same_values(const Images& other) const {
    for (std::int64_t s = 0; s < samples; ++s) {
      for (std::int64_t f = 0; f < image.features(); ++f) {
        if (std::memcmp(&(*this)(s, f), &other(s, f), sizeof(float)) != 0) return false;
      }
    }
    return true;
  }
  bool missing_are_zero() const {
    for (std::int64_t s = samples; s < groups * lanes; ++s) {
      for (std::int64_t f = 0; f < image.features(); ++f) {
        if ((*this)(s, f) != 0) return false;
      }
    }
    return true;
  }

  std::int64_t samples;
  Image image;
  int lanes;
  std::int64_t groups;

 private:
  Buffer buffer_;
};

// (rows, columns) without padding, in double.
template <class Array>
std::vector<double> plain(std::int64_t rows, std::int64_t columns, const Array& array) {
  std::vector<double> values;
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < columns; ++c) values.push_back(array(r, c));
  }
  return values;
}

// Largest |got - want| over (1 + |want|); NaN counts as infinite.
template <class Got, class Want>
double worst(std::int64_t rows, std::int64_t columns, const Got& got, const Want& want) {
  double most = 0;
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < columns; ++c) {
      const double w = want(r, c), error = std::abs(got(r, c) - w) / (1 + std::abs(w));
      if (!(error <= most)) most = std::isnan(error) ? INFINITY : error;
    }
  }
  return most;
}

template <class Got>
double worst(std::int64_t rows, std::int64_t columns, const Got& got, const std::vector<double>& want) {
  return worst(rows, columns, got,
               [&](std::int64_t r, std::int64_t c) { return want[static_cast<std::size_t>(r * columns + c)]; });
}

}  // namespace shoal::test
