// The three kinds of error the core throws. It never prints, exits or aborts, and works after a throw.
#pragma once

#include <stdexcept>
#include <string>

namespace shoal {

// A wrong argument: the message names the value, the rule and what was expected (Python: ValueError).
struct InvalidArgument : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

// A device that failed or is not there (Python: shoal.DeviceError).
struct DeviceError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Out of memory is std::bad_alloc or a subclass of it that names the size (Python: MemoryError).

inline void require(bool holds, const std::string& message) {
  if (!holds) throw InvalidArgument(message);
}

}  // namespace shoal
