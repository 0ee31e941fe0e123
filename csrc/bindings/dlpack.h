// The memory layout that the DLPack project fixes for exchange between libraries (its dlpack.h, version 0.8).
#pragma once

#include <cstdint>

namespace shoal::bindings {

struct DlTensor {
  void* data;
  std::int32_t device_type, device_id;
  std::int32_t dimensions;
  std::uint8_t type_code, type_bits;
  std::uint16_t type_lanes;
  std::int64_t *shape, *strides;  // strides: in values, null: row-major
  std::uint64_t byte_offset;
};
struct DlManagedTensor {
  DlTensor tensor;
  void* context;
  void (*free)(DlManagedTensor*);
};
inline constexpr std::int32_t kCuda = 2, kCudaManaged = 13;
inline constexpr std::uint8_t kInteger = 0, kUnsigned = 1, kFloat = 2;

}  // namespace shoal::bindings
