# cmake --install: libxinfer (one shared library of the modules that users need), its headers, find_package(xinfer),
# pkg-config, and the programs.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(library_modules base target tensor engine runtime api hub zoo)
set(archives "")
set(archive_targets "")
foreach(name ${library_modules})
  get_target_property(type xi_${name} TYPE)
  if(type STREQUAL "STATIC_LIBRARY")
    list(APPEND archives $<TARGET_FILE:xi_${name}>)
    list(APPEND archive_targets xi_${name})
  endif()
endforeach()

# The archives go in whole: nothing inside the library calls the public API. Linking the targets too brings in what they
# depend on. Only the public names are exported, so that users' own fmt or JSON never meets ours.
file(WRITE ${CMAKE_BINARY_DIR}/empty.cpp "")
add_library(xinfer SHARED ${CMAKE_BINARY_DIR}/empty.cpp)
set_target_properties(xinfer PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
  LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib LINK_DEPENDS ${CMAKE_SOURCE_DIR}/cmake/exports.map)
target_link_libraries(xinfer PRIVATE -Wl,--whole-archive ${archives} -Wl,--no-whole-archive ${archive_targets}
  -Wl,--no-undefined -Wl,--version-script=${CMAKE_SOURCE_DIR}/cmake/exports.map)
add_dependencies(xinfer ${archive_targets})
target_compile_features(xinfer INTERFACE cxx_std_17)
target_include_directories(xinfer INTERFACE $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

install(TARGETS xinfer EXPORT xinferTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/xinfer DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
foreach(name xinfer-cli ignition-hub ignition-agent)
  if(TARGET ${name})
    install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
endforeach()

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/xinfer)
install(EXPORT xinferTargets NAMESPACE xinfer:: DESTINATION ${package_folder})
configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/xinferConfig.cmake.in ${CMAKE_BINARY_DIR}/xinferConfig.cmake
  INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/xinferConfigVersion.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${CMAKE_BINARY_DIR}/xinferConfig.cmake ${CMAKE_BINARY_DIR}/xinferConfigVersion.cmake DESTINATION ${package_folder})
# Relative, so that an installed tree can be moved.
file(RELATIVE_PATH up_to_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(${CMAKE_SOURCE_DIR}/cmake/xinfer.pc.in ${CMAKE_BINARY_DIR}/xinfer.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/xinfer.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
