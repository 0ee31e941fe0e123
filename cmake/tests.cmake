# The C++ tests: one program, run once with each instruction set, and once for the GPU engine, which is emulated.
find_path(DOCTEST_INCLUDE_DIR doctest/doctest.h)
if(NOT DOCTEST_INCLUDE_DIR)
  message(WARNING "doctest/doctest.h not found (Debian: apt install doctest-dev): the C++ tests are left out")
  return()
endif()
enable_testing()

file(GLOB test_sources CONFIGURE_DEPENDS tests/cpp/*.cpp)
if(NOT cuda)
  list(FILTER test_sources EXCLUDE REGEX "/test_(cuda.*|emulation|tensor_cores)\\.cpp$")
endif()
add_executable(shoal_tests ${test_sources})
target_include_directories(shoal_tests PRIVATE csrc tests/cpp tests/cpp/emulation)
target_include_directories(shoal_tests SYSTEM PRIVATE ${DOCTEST_INCLUDE_DIR})
target_compile_options(shoal_tests PRIVATE -Wno-unknown-pragmas)  # unroll, in kernels, is nvcc's
target_link_libraries(shoal_tests PRIVATE shoal_core shoal_options)

set(on_gpu "cuda:*,arena:*,emulation:*")
set(slow "cuda: every*,cuda: teams*,cuda: at every*,cuda: with three*")  # train many networks
if(cuda)  # first, and in two halves, as they take longest
  add_test(NAME cuda_networks COMMAND shoal_tests "--test-case=${slow}")
  add_test(NAME cuda COMMAND shoal_tests "--test-case=${on_gpu}" "--test-case-exclude=${slow}")
endif()
add_test(NAME cpp COMMAND shoal_tests "--test-case-exclude=${on_gpu}")
if(SHOAL_SANITIZE STREQUAL "thread")  # one instruction set is enough
  return()
endif()
foreach(isa avx2 portable)
  add_test(NAME cpp_${isa} COMMAND shoal_tests "--test-case-exclude=${on_gpu}")
  set_tests_properties(cpp_${isa} PROPERTIES ENVIRONMENT SHOAL_ISA=${isa} SKIP_REGULAR_EXPRESSION "this processor has")
endforeach()
