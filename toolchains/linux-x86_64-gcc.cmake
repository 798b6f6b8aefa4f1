# SPDX-License-Identifier: Apache-2.0
# The x86-64 compiler by its full name: the host's own there, a cross compiler elsewhere.
set(CMAKE_C_COMPILER x86_64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER x86_64-linux-gnu-g++)
