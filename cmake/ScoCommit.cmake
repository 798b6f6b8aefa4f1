# SPDX-License-Identifier: Apache-2.0
# Run at every build: writes OUT with the commit of SOURCE ("+" after it when the tree has changes), touching it only
# when the text changes.
cmake_minimum_required(VERSION 3.20)
execute_process(COMMAND git -C ${SOURCE} rev-parse --short=12 HEAD
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  set(commit "unknown")
else()
  execute_process(COMMAND git -C ${SOURCE} diff --quiet HEAD ERROR_QUIET RESULT_VARIABLE changed)
  if(changed)
    string(APPEND commit "+")
  endif()
endif()
file(CONFIGURE OUTPUT ${OUT} CONTENT "#define SCO_BUILD_COMMIT \"@commit@\"\n" @ONLY)
