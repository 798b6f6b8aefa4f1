#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Trains small forms of the four models on real samples in the real file formats and prints a Markdown table: the mean loss of the
# first and of the last tenth of the steps. Fails unless adam, nadamw and nesterov bring it below three quarters. VeLO runs
# with generated weights, which learn nothing: its steps must be done, and its loss finite.
#   train_samples.sh STEPCOST [STEPS [DATA]]      DLRM, whose steps are short and start on a plateau, takes three times as many
# The samples are looked for in DATA, or in the folder data of STEPCOST_SHARED, or of ../shared beside this tree:
# {imagenet,ogbg_molmuv,criteo,fastmri}. Exit status 77 where they are not there.
set -euo pipefail
stepcost=$(realpath "$1")
steps=${2:-300}
shared=${STEPCOST_SHARED:-$(dirname "$0")/../../shared}
data=${3:-$shared/data}
for folder in imagenet ogbg_molmuv criteo fastmri; do
    [ -d "$data/$folder" ] || { echo "SKIP train_samples: no $folder; STEPCOST_SHARED names the folder that holds data/$folder"; exit 77; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
echo "| workload | model, batch | optimizer | rate | steps | loss, first tenth | loss, last tenth |"
echo "|---|---|---|---|---|---|---|"
for case in "resnet50 imagenet --width 0.125 --depth 1 --side 64 --batch 16" "ogbg ogbg_molmuv --width 0.25 --depth 2 --batch 32" \
    "dlrm criteo --width 0.125 --table-rows 4096 --batch 50" "unet fastmri --width 0.25 --depth 2 --batch 2"; do
    # shellcheck disable=SC2086
    set -- $case
    workload=$1 folder=$2 n=$steps
    shift 2
    [ "$workload" = dlrm ] && n=$((3 * steps))
    for optimizer in adam nadamw nesterov velo; do
        rate=0.002
        [ $optimizer = nesterov ] && rate=0.02
        options="--lr $rate --schedule constant"
        [ $optimizer = velo ] && { options="--num-steps $n"; rate=-; }
        # shellcheck disable=SC2086
        "$stepcost" train -w "$workload" -d "$data/$folder" -o $optimizer $options "$@" --steps "$n" --no-evaluation --no-cost \
            --out "$work/$workload-$optimizer" >"$work/out" 2>&1 || { cat "$work/out"; exit 1; }
        sed -n 's/^{"event":"step".*"loss":\([^,]*\),.*/\1/p' "$work/$workload-$optimizer/events.jsonl" |
            awk -v row="| $workload | $* | $optimizer | $rate | $n |" -v optimizer=$optimizer '
                { loss[NR] = $1 }
                END {
                    tenth = int(NR / 10)
                    for (i = 1; i <= tenth; i++) { first += loss[i] / tenth; last += loss[NR + 1 - i] / tenth }
                    fell = last < 0.75 * first
                    printf "%s %.4f | %.4f |%s\n", row, first, last, fell || optimizer == "velo" ? "" : " NOT BELOW 3/4"
                    exit !((optimizer == "velo" || fell) && last == last + 0 && NR > 0)
                }' || failed=1
    done
done
exit $failed
