#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The AVX-512 machine code of every kernel on an emulated CPU, for machines that lack it.
#   test_emulated_avx512.sh CHECK_KERNELS IMAGE SOURCE_DIR WORK_DIR [options of check_kernels]
set -u
check=$1 image=$2 source=$3 work=$4
shift 4
skip() { echo "SKIP: $*"; exit 77; }

[ "$(uname -m)" = x86_64 ] || skip "this is not an x86-64 machine"
command -v python3 >/dev/null || skip "python3 is not installed"
if [ ! -x "$work/venv/bin/python" ] || ! "$work/venv/bin/python" -m pip show -q bochscpu-python 2>/dev/null; then
    python3 -m venv "$work/venv" 2>/dev/null || skip "python3 cannot make a virtual environment (python3-venv)"
    "$work/venv/bin/python" -m pip install -q bochscpu-python==0.4.0 2>/dev/null || skip "bochscpu-python cannot be installed"
fi

preload=
if ! "$work/venv/bin/python" -c 'import bochscpu' 2>/dev/null; then
    ${CC:-cc} -shared -fPIC -O1 -o "$work/glibc_2_38.so" "$source/tests/glibc_2_38.c" || exit 1
    preload="LD_PRELOAD=$work/glibc_2_38.so"
    env "$preload" "$work/venv/bin/python" -c 'import bochscpu' 2>/dev/null || skip "bochscpu-python does not load here"
fi
"$check" "$@" --emulator "exec env $preload '$work/venv/bin/python' '$source/tests/emulate_avx512.py' '$image'"
