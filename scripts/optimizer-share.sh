#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The optimizer's part of a training iteration: Adam and VeLO, applied after the backward pass and fused into it, on the four
# workloads at full width and made-up data. Prints a Markdown table; minutes, and memory for DLRM's table where --large is given.
#   scripts/optimizer-share.sh STEPCOST [--large] [--only WORKLOAD] [THREADS]
set -euo pipefail
stepcost=$(realpath "$1")
shift
table=262144
[ "${1:-}" = --large ] && { table=4194304; shift; }
only=
[ "${1:-}" = --only ] && { only=$2; shift 2; }
threads=${1:-2}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "| workload, batch | optimizer | iteration, ms | optimizer, ms | share | \`stepcost cost\`, ms | fused: iteration, ms | saves, ms of backward and optimizer | saves, bytes |"
echo "|---|---|---|---|---|---|---|---|---|"
for case in "resnet50 16 12" "ogbg 128 30" "dlrm 4096 20 --table-rows $table" "unet 4 12"; do
    # shellcheck disable=SC2086
    set -- $case
    workload=$1 batch=$2 steps=$3
    shift 3
    [ -z "$only" ] || [ "$only" = "$workload" ] || continue
    for optimizer in adam velo; do
        prompt=
        [ $optimizer = velo ] && prompt="--num-steps 100000"
        # shellcheck disable=SC2086
        "$stepcost" train -w "$workload" -d synthetic -o $optimizer $prompt --batch "$batch" --threads "$threads" --steps "$steps" \
            --bench --fused-step --json "$work/report.json" "$@" >"$work/out" 2>&1 || { cat "$work/out" >&2; exit 1; }
        python3 - "$work/report.json" "$workload, $batch" <<'PY'
import json, sys
r = json.load(open(sys.argv[1]))
plain, fused = r["plain"], r["fused"]
ms = lambda side, part: side["ms"][part]["median"]
both = "backward_and_optimizer"
print(f"| {sys.argv[2]} | {r['optimizer']} | {ms(plain, 'iteration'):.1f} | {ms(plain, 'optimizer'):.2f} | "
      f"{100 * plain['optimizer_share']:.1f} % | {r['cost_ms']:.2f} | {ms(fused, 'iteration'):.1f} | "
      f"{ms(plain, both) - ms(fused, both):.1f} of {ms(plain, both):.1f} | "
      f"{(plain['gradient_bytes'] - fused['gradient_bytes']) / 1e6:.1f} MB of {plain['gradient_bytes'] / 1e6:.1f} |")
PY
    done
done
