# SPDX-License-Identifier: Apache-2.0
# Debian: g++-aarch64-linux-gnu qemu-user
include(${CMAKE_CURRENT_LIST_DIR}/aarch64-sysroot.cmake)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
