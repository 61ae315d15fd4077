# libstile: the rooms as one shared object that shows nothing but its C interface (src/client/libstile.map), with its
# headers, for pkg-config and for CMake's find_package(stile).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# stile_library(SOURCES file... USES room...)
function(stile_library)
  cmake_parse_arguments(library "" "" "SOURCES;USES" ${ARGN})
  set(map ${PROJECT_SOURCE_DIR}/src/client/libstile.map)
  add_library(libstile SHARED ${library_SOURCES})
  list(TRANSFORM library_USES PREPEND stile_)
  target_link_libraries(libstile PRIVATE ${library_USES})
  target_include_directories(libstile INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                             $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_definitions(libstile PRIVATE STILE_VERSION="${PROJECT_VERSION}")
  # Its thread may run until the process ends: it is never unloaded before.
  target_link_options(libstile PRIVATE -Wl,--version-script=${map} -Wl,--as-needed -Wl,-z,nodelete)
  if(NOT STILE_SANITIZE)
    target_link_options(libstile PRIVATE -Wl,-z,defs)
  endif()
  set_target_properties(libstile PROPERTIES OUTPUT_NAME stile EXPORT_NAME stile VERSION ${PROJECT_VERSION}
                        SOVERSION ${PROJECT_VERSION_MAJOR} LINK_DEPENDS ${map})

  configure_file(cmake/stile.pc.in ${PROJECT_BINARY_DIR}/stile.pc @ONLY)
  configure_file(cmake/stile-socks.pc.in ${PROJECT_BINARY_DIR}/stile-socks.pc @ONLY)
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/stileConfigVersion.cmake COMPATIBILITY SameMinorVersion)
  set(package ${CMAKE_INSTALL_LIBDIR}/cmake/stile)
  install(TARGETS libstile EXPORT stile LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(DIRECTORY include/stile DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(FILES ${PROJECT_BINARY_DIR}/stile.pc ${PROJECT_BINARY_DIR}/stile-socks.pc
          DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
  install(EXPORT stile FILE stileConfig.cmake NAMESPACE stile:: DESTINATION ${package})
  install(FILES ${PROJECT_BINARY_DIR}/stileConfigVersion.cmake DESTINATION ${package})
endfunction()

# libstile-preload.so, which takes the place of the C library's calls in any program, and so brings as little as can be:
# what it needs of the rooms and of the C++ library is inside it. Beside the executable in the build tree; installed in a
# folder of Stile's own, for nobody links to it.
# stile_preload_library(SOURCES file... USES room...)
function(stile_preload_library)
  cmake_parse_arguments(library "" "" "SOURCES;USES" ${ARGN})
  set(map ${PROJECT_SOURCE_DIR}/src/preload/inside/libstile-preload.map)
  set(folder ${CMAKE_INSTALL_LIBDIR}/stile)
  add_library(stile_inside MODULE ${library_SOURCES})
  list(TRANSFORM library_USES PREPEND stile_)
  target_link_libraries(stile_inside PRIVATE ${library_USES})
  # These calls' own inline forms are not for who defines them; nothing is thrown between C frames.
  target_compile_options(stile_inside PRIVATE -U_FORTIFY_SOURCE -fno-exceptions -fvisibility=default)
  target_link_options(stile_inside PRIVATE -Wl,--version-script=${map} -Wl,--as-needed -Wl,-z,nodelete -static-libgcc
                      -static-libstdc++)
  if(NOT STILE_SANITIZE)
    target_link_options(stile_inside PRIVATE -Wl,-z,defs)
  endif()
  file(RELATIVE_PATH executable /${folder} /${CMAKE_INSTALL_BINDIR}/stile)
  file(RELATIVE_PATH found /${CMAKE_INSTALL_BINDIR} /${folder}/libstile-preload.so)
  target_compile_definitions(stile_inside PRIVATE STILE_EXECUTABLE_FROM_LIBRARY="/${executable}")
  target_compile_definitions(stile_cli PRIVATE STILE_PRELOAD_FROM_EXECUTABLE="/${found}")
  set_target_properties(stile_inside PROPERTIES OUTPUT_NAME stile-preload LINK_DEPENDS ${map})
  install(TARGETS stile_inside LIBRARY DESTINATION ${folder})
endfunction()
