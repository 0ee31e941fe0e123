// Tensor cores, emulated: roundings by their bits, fragments by the layout that mma_cuda.h states, and whole products.
// The layout's mistakes are planted, too.
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <random>
#include <vector>

#include <cuda_runtime.h>
#include "kernels/tensor_product_cuda.h"

using namespace shoal::cuda;
using emulation::Fault;

namespace {

float from_bits(unsigned bits) { return std::bit_cast<float>(bits); }
float rounded(const Fp32&, float x) { return x; }
float rounded(const SplitTf32&, float x) { return x; }
float rounded(const Tf32&, float x) { return from_bits(round_to_tf32(x)); }
float rounded(const Bf16&, float x) { return from_bits(unsigned{round_to_bf16(x)} << 16); }

void on_one_warp(const std::function<void()>& body) { emulation::launch(dim3(1), dim3(32), 0, body); }

// A (16 x depth) and B (depth x 8) of small whole numbers, exact in every format.
struct Small {
  std::vector<float> a, b;
  int depth;

  explicit Small(int depth_) : depth(depth_) {
    for (int i = 0; i < 16 * depth; ++i) a.push_back(static_cast<float>(i * 7 % 23 - 11));
    for (int i = 0; i < depth * 8; ++i) b.push_back(static_cast<float>(i * 5 % 19 - 9));
  }
  float product(int row, int column) const {
    float sum = 0;
    for (int k = 0; k < depth; ++k)
      sum += a[static_cast<std::size_t>(row * depth + k)] * b[static_cast<std::size_t>(k * 8 + column)];
    return sum;
  }
  // Word w of row i: one number, or two.
  template <class F>
  unsigned word(const std::vector<float>& from, int row, int word, int row_stride, int k_stride) const {
    float packed = 0;
    for (int i = 0; i < F::kPerWord; ++i) {
      const int k = word * F::kPerWord + i;
      F::put(&packed, i, from[static_cast<std::size_t>(row * row_stride + k * k_stride)]);
    }
    return __float_as_uint(packed);
  }
};

enum class Mistake { none, rows_swapped, words_swapped, unrounded, a_lane_less };

// D by one instruction, its words laid out as mma_cuda.h says.
template <class F>
std::vector<float> by_fragments(const Small& small, Mistake mistake) {
  std::vector<float> out(16 * 8);
  on_one_warp([&] {
    const int lane = static_cast<int>(threadIdx.x), g = lane / 4, t = lane % 4;
    unsigned a[4], b[2];
    for (int i = 0; i < 4; ++i) a[i] = small.word<F>(small.a, g + i % 2 * 8, t + i / 2 * 4, small.depth, 1);
    for (int i = 0; i < 2; ++i) b[i] = small.word<F>(small.b, g, t + i * 4, 1, 8);
    if (mistake == Mistake::rows_swapped) std::swap(a[1], a[2]);
    if (mistake == Mistake::words_swapped) std::swap(b[0], b[1]);
    if (mistake == Mistake::unrounded) a[0] |= 1;
    if (mistake == Mistake::a_lane_less && lane == 13) return;
    float d[4] = {};
    F::multiply_add(a, b, d);
    for (int i = 0; i < 4; ++i) out[static_cast<std::size_t>((g + i / 2 * 8) * 8 + t * 2 + i % 2)] = d[i];
  });
  return out;
}

template <class F>
void check_fragments(int depth) {
  const Small small(depth);
  std::vector<float> want;
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < 8; ++column) want.push_back(small.product(row, column));
  }
  CHECK(by_fragments<F>(small, Mistake::none) == want);
  CHECK(by_fragments<F>(small, Mistake::rows_swapped) != want);
  CHECK(by_fragments<F>(small, Mistake::words_swapped) != want);
  CHECK_THROWS_AS(by_fragments<F>(small, Mistake::a_lane_less), Fault);
}

// Rows of numbers, side by side along k or along the rows.
template <bool along_depth>
struct Matrix {
  static constexpr bool kAlongDepth = along_depth;
  const std::vector<float>& values;
  int rows, depth;

  using Row = int;
  int row(int i) const { return i; }
  float at(int row, int k) const {
    if (row >= rows || k >= depth) throw Fault("an element that the matrix does not have");
    return values[static_cast<std::size_t>(along_depth ? row * depth + k : k * rows + row)];
  }
};

template <bool along_rows>
struct Results {
  static constexpr bool kAlongRows = along_rows;
  std::vector<float>& values;
  int columns;

  const Results& part(int) const { return *this; }
  void operator()(int m, int n, float value) const { values[static_cast<std::size_t>(m * columns + n)] += value; }
};

// Largest error of a product in shares of sum |a b|, the factors being rounded to F; missing values count as infinite.
template <class F, class T, bool along_a, bool along_b>
double product_error(int m, int n, int k, int part) {
  std::mt19937 random(7);
  std::normal_distribution<float> draw;
  std::vector<float> a(static_cast<std::size_t>(m * k)), b(static_cast<std::size_t>(n * k));
  for (std::vector<float>* values : {&a, &b})
    std::generate(values->begin(), values->end(), [&] { return draw(random); });
  std::vector<float> got(static_cast<std::size_t>(m * n));
  const Matrix<along_a> from_a{a, m, k};
  const Matrix<along_b> from_b{b, n, k};
  emulation::launch(dim3(1), dim3(kThreads), kProductFloats * sizeof(float),
                    [&] { multiply<F, T>(Team{0, 1}, m, n, k, part, from_a, from_b, Results<!along_a>{got, n}); });
  double worst = 0;
  for (int row = 0; row < m; ++row) {
    for (int column = 0; column < n; ++column) {
      double sum = 0, size = 0;
      for (int i = 0; i < k; ++i) {
        const double product = double{rounded(F{}, from_a.at(row, i))} * rounded(F{}, from_b.at(column, i));
        sum += product;
        size += std::abs(product);
      }
      const double error = std::abs(got[static_cast<std::size_t>(row * n + column)] - sum) / size;
      worst = error <= worst ? worst : std::isnan(error) ? INFINITY : error;
    }
  }
  return worst;
}

// By every tile: one that is not full, parts of the depth, both ways of lying in memory.
template <class F>
void check_products(double tolerance) {
  for (const int rows : {33, 130}) {
    for (const int columns : {5, 13, 31, 40}) {
      CAPTURE(rows);
      CAPTURE(columns);
      const auto forward = [&]<class T>(T) { return product_error<F, T, false, true>(rows, columns, 37, 37); };
      const auto backward = [&]<class T>(T) { return product_error<F, T, false, false>(rows, columns, 70, 70); };
      CHECK(with_position_tile(rows, columns, forward) <= tolerance);
      CHECK(with_position_tile(rows, columns, backward) <= tolerance);
      const auto weights = [&]<class T>(T) { return product_error<F, T, true, true>(columns, rows, 90, 64); };
      CHECK(with_weight_tile(columns, weights) <= tolerance);
    }
  }
}

}  // namespace

TEST_CASE("cuda: numbers are rounded to TF32 and BF16 bit for bit") {
  CHECK(round_to_tf32(1.0f) == 0x3F800000);
  CHECK(round_to_tf32(from_bits(0x3F800FFF)) == 0x3F800000);  // just below half
  CHECK(round_to_tf32(from_bits(0x3F801000)) == 0x3F802000);  // half: away from zero,
  CHECK(round_to_tf32(from_bits(0x3F803000)) == 0x3F804000);  // to even or not,
  CHECK(round_to_tf32(from_bits(0xBF801000)) == 0xBF802000);  // on both sides
  CHECK(round_to_tf32(from_bits(0x3FFFFFFF)) == 0x40000000);  // into the next power of two
  CHECK(round_to_tf32(-0.0f) == 0x80000000);
  CHECK(round_to_tf32(INFINITY) == 0x7F800000);
  CHECK(round_to_tf32(from_bits(0x7F7FFFFF)) == 0x7F800000);
  CHECK(std::isnan(from_bits(round_to_tf32(NAN))));

  CHECK(round_to_bf16(1.0f) == 0x3F80);
  CHECK(round_to_bf16(from_bits(0x3F807FFF)) == 0x3F80);  // just below half
  CHECK(round_to_bf16(from_bits(0x3F808000)) == 0x3F80);  // half: to even,
  CHECK(round_to_bf16(from_bits(0x3F818000)) == 0x3F82);  // up or down,
  CHECK(round_to_bf16(from_bits(0xBF818000)) == 0xBF82);  // on both sides
  CHECK(round_to_bf16(from_bits(0x3F808001)) == 0x3F81);
  CHECK(round_to_bf16(from_bits(0x3FFFFFFF)) == 0x4000);
  CHECK(round_to_bf16(-0.0f) == 0x8000);
  CHECK(round_to_bf16(-INFINITY) == 0xFF80);
  CHECK(round_to_bf16(from_bits(0x7F7FFFFF)) == 0x7F80);
  CHECK(std::isnan(from_bits(unsigned{round_to_bf16(NAN)} << 16)));
}

TEST_CASE("cuda: fragments lie as documented, and mistakes show") {
  check_fragments<Tf32>(8);
  check_fragments<Bf16>(16);
  check_fragments<SplitTf32>(8);
  CHECK_THROWS_AS(by_fragments<Tf32>(Small(8), Mistake::unrounded), Fault);
}

// Sums of up to 90 fp32 products: 2^-24 for each rounding, of which an instruction has one.
TEST_CASE("cuda: every tile's product is that of its rounded factors") {
  check_products<Fp32>(3e-6);
  check_products<Tf32>(1e-6);
  check_products<Bf16>(1e-6);
}

// What is left out is 3 * 2^-22 of a product at most; and 2^-24 for each sum.
TEST_CASE("cuda: three products of TF32 are nearly one of fp32") { check_products<SplitTf32>(1e-6); }
