// How a team divides work.
#pragma once

#include <cstdint>

// Forces a copy into every caller, so that code compiled for one instruction set is never linked into another's.
#define SHOAL_INLINE static inline __attribute__((always_inline))

// A function that GPU kernels call too.
#ifdef __CUDACC__
#define SHOAL_HD __host__ __device__
#else
#define SHOAL_HD
#endif

namespace shoal {

struct Range {
  std::int64_t begin, end;
};

// The part of `count` equal pieces of work that belongs to member `rank` of a team of `size`.
SHOAL_INLINE Range share(std::int64_t count, int rank, int size) {
  return {count * rank / size, count * (rank + 1) / size};
}

}  // namespace shoal
