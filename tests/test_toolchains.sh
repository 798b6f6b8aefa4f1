#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# test_toolchains.sh NAME BUILD_DIR: configures this tree with toolchains/NAME.cmake, warnings as errors, builds it in
# BUILD_DIR and runs its tests, under qemu for AArch64. Exit code 77 with a reason when the tools are not installed.
# STEPCOST_SYSROOT names an AArch64 sysroot; without it one is made in BUILD_DIR (network needed).
# STEPCOST_CTEST_ARGS is handed to ctest ("-E slow").
set -eu
name=$1
build=$2
source=$(cd "$(dirname "$0")/.." && pwd)

skip()
{
    echo "SKIP $name: $*"
    exit 77
}

case $name in
linux-x86_64-gcc) tools="x86_64-linux-gnu-gcc x86_64-linux-gnu-g++" machine=x86_64 ;;
linux-x86_64-clang) tools="clang clang++" machine=x86_64 ;;
linux-aarch64-gcc) tools="aarch64-linux-gnu-gcc aarch64-linux-gnu-g++ qemu-aarch64" machine=aarch64 ;;
linux-aarch64-clang) tools="clang clang++ aarch64-linux-gnu-ld qemu-aarch64" machine=aarch64 ;;
*)
    echo "no toolchain $name; there are: $(cd "$source/toolchains" && echo linux-*.cmake)" >&2
    exit 2
    ;;
esac
for tool in cmake ninja $tools; do
    command -v "$tool" >/dev/null || skip "$tool is not installed"
done
if [ $machine = x86_64 ] && [ "$(uname -m)" != x86_64 ]; then
    skip "this machine is $(uname -m) and no x86-64 emulator is set up"
fi
mkdir -p "$build"
if [ $machine = aarch64 ] && [ -z "${STEPCOST_SYSROOT:-}" ]; then
    STEPCOST_SYSROOT=$build/sysroot
    export STEPCOST_SYSROOT
    "$source/scripts/aarch64-sysroot.sh" "$STEPCOST_SYSROOT" >"$build/sysroot.log" 2>&1 ||
        skip "no AArch64 sysroot could be made ($(tail -n 1 "$build/sysroot.log"))"
fi

cmake -G Ninja -S "$source" -B "$build/tree" --toolchain "$source/toolchains/$name.cmake" -DSTEPCOST_WERROR=ON -DSTEPCOST_QUICK_CHECKS=ON
cmake --build "$build/tree"
# shellcheck disable=SC2086
ctest --test-dir "$build/tree" --parallel 2 --output-on-failure ${STEPCOST_CTEST_ARGS:-}
echo "PASS $name"
