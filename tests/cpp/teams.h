// What the tests of images and of slices share: teams that must write the same bits, and every instruction set.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "arrays.h"
#include "kernels/kernels.h"

namespace shoal::test {

inline constexpr Activation kActivations[] = {Activation::identity, Activation::relu, Activation::leaky_relu,
                                              Activation::sigmoid, Activation::tanh};

// Sums of up to 2000 products of numbers below 1, in float32 in an order of their own: about sqrt(2000) 2^-24 each.
inline constexpr double kTolerance = 2e-5;

inline bool same_bits(std::span<const float> a, std::span<const float> b) {
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

}  // namespace shoal::test
