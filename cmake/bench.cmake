# The benchmark of the kernels, for bench/kernels.py.
add_executable(shoal_kernels bench/kernels.cpp)
target_include_directories(shoal_kernels PRIVATE csrc)
target_link_libraries(shoal_kernels PRIVATE shoal_core shoal_options)
