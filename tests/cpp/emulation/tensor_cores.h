// Twins of the tensor cores' instructions (csrc/kernels/mma_cuda.h), from the PTX ISA's description of each: where its
// tables name element i of a lane, so does this, and nothing is shared with the kernels' view in words.
//
// PTX leaves open how the sums of one instruction round; here they are exact, and rounded once.
#pragma once

#include "kernel.h"

namespace emulation {

// cvt.rna.tf32.f32
inline std::uint32_t round_to_tf32(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if (std::isnan(x)) return 0x7FFFFFFFu & ~0x1FFFu;
  return std::isinf(x) ? bits : (bits + 0x1000u) & ~0x1FFFu;
}

// cvt.rn.bf16.f32
inline std::uint16_t round_to_bf16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if (std::isnan(x)) return 0x7FFF;
  return static_cast<std::uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

// Each lane brings its elements and takes its sums. element(words, i) is number i of those in a lane's words;
// where_a(group, in_group, i) and where_b(group, in_group, i) are its row and column.
template <class Element, class WhereA, class WhereB>
void multiply_add(const unsigned (&a)[4], const unsigned (&b)[2], float (&d)[4], int depth, const Element& element,
                  const WhereA& where_a, const WhereB& where_b) {
  const Thread& mine = self();
  Factors& factors = mine.block->factors[mine.index.x / kWarpSize];
  const int lane = static_cast<int>(mine.index.x % kWarpSize), group = lane / 4, in_group = lane % 4;
  for (int i = 0; i < depth / 2; ++i) {
    const auto [row, column] = where_a(group, in_group, i);
    factors.a[row][column] = element(a, i);
  }
  for (int i = 0; i < depth / 4; ++i) {
    const auto [row, column] = where_b(group, in_group, i);
    factors.b[row][column] = element(b, i);
  }
  __syncwarp();
  for (int i = 0; i < 4; ++i) {
    const int row = i < 2 ? group : group + 8, column = in_group * 2 + i % 2;
    double sum = d[i];
    for (int k = 0; k < depth; ++k) sum += double{factors.a[row][k]} * factors.b[k][column];
    d[i] = static_cast<float>(sum);
  }
  __syncwarp();  // all have read
}

// mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32
inline void mma_m16n8k8_tf32(const unsigned (&a)[4], const unsigned (&b)[2], float (&d)[4]) {
  const auto element = [](const unsigned* words, int i) {
    if (words[i] & 0x1FFFu) throw Fault("a factor of a TF32 product that is not rounded");
    return std::bit_cast<float>(words[i]);
  };
  const auto where_a = [](int group, int in_group, int i) {
    return std::pair(i == 0 || i == 2 ? group : group + 8, i == 0 || i == 1 ? in_group : in_group + 4);
  };
  const auto where_b = [](int group, int in_group, int i) {
    return std::pair(i == 0 ? in_group : in_group + 4, group);
  };
  multiply_add(a, b, d, 8, element, where_a, where_b);
}

// mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32
inline void mma_m16n8k16_bf16(const unsigned (&a)[4], const unsigned (&b)[2], float (&d)[4]) {
  const auto element = [](const unsigned* words, int i) {
    return std::bit_cast<float>((i % 2 ? words[i / 2] >> 16 : words[i / 2] & 0xFFFFu) << 16);
  };
  const auto where_a = [](int group, int in_group, int i) {
    return std::pair(i < 2 || (i >= 4 && i < 6) ? group : group + 8, in_group * 2 + i % 2 + (i < 4 ? 0 : 8));
  };
  const auto where_b = [](int group, int in_group, int i) {
    return std::pair(in_group * 2 + i % 2 + (i < 2 ? 0 : 8), group);
  };
  multiply_add(a, b, d, 16, element, where_a, where_b);
}

}  // namespace emulation
