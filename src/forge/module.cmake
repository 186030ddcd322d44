# Kernel templates are C++ text for Clang, embedded from files of their own.
set(kernels ${CMAKE_CURRENT_LIST_DIR}/cpu)
embed_files(forge xinfer::forge::cpu prelude_text.h ${kernels}/prelude/types.inc ${kernels}/prelude/math.inc
            ${kernels}/prelude/small_floats.inc)
set(cuda_templates ${CMAKE_CURRENT_LIST_DIR}/cuda/templates)
embed_files(forge xinfer::forge::cuda cuda_prelude_text.h ${CMAKE_CURRENT_LIST_DIR}/cuda/prelude/types.cuh
            ${CMAKE_CURRENT_LIST_DIR}/cuda/prelude/math.cuh ${kernels}/prelude/small_floats.inc)
file(GLOB cuda_template_files CONFIGURE_DEPENDS ${cuda_templates}/*.cuh)
embed_files(forge xinfer::forge::cuda cuda_text.h ${cuda_template_files})
file(GLOB conv_templates CONFIGURE_DEPENDS ${kernels}/templates/conv_*.inc)
embed_files(forge xinfer::forge::cpu conv_text.h ${conv_templates})
file(GLOB matmul_templates CONFIGURE_DEPENDS ${kernels}/templates/matmul*.inc)
embed_files(forge xinfer::forge::cpu matmul_text.h ${matmul_templates})
file(GLOB pool_templates CONFIGURE_DEPENDS ${kernels}/templates/pool_*.inc)
embed_files(forge xinfer::forge::cpu pool_text.h ${pool_templates})
file(GLOB irregular_templates CONFIGURE_DEPENDS ${kernels}/templates/irregular_*.inc)
embed_files(forge xinfer::forge::cpu irregular_text.h ${irregular_templates})
file(GLOB tuning_records CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tuning/*.json)
embed_files(forge xinfer::forge::cuda tuning_text.h ${tuning_records})
