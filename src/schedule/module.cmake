embed_files(schedule xinfer::schedule loops_text.h ${CMAKE_SOURCE_DIR}/src/schedule/loops.inc
            ${CMAKE_SOURCE_DIR}/src/schedule/transpose.inc)
