# What every target is compiled with.
# Warnings are errors with g++, which everything is built with; Clang is for the fuzzers.
# -Wno-restrict: false alarms of g++ 12 on string concatenation (GCC bug 105651).
# -ffp-contract=off keeps the reference functions exact on every machine.
add_library(xi_options INTERFACE)
target_compile_options(xi_options INTERFACE -Wall -Wextra $<$<CXX_COMPILER_ID:GNU>:-Werror>
  -Wno-missing-field-initializers -Wno-restrict -ffp-contract=off)
target_include_directories(xi_options INTERFACE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
if(XI_SANITIZE)
  target_compile_options(xi_options INTERFACE -fsanitize=${XI_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(xi_options INTERFACE -fsanitize=${XI_SANITIZE})
endif()

# What waits for people, files and tests is compiled with -O1: -O3 would only make the build a third longer.
function(compile_fast target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
endfunction()

# module(NAME [USES module...] [LINKS target...]): static library xi_NAME of src/NAME/**/*.cpp.
# A folder may add its own build steps (code generation, embedded files) in src/NAME/module.cmake.
function(module name)
  cmake_parse_arguments(ARG "" "" "USES;LINKS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.cpp)
  if(NOT sources)
    add_library(xi_${name} INTERFACE)
    set(scope INTERFACE)
  else()
    add_library(xi_${name} STATIC ${sources})
    set(scope PUBLIC)
  endif()
  list(TRANSFORM ARG_USES PREPEND xi_)
  target_link_libraries(xi_${name} ${scope} xi_options ${ARG_USES} ${ARG_LINKS})
  if(sources AND EXISTS ${CMAKE_SOURCE_DIR}/src/${name}/module.cmake)
    include(${CMAKE_SOURCE_DIR}/src/${name}/module.cmake)
  endif()
endfunction()

# app(NAME [USES module...] [LINKS target...]): program NAME of apps/NAME/*.cpp. tool(...): of tools/NAME/*.cpp, not installed.
function(app name)
  program(apps ${name} ${ARGN})
endfunction()

function(tool name)
  program(tools ${name} ${ARGN})
endfunction()

function(program folder name)
  cmake_parse_arguments(ARG "" "" "USES;LINKS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/${name}/*.cpp)
  if(NOT sources)
    return()
  endif()
  add_executable(${name} ${sources})
  list(TRANSFORM ARG_USES PREPEND xi_)
  target_link_libraries(${name} PRIVATE ${ARG_USES} ${ARG_LINKS})
  compile_fast(${name})
endfunction()

# embed_files(MODULE NAMESPACE OUTPUT.h FILE...): the text files as string constants kFileNameExt in a generated
# header, so that kernels, SQL and pages live in files of their own language.
function(embed_files module namespace output)
  set(generated ${CMAKE_BINARY_DIR}/generated/${module}/${output})
  add_custom_command(
    OUTPUT ${generated}
    COMMAND ${CMAKE_COMMAND} -DOUTPUT=${generated} -DNAMESPACE=${namespace} "-DFILES=${ARGN}" -P
            ${CMAKE_SOURCE_DIR}/cmake/embed.cmake
    DEPENDS ${ARGN} ${CMAKE_SOURCE_DIR}/cmake/embed.cmake
    VERBATIM)
  target_sources(xi_${module} PRIVATE ${generated})
  target_include_directories(xi_${module} PRIVATE ${CMAKE_BINARY_DIR}/generated)
endfunction()
