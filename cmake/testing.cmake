# tests/<label>/<module>/*.cpp is one GoogleTest program <label>_<module>; each of its cases is a CTest test with the label <label>,
# so that counts are of cases and a crash fails one case. Cases of one program never run at the same time (RESOURCE_LOCK).
# tests/<label>/*.sh are scripts with the same label; exit status 77 is SKIP, never a pass.
include(GoogleTest)
file(GLOB labels RELATIVE ${CMAKE_SOURCE_DIR}/tests LIST_DIRECTORIES true CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/*)
foreach(label ${labels})
  file(GLOB children LIST_DIRECTORIES true ${CMAKE_SOURCE_DIR}/tests/${label}/*)
  foreach(child ${children})
    get_filename_component(name ${child} NAME)
    if(IS_DIRECTORY ${child})
      file(GLOB sources CONFIGURE_DEPENDS ${child}/*.cpp)
      string(REGEX REPLACE "-.*" "" module ${name})
      if(sources AND TARGET xi_${module})
        add_executable(${label}_${name} ${sources})
        set_target_properties(${label}_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
        target_link_libraries(${label}_${name} PRIVATE xi_${module} GTest::gtest GTest::gmock GTest::gtest_main)
        compile_fast(${label}_${name})
        target_compile_definitions(${label}_${name} PRIVATE XI_SOURCE_DIR="${CMAKE_SOURCE_DIR}" XI_BINARY_DIR="${CMAKE_BINARY_DIR}")
        gtest_discover_tests(${label}_${name} TEST_PREFIX ${label}/${name}/ WORKING_DIRECTORY ${CMAKE_SOURCE_DIR} DISCOVERY_TIMEOUT 60
          PROPERTIES LABELS ${label} TIMEOUT 600 RESOURCE_LOCK ${label}_${name})
      endif()
    elseif(name MATCHES "\\.sh$")
      string(REPLACE ".sh" "" stem ${name})
      add_test(NAME ${label}/${stem} COMMAND bash ${child} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
      set_tests_properties(${label}/${stem} PROPERTIES LABELS ${label} SKIP_RETURN_CODE 77 TIMEOUT 1200
        ENVIRONMENT "XI_SOURCE_DIR=${CMAKE_SOURCE_DIR};XI_BINARY_DIR=${CMAKE_BINARY_DIR}")
    endif()
  endforeach()
endforeach()
