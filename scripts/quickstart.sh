#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing, builds, measures what an optimizer step costs on this CPU, writes stepcost-report.html.
#   scripts/quickstart.sh [options of `stepcost cost`]
set -euo pipefail
. "$(dirname "$0")/lib.sh"

install_missing $build_packages
build "$root/build" -DCMAKE_BUILD_TYPE=Release -DSTEPCOST_TESTS=OFF
"$root/build/stepcost" cost --html "$root/stepcost-report.html" --json "$root/stepcost-report.json" "$@"
say "the report is $root/stepcost-report.html"
