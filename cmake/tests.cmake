# The C++ tests: one program, run once with the best instruction set and once with each lower one.
find_path(DOCTEST_INCLUDE_DIR doctest/doctest.h)
if(NOT DOCTEST_INCLUDE_DIR)
  message(WARNING "doctest/doctest.h not found (Debian: apt install doctest-dev): the C++ tests are left out")
  return()
endif()
enable_testing()

file(GLOB test_sources CONFIGURE_DEPENDS tests/cpp/*.cpp)
add_executable(shoal_tests ${test_sources})
target_include_directories(shoal_tests PRIVATE csrc tests/cpp tests/cpp/emulation)
target_include_directories(shoal_tests SYSTEM PRIVATE ${DOCTEST_INCLUDE_DIR})
target_compile_options(shoal_tests PRIVATE -Wno-unknown-pragmas)  # unroll, in kernels, is nvcc's
target_link_libraries(shoal_tests PRIVATE shoal_core shoal_options)
set_source_files_properties(tests/cpp/test_tensor_cores.cpp PROPERTIES COMPILE_OPTIONS -Wno-unknown-pragmas)  # as kernels are

# The emulated GPU has no instruction set to choose, and its fibers are no threads; under a sanitizer they are slow.
set(without_cuda "--test-case-exclude=cuda:*,emulation:*")
if(SHOAL_SANITIZE STREQUAL "thread")  # kernels start no threads: one instruction set is enough
  add_test(NAME cpp COMMAND shoal_tests ${without_cuda})
  return()
elseif(SHOAL_SANITIZE)
  add_test(NAME cpp COMMAND shoal_tests "--test-case-exclude=cuda: every*,cuda: teams*")
else()
  add_test(NAME cpp COMMAND shoal_tests)
endif()
foreach(isa avx2 portable)
  add_test(NAME cpp_${isa} COMMAND shoal_tests ${without_cuda})
  set_tests_properties(cpp_${isa} PROPERTIES ENVIRONMENT SHOAL_ISA=${isa} SKIP_REGULAR_EXPRESSION "this processor has")
endforeach()
