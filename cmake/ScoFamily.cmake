# SPDX-License-Identifier: Apache-2.0
# sco_add_sources(TARGET files...): adds sources to TARGET with the ISA flags that their suffix stands for.
# Only files of a level get its flags; everything else is built for the plain target.
#   *_avx2.c  *_avx512.c  *_neon.c  *_hwy.cpp (no -m flags: Highway sets targets by attribute)  *_onednn.c
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
  set(SCO_X86 ON)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(SCO_ARM64 ON)
endif()
set(SCO_FLAGS_avx2 -mavx2 -mfma -mf16c -mbmi -mbmi2)
set(SCO_FLAGS_avx512 ${SCO_FLAGS_avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512)
# Before registers are assigned, GCC's scheduler moves loads so far up that kernels which fill the registers spill.
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  set(SCO_FLAGS_neon -fno-schedule-insns)
endif()

function(sco_add_sources target)
  foreach(file IN LISTS ARGN)
    get_filename_component(stem ${file} NAME_WE)
    string(REGEX MATCH "_(avx2|avx512|neon|hwy|onednn)$" suffix ${stem})
    set(level ${CMAKE_MATCH_1})
    if(NOT suffix)
      target_sources(${target} PRIVATE ${file})
      continue()
    endif()
    if(level MATCHES "avx" AND NOT SCO_X86)
      continue()
    elseif(level STREQUAL "neon" AND NOT SCO_ARM64)
      continue()
    elseif(level STREQUAL "hwy" AND NOT SCO_HAVE_HWY)
      continue()
    elseif(level STREQUAL "onednn" AND NOT SCO_HAVE_ONEDNN)
      continue()
    endif()
    target_sources(${target} PRIVATE ${file})
    # the property must be seen where the target was made, which may be a folder above
    set_source_files_properties(${file} TARGET_DIRECTORY ${target} PROPERTIES COMPILE_OPTIONS "${SCO_FLAGS_${level}}")
  endforeach()
endfunction()
