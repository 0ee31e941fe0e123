# The core library. Everything in csrc but the bindings; no Python, no third-party code.
if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU" OR CMAKE_CXX_COMPILER_VERSION VERSION_LESS 12)
  message(FATAL_ERROR "The kernels are written in GCC's vector extensions and need g++ 12 or newer, "
    "got ${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}. Set CXX=g++.")
endif()
find_package(Threads REQUIRED)

file(GLOB core_sources CONFIGURE_DEPENDS
  csrc/core/*.cpp csrc/kernels/*.cpp csrc/engine/*.cpp csrc/evolve/*.cpp)
if(cuda)
  list(FILTER core_sources EXCLUDE REGEX "/no_cuda\\.cpp$")
  list(APPEND core_sources ${cuda_sources})
endif()
file(GLOB kernel_sources CONFIGURE_DEPENDS csrc/kernels/*.cpp)

# One translation unit per instruction set, chosen at run time; elsewhere than on x86-64 there is only the portable one.
set(avx512_sources ${kernel_sources})
list(FILTER avx512_sources INCLUDE REGEX "_avx512\\.cpp$")
set(avx2_sources ${kernel_sources})
list(FILTER avx2_sources INCLUDE REGEX "_avx2\\.cpp$")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
  set_property(SOURCE ${avx512_sources} APPEND PROPERTY COMPILE_OPTIONS
    -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512)
  set_property(SOURCE ${avx2_sources} APPEND PROPERTY COMPILE_OPTIONS -mavx2 -mfma)
else()
  list(REMOVE_ITEM core_sources ${avx512_sources} ${avx2_sources})
endif()

# No sum is reordered (-ffast-math would) and nothing is fused but where a kernel says so (fma in simd.h): the order and
# the roundings are part of the determinism contract.
set_property(SOURCE ${kernel_sources} APPEND PROPERTY COMPILE_OPTIONS -fno-math-errno -fno-trapping-math)

add_library(shoal_core STATIC ${core_sources})
add_library(shoal::shoal ALIAS shoal_core)
set_target_properties(shoal_core PROPERTIES OUTPUT_NAME shoal EXPORT_NAME shoal)
target_compile_features(shoal_core PUBLIC cxx_std_20)
target_compile_options(shoal_core PRIVATE
  $<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off> $<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr;--threads=2;--fmad=false;--ftz=true;-Xcompiler=-ffp-contract=off>)
target_include_directories(shoal_core
  PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/csrc/include> $<INSTALL_INTERFACE:include>
  PRIVATE csrc ${cuda_include})
target_link_libraries(shoal_core PUBLIC Threads::Threads PRIVATE ${cuda_runtime} $<BUILD_INTERFACE:shoal_options>)
