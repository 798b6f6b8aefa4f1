# SPDX-License-Identifier: Apache-2.0
# Debian: clang binutils-aarch64-linux-gnu qemu-user
include(${CMAKE_CURRENT_LIST_DIR}/aarch64-sysroot.cmake)
set(CMAKE_C_COMPILER clang)
set(CMAKE_C_COMPILER_TARGET aarch64-linux-gnu)
set(CMAKE_CXX_COMPILER clang++)
set(CMAKE_CXX_COMPILER_TARGET aarch64-linux-gnu)
