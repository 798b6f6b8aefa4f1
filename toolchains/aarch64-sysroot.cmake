# SPDX-License-Identifier: Apache-2.0
# What both AArch64 toolchains share: a sysroot made by scripts/aarch64-sysroot.sh, named by -D STEPCOST_SYSROOT=DIR or
# by the environment variable, and qemu to run what was built. -cpu max has every extension that qemu knows; pass
# STEPCOST_QEMU_CPU=neoverse-n1 for a plain ARMv8.2 machine.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
foreach(name STEPCOST_SYSROOT STEPCOST_QEMU_CPU)
  if(NOT ${name})
    set(${name} $ENV{${name}})
  endif()
  list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES ${name})
endforeach()
if(NOT EXISTS "${STEPCOST_SYSROOT}/usr/include/hwloc.h")
  message(FATAL_ERROR "STEPCOST_SYSROOT=\"${STEPCOST_SYSROOT}\" is not a sysroot; make one: scripts/aarch64-sysroot.sh DIR")
endif()
if(NOT STEPCOST_QEMU_CPU)
  set(STEPCOST_QEMU_CPU max)
endif()

# The sysroot itself, and not only a search path: libraries are found by the compiler too, and Debian's headers
# include each other from the multiarch folder.
set(CMAKE_SYSROOT ${STEPCOST_SYSROOT})
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_LIBDIR} ${STEPCOST_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig:${STEPCOST_SYSROOT}/usr/share/pkgconfig)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${STEPCOST_SYSROOT})
find_program(STEPCOST_QEMU qemu-aarch64)
set(CMAKE_CROSSCOMPILING_EMULATOR ${STEPCOST_QEMU} -cpu ${STEPCOST_QEMU_CPU} -L ${STEPCOST_SYSROOT} -U LD_LIBRARY_PATH)
