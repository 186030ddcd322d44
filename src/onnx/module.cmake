# onnx.proto -> generated/onnx/onnx.pb.{h,cc}.
set(onnx_generated ${CMAKE_BINARY_DIR}/generated/onnx)
file(MAKE_DIRECTORY ${onnx_generated})
add_custom_command(
  OUTPUT ${onnx_generated}/onnx.pb.cc ${onnx_generated}/onnx.pb.h
  COMMAND ${XI_PROTOC} --cpp_out=${onnx_generated} -I${CMAKE_SOURCE_DIR}/src/onnx onnx.proto
  DEPENDS ${CMAKE_SOURCE_DIR}/src/onnx/onnx.proto
  VERBATIM)
target_sources(xi_onnx PRIVATE ${onnx_generated}/onnx.pb.cc ${onnx_generated}/onnx.pb.h)
set_source_files_properties(${onnx_generated}/onnx.pb.cc PROPERTIES COMPILE_OPTIONS -w)
target_include_directories(xi_onnx PUBLIC ${CMAKE_BINARY_DIR}/generated)
