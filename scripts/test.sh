#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing, builds, runs every test that this machine can run, the toolchains' builds included (AArch64
# under qemu); the others count as skipped, by name.
#   scripts/test.sh [options of ctest]
set -euo pipefail
. "$(dirname "$0")/lib.sh"

install_missing $build_packages $test_packages
build "$root/build-test" -DCMAKE_BUILD_TYPE=Release -DSTEPCOST_TESTS=ON -DSTEPCOST_WERROR=ON \
    -DSTEPCOST_TEST_TOOLCHAINS=ON
ctest --test-dir "$root/build-test" --parallel 2 --output-on-failure "$@"
