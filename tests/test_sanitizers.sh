#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# test_sanitizers.sh BUILD_DIR: builds this tree with clang's address and undefined-behaviour sanitizers in BUILD_DIR and
# runs its tests, without Highway's rows: instrumenting their templates takes longer than all the rest, and the checker's guard
# pages watch them. Exit code 77 with a reason when clang or its runtime is not installed.
set -eu
build=$1
source=$(cd "$(dirname "$0")/.." && pwd)
flags="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -O1 -g"

skip()
{
    echo "SKIP: $*"
    exit 77
}

command -v clang >/dev/null || skip "clang is not installed"
mkdir -p "$build"
echo 'int main(void) { return 0; }' >"$build/probe.c"
clang $flags "$build/probe.c" -o "$build/probe" 2>/dev/null || skip "clang's sanitizer runtime is not installed"

CC=clang CXX=clang++ cmake -G Ninja -S "$source" -B "$build/tree" -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS_DEBUG="$flags" \
    -DCMAKE_CXX_FLAGS_DEBUG="$flags" -DSTEPCOST_QUICK_CHECKS=ON -DSTEPCOST_HWY=OFF
cmake --build "$build/tree"
ctest --test-dir "$build/tree" --parallel 2 --output-on-failure -E '^(emulated_avx512|old_cpu|house|train_samples)$'
