# The Python module shoal._core: bindings over shoal_core.
set(PYBIND11_FINDPYTHON ON)
find_package(pybind11 CONFIG REQUIRED)

file(GLOB binding_sources CONFIGURE_DEPENDS csrc/bindings/*.cpp)
pybind11_add_module(_core MODULE NO_EXTRAS ${binding_sources})
target_compile_definitions(_core PRIVATE SHOAL_VERSION="${PROJECT_VERSION}")
target_include_directories(_core PRIVATE csrc)
target_link_libraries(_core PRIVATE shoal_core shoal_options)
# pybind11's templates are most of the time of a build and none of the time of a run: one translation unit, little optimised.
if(NOT DEFINED CMAKE_UNITY_BUILD)
  set_target_properties(_core PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 0)
endif()
target_compile_options(_core PRIVATE $<$<CONFIG:Release>:-O1>)
if(NOT APPLE)
  target_link_options(_core PRIVATE -Wl,--exclude-libs,ALL)  # export PyInit__core only
endif()
if(SHOAL_IN_PLACE)
  set_target_properties(_core PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${PROJECT_SOURCE_DIR}/python/shoal)
endif()

install(TARGETS _core DESTINATION shoal COMPONENT python)
