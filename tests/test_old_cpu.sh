#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# On an x86-64 CPU without AVX nothing but scalar code may run: an emulated Nehalem traps on the first stray instruction.
#   test_old_cpu.sh BINARY_DIR
set -u -o pipefail
binaries=$1
[ "$(uname -m)" = x86_64 ] || { echo "SKIP: this is not an x86-64 machine"; exit 77; }
command -v qemu-x86_64 >/dev/null || { echo "SKIP: qemu-x86_64 is not installed"; exit 77; }

nehalem() { qemu-x86_64 -cpu Nehalem "$@"; }
levels=$(nehalem "$binaries/stepcost" info | grep -cE '^ *levels here .*avx')
[ "$levels" -eq 0 ] || { echo "FAIL: stepcost info reports AVX on a CPU that has none"; exit 1; }
nehalem "$binaries/tests/check_kernels" --quick --row scalar | tail -n 1 || exit 1
STEPCOST_ISA=avx2 nehalem "$binaries/stepcost" info >/dev/null 2>&1
[ $? -ne 0 ] || { echo "FAIL: STEPCOST_ISA=avx2 was accepted on a CPU without AVX2"; exit 1; }
