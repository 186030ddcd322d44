# Readers and builders of the manifest and plan sections.
set(format_header ${CMAKE_BINARY_DIR}/generated/engine/format_generated.h)
add_custom_command(
  OUTPUT ${format_header}
  COMMAND ${XI_FLATC} --cpp --scoped-enums --warnings-as-errors -o ${CMAKE_BINARY_DIR}/generated/engine
          ${CMAKE_SOURCE_DIR}/src/engine/format.fbs
  DEPENDS ${CMAKE_SOURCE_DIR}/src/engine/format.fbs
  VERBATIM)
target_sources(xi_engine PRIVATE ${format_header})
target_include_directories(xi_engine PRIVATE ${CMAKE_BINARY_DIR}/generated)
