#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Photographs the top of a report, as docs/report.png by default. Needs Chromium.
#   scripts/report-picture.sh REPORT.html [PICTURE.png]
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[ $# -ge 1 ] && [ -f "$1" ] || die "usage: scripts/report-picture.sh REPORT.html [PICTURE.png]"
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) ||
    die "Chromium is not installed"
picture=$(realpath -m "${2:-$root/docs/report.png}")
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT
sandbox=()
[ "$(id -u)" -ne 0 ] || sandbox=(--no-sandbox)
"$browser" --headless "${sandbox[@]}" --user-data-dir="$profile" --hide-scrollbars \
    --blink-settings=preferredColorScheme=1 --window-size=1180,1240 --screenshot="$picture" "file://$(realpath "$1")" >/dev/null 2>&1
[ -s "$picture" ] || die "$browser wrote no picture"
say "wrote $picture"
