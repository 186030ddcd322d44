# Kernel templates are C++ text for Clang, embedded from files of their own.
set(kernels ${CMAKE_CURRENT_LIST_DIR}/cpu)
embed_files(forge xinfer::forge::cpu prelude_text.h ${kernels}/prelude/types.inc ${kernels}/prelude/math.inc)
set(cuda_templates ${CMAKE_CURRENT_LIST_DIR}/cuda/templates)
embed_files(forge xinfer::forge::cuda cuda_text.h ${cuda_templates}/conv.cuh)
file(GLOB conv_templates CONFIGURE_DEPENDS ${kernels}/templates/conv_*.inc)
embed_files(forge xinfer::forge::cpu conv_text.h ${conv_templates})
file(GLOB matmul_templates CONFIGURE_DEPENDS ${kernels}/templates/matmul*.inc)
embed_files(forge xinfer::forge::cpu matmul_text.h ${matmul_templates})
