# The stand-in for the runtime that emulators run is compiled on the user's machine, from text.
embed_files(compiler xinfer::compiler emulator_text.h ${CMAKE_CURRENT_LIST_DIR}/emulated_run.c)
# Style and script of the HTML report.
embed_files(compiler xinfer::compiler page_text.h ${CMAKE_CURRENT_LIST_DIR}/report_page.css ${CMAKE_CURRENT_LIST_DIR}/report_page.js)
