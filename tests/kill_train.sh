#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Kills trainings at random moments and resumes them until they are done: the parameters must have the bits of the run that
# nobody interrupted, whatever the number of threads of each sitting, and no checkpoint may be unreadable.
#   kill_train.sh STEPCOST WORKLOAD COUNT [OPTIMIZER]
stepcost=$1 workload=$2 count=$3 optimizer=${4:-adam}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
case $workload in
resnet50) size="--batch 4 --width 0.0625 --depth 1 --side 32" ;;
ogbg) size="--batch 8 --width 0.0625 --depth 1" ;;
dlrm) size="--batch 32 --width 0.0625 --depth 1 --table-rows 500" ;;
unet) size="--batch 2 --width 0.0625 --depth 2 --side 32" ;;
*)
    echo "unknown workload $workload"
    exit 2
    ;;
esac
prompt=
[ "$optimizer" = velo ] && prompt="--num-steps 100"
STEPCOST_OVERSUBSCRIBE=1 STEPCOST_UNBOUND=1
export STEPCOST_OVERSUBSCRIBE STEPCOST_UNBOUND

# train FOLDER THREADS MORE...: one sitting, in a process that is the shell's own child
train() {
    folder=$1 threads=$2
    shift 2
    exec "$stepcost" train -w "$workload" -d synthetic -o "$optimizer" $prompt $size --steps 100 --eval-steps 25 \
        --eval-samples 8 --checkpoint-steps 3 --no-cost --out "$folder" --threads "$threads" "$@"
}
hash_of() { sed -n 's/^parameters //p' "$1"; }
# millis: a clock that is good enough to choose a moment by
millis() { date +%s%3N; }

start=$(millis)
(train "$work/whole" 1) >"$work/out" 2>"$work/err" || { cat "$work/err"; exit 1; }
length=$(($(millis) - start))
whole=$(hash_of "$work/out")
kills=0 runs=0 sittings=0
while [ $kills -lt "$count" ]; do
    rm -rf "$work/run"
    runs=$((runs + 1))
    while :; do
        sittings=$((sittings + 1))
        (train "$work/run" $((1 + sittings % 3))) >"$work/out" 2>"$work/err" &
        child=$!
        if [ $kills -lt "$count" ]; then
            moment=$((RANDOM * length / 32768))
            sleep "$(printf '%d.%03d' $((moment / 1000)) $((moment % 1000)))"
            kill -KILL $child 2>/dev/null
        fi
        wait $child 2>/dev/null
        code=$?
        if [ $code -eq 137 ]; then
            kills=$((kills + 1))
            continue
        fi
        if [ $code -ne 0 ]; then
            echo "$workload: sitting $sittings ended with $code after $kills kills:"
            cat "$work/err"
            exit 1
        fi
        break
    done
    if [ "$(hash_of "$work/out")" != "$whole" ]; then
        echo "$workload: parameters $(hash_of "$work/out") after $kills kills, $whole without"
        exit 1
    fi
    # Each step and each evaluation once, in order, in whole lines.
    if ! cut -d, -f4 "$work/run/measurements.csv" | cmp -s - <(printf '%s\n' global_step 1 25 50 75 100) ||
        ! sed -n 's/^{"event":"step","step":\([0-9]*\),.*}$/\1/p' "$work/run/events.jsonl" | cmp -s - <(seq 100); then
        echo "$workload: records differ after $kills kills"
        exit 1
    fi
done
echo "$workload with $optimizer: $kills kills in $runs runs, parameters $whole each time"
