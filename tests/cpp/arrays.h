// Random arrays in the kernels' layout, and plain loops in double to compare with.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "core/buffer.h"
#include "kernels/dense.h"

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

}  // namespace shoal::test
