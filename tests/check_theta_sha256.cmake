# SPDX-License-Identifier: Apache-2.0
# cmake -D EMULATOR=[program;arguments] -D PROGRAM=dump_theta -D LIST=weights_512_256.txt -D OUT=file -P check_theta_sha256.cmake
execute_process(COMMAND ${EMULATOR} ${PROGRAM} ${LIST} ${OUT} RESULT_VARIABLE failed)
if(failed)
  message(FATAL_ERROR "${PROGRAM} failed: ${failed}")
endif()
file(SHA256 ${OUT} sum)
file(REMOVE ${OUT})
set(expected a408d505985c4aadea4c451e02cc72afc129d4012d2bd7ae7049fcf73d963820)
if(NOT sum STREQUAL expected)
  message(FATAL_ERROR "generated weights have sha256 ${sum}, expected ${expected}")
endif()
