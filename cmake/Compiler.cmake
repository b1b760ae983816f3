# Warnings, hardening and sanitizers, the same for every target.
set(CROCKET_WARNINGS
    -Wall -Wextra -Werror -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings
    -Wundef -Wformat=2 -Wcast-qual -Wvla -Wold-style-definition -Wno-unused-parameter)
set(CROCKET_COMPILE_OPTIONS ${CROCKET_WARNINGS} -fvisibility=hidden -fno-omit-frame-pointer -fno-strict-aliasing
    -ffile-prefix-map=${CMAKE_SOURCE_DIR}/= -D_GNU_SOURCE)
set(CROCKET_LINK_OPTIONS "")

if(CMAKE_BUILD_TYPE STREQUAL "Release")
  list(APPEND CROCKET_COMPILE_OPTIONS -O2 -g1 -D_FORTIFY_SOURCE=2 -fstack-protector-strong -ffunction-sections -fdata-sections)
  list(APPEND CROCKET_LINK_OPTIONS -Wl,--gc-sections -Wl,-z,relro,-z,now)
  set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
  # Assertions guard the log against its own program: they stay on in release builds.
  set(CMAKE_C_FLAGS_RELEASE "")
elseif(CMAKE_BUILD_TYPE STREQUAL "Debug")
  list(APPEND CROCKET_COMPILE_OPTIONS -O1 -g)
endif()
if((CROCKET_ASAN OR CROCKET_TSAN) AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
  # Instrumentation hides the ranges that this warning judges by.
  list(APPEND CROCKET_COMPILE_OPTIONS -Wno-format-truncation)
endif()
if(CROCKET_ASAN)
  list(APPEND CROCKET_COMPILE_OPTIONS -fsanitize=address,undefined -fno-sanitize-recover=all)
  list(APPEND CROCKET_LINK_OPTIONS -fsanitize=address,undefined)
endif()
if(CROCKET_TSAN)
  list(APPEND CROCKET_COMPILE_OPTIONS -fsanitize=thread)
  list(APPEND CROCKET_LINK_OPTIONS -fsanitize=thread)
endif()
if(CROCKET_FUZZ)
  list(APPEND CROCKET_COMPILE_OPTIONS -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all)
  list(APPEND CROCKET_LINK_OPTIONS -fsanitize=address,undefined)
endif()
if(CROCKET_COVERAGE)
  list(APPEND CROCKET_COMPILE_OPTIONS --coverage -O0)
  list(APPEND CROCKET_LINK_OPTIONS --coverage)
endif()

function(crocket_target NAME)
  target_compile_options(${NAME} PRIVATE ${CROCKET_COMPILE_OPTIONS})
  target_link_options(${NAME} PRIVATE ${CROCKET_LINK_OPTIONS})
endfunction()
