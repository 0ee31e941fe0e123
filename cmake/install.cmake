# `cmake --install` gives other C++ projects find_package(shoal CONFIG) with the target shoal::shoal.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/shoal)

install(TARGETS shoal_core EXPORT shoal ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(DIRECTORY csrc/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
install(EXPORT shoal NAMESPACE shoal:: FILE shoal-targets.cmake DESTINATION ${package_dir} COMPONENT development)

write_basic_package_version_file(shoal-config-version.cmake COMPATIBILITY SameMinorVersion)
configure_file(cmake/shoal-config.cmake.in shoal-config.cmake @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/shoal-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/shoal-config-version.cmake
  DESTINATION ${package_dir} COMPONENT development)
