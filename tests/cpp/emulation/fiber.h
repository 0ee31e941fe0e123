// Stacks that a thread changes between by itself.
#pragma once

#include <ucontext.h>

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace emulation {

// Where a fiber goes on, or where it begins.
struct Context {
  ucontext_t start{};
  void* at[5]{};
  bool begun = false;
};

// AddressSanitizer has to be told whose stack is in use.
#if defined(__SANITIZE_ADDRESS__)
inline void leave_for(const stack_t& stack) { __sanitizer_start_switch_fiber(nullptr, stack.ss_sp, stack.ss_size); }
inline stack_t arrive() {
  const void* bottom = nullptr;
  std::size_t size = 0;
  __sanitizer_finish_switch_fiber(nullptr, &bottom, &size);
  return {const_cast<void*>(bottom), 0, size};
}
#else
inline void leave_for(const stack_t&) {}
inline stack_t arrive() { return {}; }
#endif

__attribute__((noinline, no_sanitize_address)) inline void go_on(Context& context) {
  if (context.begun) __builtin_longjmp(context.at, 1);
  setcontext(&context.start);
}

// Returns when the other changes back. Not by swapcontext, which asks the kernel for the mask of signals every time, nor
// by the library's longjmp, at which AddressSanitizer clears its notes of the stack, and asks the kernel for another.
__attribute__((noinline, no_sanitize_address)) inline void change(Context& from, Context& to) {
  from.begun = true;
  leave_for(to.start.uc_stack);
  if (__builtin_setjmp(from.at) == 0) go_on(to);
  arrive();
}

}  // namespace emulation
