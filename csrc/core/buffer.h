// A block of zeroed memory aligned to cache lines, owned by one object and never copied.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>

namespace shoal {

inline constexpr std::size_t kAlignment = 64;

// Out of memory, with the size that was asked for, or what else there is to say.
class OutOfMemory : public std::bad_alloc {
 public:
  explicit OutOfMemory(std::size_t bytes) : message_("out of memory: " + std::to_string(bytes) + " bytes asked for") {}
  explicit OutOfMemory(std::string message) : message_(std::move(message)) {}
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  std::string message_;
};

class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t bytes) : size_(bytes) {
    const std::size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    if (rounded == 0) return;
    data_.reset(static_cast<std::byte*>(std::aligned_alloc(kAlignment, rounded)));
    if (!data_) throw OutOfMemory(bytes);
    std::memset(data_.get(), 0, rounded);
  }

  std::byte* data() const { return data_.get(); }
  std::size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::unique_ptr<std::byte, Free> data_;
  std::size_t size_ = 0;
};

}  // namespace shoal
