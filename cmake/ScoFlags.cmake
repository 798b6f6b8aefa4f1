# SPDX-License-Identifier: Apache-2.0
# Flags of every target. Contraction is off so that a fused multiply-add is one the source wrote.
add_library(sco_flags INTERFACE)
target_include_directories(sco_flags INTERFACE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR})
target_compile_definitions(sco_flags INTERFACE _GNU_SOURCE SCO_VERSION="${PROJECT_VERSION}")
set(sco_warnings -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Wvla)
target_compile_options(sco_flags INTERFACE
  -ffp-contract=off -fno-math-errno ${sco_warnings}
  $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes>
  $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions -fno-rtti -Wno-pedantic>
  $<$<BOOL:${STEPCOST_WERROR}>:-Werror>)
