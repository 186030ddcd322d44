# Kernel templates are C++ text for Clang, embedded from files of their own.
set(kernels ${CMAKE_CURRENT_LIST_DIR}/cpu)
embed_files(forge xinfer::forge::cpu prelude_text.h ${kernels}/prelude/types.inc ${kernels}/prelude/math.inc)
