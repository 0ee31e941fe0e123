#include "engine/augment.h"

#include <algorithm>
#include <cstring>

namespace shoal {
namespace {

struct Draw {
  std::int64_t dy, dx;
  bool mirrored;
};

Draw draw(const Augmentation& a, std::uint32_t row) {
  const auto words = philox({0, row, a.step, stream(Purpose::augment)}, a.key);
  const auto shift = [&](std::uint32_t word) {
    return static_cast<std::int64_t>(word * (2 * static_cast<std::uint64_t>(a.pad) + 1) >> 32) - a.pad;
  };
  return {shift(words[0]), shift(words[1]), a.flip && words[2] >> 31 != 0};
}

// The places that come from inside a row or column of `size` places that is moved by `by`.
struct Span {
  std::int64_t begin, end;
};

Span moved(std::int64_t size, std::int64_t by) {
  const std::int64_t begin = std::clamp<std::int64_t>(by, 0, size);
  return {begin, std::clamp(size + by, begin, size)};
}

template <class T>
void zero(T* to, std::int64_t count) {
  std::memset(to, 0, static_cast<std::size_t>(count) * sizeof(T));
}

template <class T>
void copy(const T* from, std::int64_t count, T* to) {
  std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(T));
}

// `last` is the pixel that becomes the first.
template <class T>
void copy_mirrored(const T* last, std::int64_t pixels, std::int64_t channels, T* to) {
  for (std::int64_t i = 0; i < pixels; ++i) {
    for (std::int64_t c = 0; c < channels; ++c) to[i * channels + c] = last[c - i * channels];
  }
}

}  // namespace

template <class T>
void augment(const Augmentation& a, std::int64_t height, std::int64_t width, std::int64_t channels, std::uint32_t row,
             const T* from, T* to) {
  const auto [dy, dx, mirrored] = draw(a, row);
  const Span rows = moved(height, -dy), columns = moved(width, mirrored ? dx : -dx);
  const std::int64_t line = width * channels, left = columns.begin * channels, right = columns.end * channels;
  if (left == right) return zero(to, height * line);  // shifted out of sight
  zero(to, rows.begin * line);
  for (std::int64_t h = rows.begin; h < rows.end; ++h) {
    const T* source = from + (h + dy) * line;
    T* target = to + h * line;
    zero(target, left);
    if (mirrored) {
      copy_mirrored(source + (width - 1 - columns.begin + dx) * channels, columns.end - columns.begin, channels,
                    target + left);
    } else {
      copy(source + left + dx * channels, right - left, target + left);
    }
    zero(target + right, line - right);
  }
  zero(to + rows.end * line, (height - rows.end) * line);
}

template void augment(const Augmentation&, std::int64_t, std::int64_t, std::int64_t, std::uint32_t, const std::uint8_t*,
                      std::uint8_t*);
template void augment(const Augmentation&, std::int64_t, std::int64_t, std::int64_t, std::uint32_t, const float*,
                      float*);

}  // namespace shoal
