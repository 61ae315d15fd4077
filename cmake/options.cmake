# Compiler options that every target shares.
add_library(stile_options INTERFACE)
target_compile_options(stile_options INTERFACE
  -Wall -Wextra -Wconversion -Wshadow -Werror
  $<$<CXX_COMPILER_ID:GNU>:-Wno-missing-field-initializers>
  $<$<CXX_COMPILER_ID:Clang>:-Wno-missing-field-initializers>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # g++ 12 sees overlaps and overruns inside the standard library's own strings and vectors (GCC bugs 105651, 107852);
  # the sanitizers look for real ones.
  target_compile_options(stile_options INTERFACE -Wno-restrict -Wno-array-bounds -Wno-stringop-overflow
                         -Wno-stringop-overread)
endif()
# Hardening, as the security reference asks of a build (section 6.2). _FORTIFY_SOURCE needs optimisation and would hide
# faults from the sanitizers.
target_compile_options(stile_options INTERFACE -fstack-protector-strong -fstack-clash-protection -fcf-protection)
target_compile_definitions(stile_options INTERFACE _GLIBCXX_ASSERTIONS)
if(NOT STILE_SANITIZE AND NOT STILE_FUZZ AND CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_definitions(stile_options INTERFACE _FORTIFY_SOURCE=2)
endif()
target_link_options(stile_options INTERFACE -Wl,-z,relro,-z,now)
if(STILE_SANITIZE)
  target_compile_options(stile_options INTERFACE -fsanitize=${STILE_SANITIZE} -fno-sanitize-recover=all
                         -fno-omit-frame-pointer)
  target_link_options(stile_options INTERFACE -fsanitize=${STILE_SANITIZE})
endif()
if(STILE_FUZZ)
  target_compile_options(stile_options INTERFACE -fsanitize=fuzzer-no-link,address,undefined
                         -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(stile_options INTERFACE -fsanitize=address,undefined)
endif()
if(STILE_MINIMAL)
  target_link_options(stile_options INTERFACE -static)
  set(CMAKE_FIND_LIBRARY_SUFFIXES .a)
endif()

find_program(STILE_CCACHE ccache)
if(STILE_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${STILE_CCACHE})
endif()
