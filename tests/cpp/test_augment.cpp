#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "arrays.h"
#include "engine/augment.h"
#include "engine/batch.h"
#include "kernels/kernels.h"
#include "pictures.h"

using namespace shoal;
using test::Pictures;

namespace {

// Pixel by pixel, from the formula.
template <class T>
std::vector<T> expected(const Augmentation& a, std::int64_t H, std::int64_t W, std::int64_t C, std::uint32_t row,
                        const std::vector<T>& from) {
  const auto words = philox({0, row, a.step, 4u << 24}, a.key);
  const auto p = static_cast<std::uint64_t>(a.pad);
  const std::int64_t dy = static_cast<std::int64_t>((words[0] * (2 * p + 1)) >> 32) - a.pad;
  const std::int64_t dx = static_cast<std::int64_t>((words[1] * (2 * p + 1)) >> 32) - a.pad;
  const bool flip = a.flip && (words[2] >> 31);
  std::vector<T> to;
  for (std::int64_t h = 0; h < H; ++h) {
    for (std::int64_t w = 0; w < W; ++w) {
      const std::int64_t y = h + dy, x = (flip ? W - 1 - w : w) + dx;
      const bool inside = 0 <= y && y < H && 0 <= x && x < W;
      for (std::int64_t c = 0; c < C; ++c) {
        to.push_back(inside ? from[static_cast<std::size_t>((y * W + x) * C + c)] : T{0});
      }
    }
  }
  return to;
}

// No entry is 0, and neighbours differ.
template <class T>
std::vector<T> image(std::int64_t size) {
  std::vector<T> values;
  for (std::int64_t i = 0; i < size; ++i) values.push_back(static_cast<T>(1 + i % 251));
  return values;
}

template <class T>
std::vector<T> augmented(const Augmentation& a, std::int64_t H, std::int64_t W, std::int64_t C, std::uint32_t row,
                         const std::vector<T>& from) {
  std::vector<T> to(from.size() + 1, T{77});  // what was there must be overwritten, and nothing beyond the end
  augment(a, H, W, C, row, from.data(), to.data());
  CHECK(to.back() == T{77});
  to.pop_back();
  return to;
}

}  // namespace

TEST_CASE_TEMPLATE("images are shifted and mirrored by the formula", T, std::uint8_t, float) {
  constexpr std::array<std::array<std::int64_t, 2>, 6> kSizes{{{1, 1}, {1, 7}, {5, 1}, {4, 6}, {9, 3}, {32, 32}}};
  for (const auto& [H, W] : kSizes) {
    for (const std::int64_t C : {1, 2, 3, 5}) {
      const auto from = image<T>(H * W * C);
      for (const std::int64_t pad : {0, 1, 4, 40, 2147483647}) {
        for (const bool flip : {false, true}) {
          const Augmentation a{.pad = pad, .flip = flip, .key = {9, 3}, .step = 17};
          INFO(H, " x ", W, " x ", C, ", pad ", pad, ", flip ", flip);
          for (std::uint32_t row = 0; row < 50; ++row) {
            CHECK(augmented(a, H, W, C, row, from) == expected(a, H, W, C, row, from));
          }
        }
      }
    }
  }
}

TEST_CASE("without a shift and a mirror an image is copied") {
  const auto from = image<float>(4 * 5 * 3);
  CHECK(augmented({.pad = 0, .flip = false, .key = {1, 2}, .step = 3}, 4, 5, 3, 6, from) == from);
}

TEST_CASE("every shift is drawn about equally often, each mirrored half of the time") {
  // A single bright pixel in the middle tells where it went; a second one beside it, which way round.
  constexpr std::int64_t kPad = 2, kSize = 7, kDraws = 20000;
  std::vector<std::uint8_t> from(kSize * kSize);
  from[3 * kSize + 3] = 1;
  from[3 * kSize + 4] = 2;
  std::array<std::array<int, 2>, 25> counts{};
  for (std::uint32_t i = 0; i < kDraws; ++i) {
    const Augmentation a{.pad = kPad, .flip = true, .key = {i % 7, i % 11}, .step = i};
    const auto to = augmented(a, kSize, kSize, 1, i % 32, from);
    const auto place = std::find(to.begin(), to.end(), 1) - to.begin();
    const bool mirrored = place % kSize > 0 && to[static_cast<std::size_t>(place - 1)] == 2;
    const std::int64_t dy = place / kSize - 1, dx = place % kSize - 1;
    ++counts[static_cast<std::size_t>(dy * 5 + dx)][mirrored];
  }
  double chi2 = 0;
  for (const auto& pair : counts) {
    for (const int count : pair) chi2 += (count - kDraws / 50.0) * (count - kDraws / 50.0) / (kDraws / 50.0);
  }
  CHECK(chi2 < 96);  // 49 degrees of freedom: p = 7e-5 at 96
}

TEST_CASE("the draw depends on seed, member, step and row") {
  const auto from = image<std::uint8_t>(16 * 16);
  const auto with = [&](PhiloxKey key, std::uint32_t step, std::uint32_t row) {
    return augmented({.pad = 8, .flip = true, .key = key, .step = step}, 16, 16, 1, row, from);
  };
  const auto base = with({1, 2}, 3, 4);
  CHECK(base == with({1, 2}, 3, 4));
  for (const auto& other : {with({2, 2}, 3, 4), with({1, 3}, 3, 4), with({1, 2}, 4, 4), with({1, 2}, 3, 5)}) {
    CHECK(base != other);
  }
}

TEST_CASE_TEMPLATE("images are augmented as their place in the batch wants it, whatever the slice", T, std::uint8_t,
                   float) {
  const std::int64_t rows = 37, features = 5 * 4 * 3;
  const Pictures pictures(50, {5, 4, 3});
  Dataset set{.samples = 50, .shape = pictures.shape};
  const auto* raw = [&] {
    if constexpr (std::is_same_v<T, float>) {
      return set.x_f32 = pictures.x.data();
    } else {
      return set.x_u8 = pictures.bytes.data();
    }
  }();
  const Data data(set, Loss::mse, Use::prediction);
  const Augmentation augmentation{.pad = 2, .flip = true, .key = {1, 2}, .step = 3};
  for (const bool image : {true, false}) {
    CAPTURE(image);
    const Layer first = image ? layer::conv2d(2, 1) : layer::dense(2);
    const Program program = compile({{first}}, pictures.shape);
    const Tensor& tensor = program.tensors[0];
    REQUIRE(tensor.is_image == image);
    const auto carve = [&](Arena arena) { return Batch(program, Loss::mse, rows, 32, arena); };
    const Buffer block(1 << 20);
    const Batch batch = carve(Arena(reinterpret_cast<float*>(block.data())));
    for (std::uint32_t r = 0; r < rows; ++r) batch.index()[r] = r * 7 % 50;
    for (const Slice& slice : {Slice{0, 16, true, false}, Slice{16, 21, false, true}}) {
      const test::Matrix as_rows(slice.rows, features);
      const test::Images as_image(slice.rows, {5, 4, 3}, kernels().lanes);
      batch.gather_inputs(data, tensor, slice, augmentation, image ? as_image.data() : as_rows.data(), {});
      for (std::int64_t r = 0; r < slice.rows; ++r) {
        std::vector<T> want(static_cast<std::size_t>(features));
        const auto place = static_cast<std::uint32_t>(slice.first + r);
        augment(augmentation, 5, 4, 3, place, raw + batch.index()[place] * features, want.data());
        for (std::int64_t f = 0; f < features; ++f) {
          CHECK((image ? as_image(r, f) : as_rows(r, f)) == static_cast<float>(want[static_cast<std::size_t>(f)]));
        }
      }
    }
  }
}
