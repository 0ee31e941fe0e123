// Initial weights on the CPU: W pairs of weights at once.
#pragma once

#include "kernels/initial.h"
#include "kernels/simd.h"

namespace shoal::SHOAL_ISA {

// Half h of W pairs, scaled, side by side: a vector of weights.
template <int h>
SHOAL_INLINE vf initial_half(const InitialWeights& f, const Words& words) {
  const Doubles::Word w[4] = {half<h>(words.w[0]), half<h>(words.w[1]), half<h>(words.w[2]), half<h>(words.w[3])};
  Doubles::Number a, b;
  initial_numbers<Doubles>(f.drawn, w, a, b);
  return side_by_side(a * f.width, b * f.width);
}

static void initial_weights(const InitialWeights& f, int rank, int size) {
  const Range rows = share(f.outputs, rank, size);
  const vu lane = reinterpret_cast<vu>(lane_index());
  const vu purpose = vu{} + stream(Purpose::initial_weights, f.layer), seed = vu{} + f.key.seed, id = vu{} + f.key.id;
  for (std::int64_t o = rows.begin; o < rows.end; ++o) {
    float* row = f.weight + o * f.stride;
    for (std::int64_t i = 0; i < f.inputs; i += 2 * W) {
      const Words words = philox(lane + static_cast<std::uint32_t>(i / 2), vu{} + static_cast<std::uint32_t>(o), vu{},
                                 purpose, seed, id);
      const vi left = static_cast<std::int32_t>(f.inputs - i) - lane_index();  // lanes that are weights have some
      store(row + i, select(left > 0, initial_half<0>(f, words), vf{}));
      if (f.inputs - i > W) store(row + i + W, select(left > W, initial_half<1>(f, words), vf{}));
    }
  }
}

}  // namespace shoal::SHOAL_ISA
