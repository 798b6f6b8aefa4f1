#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# stepcost train from outside: exit codes, messages, files, signals, a handful of kills.   test_train_verb.sh STEPCOST
stepcost=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
unset STEPCOST_ISA STEPCOST_ROW STEPCOST_THREADS STEPCOST_TUNE
failed=0

# expect CODE TEXT ARGUMENT...: the exit code, and text on either stream
expect() {
    code=$1 text=$2
    shift 2
    output=$("$stepcost" train "$@" 2>&1)
    got=$?
    case $got:$output in
    $code:*"$text"*) ;;
    *)
        echo "train $*: exit code $got, expected $code with \"$text\":"
        echo "$output"
        failed=1
        ;;
    esac
}
ok() {
    description=$1
    shift
    "$@" || { echo "FAIL $description"; failed=1; }
}

clicks="-w dlrm -d synthetic --batch 32 --width 0.0625 --depth 1 --table-rows 500 -t 1 --no-cost"
small="$clicks --eval-samples 16 --steps 6 --eval-steps 3"

# --- What makes no sense ---
expect 2 "--workload, --data and --optimizer are needed"
expect 2 "there are resnet50" -w mnist -d synthetic -o adam --out "$work/x"
expect 2 "heavy_ball" -w dlrm -d synthetic -o sgd --out "$work/x"
expect 2 "--data is needed" -w dlrm -o adam --out "$work/x"
expect 2 "--out is needed" $clicks -o adam
expect 2 "algoperf-0.6" $small -o adam --preset algoperf --out "$work/x"
expect 2 "the study prompted dlrm with 7545" $small -o velo --out "$work/x"
expect 2 "velo needs --num-steps" $small -o velo --preset algoperf-0.6 --out "$work/x"
expect 2 "possible: constant, cosine, linear" $small -o adam --schedule step --out "$work/x"
expect 2 "--lr=fast" $small -o adam --lr fast --out "$work/x"
expect 2 "grad_clip needs" $small -o adam --grad-clip 1 --fused-step --out "$work/x"
expect 2 "not both" $small -o adam --bench --dry-run
expect 2 "--json needs" $small -o adam --json - --out "$work/x"
expect 2 "VeLO's" $small -o adam --weights "$work/w" --out "$work/x"
expect 5 "cannot be listed" $small -o adam --resume --out "$work/x"
expect 5 "the folder cannot be made" $small -o adam --out "$work/no/such/folder"
ok "nothing was written" test ! -e "$work/x"

# --- Plans ---
expect 0 "optimizer state" $small -o adam --dry-run
expect 0 '"report": "train-plan"' $small -o adam --dry-run --json -
# Refused by the plan, or by the system before that.
expect 3 "stepcost train:" -w resnet50 -d synthetic -o adam --batch 4000000 --side 32 --dry-run

# --- A run, again, on, and others refused ---
expect 0 "complete at step 6" $small -o adam --seed 3 --out "$work/run"
hash=$(echo "$output" | sed -n 's/^parameters //p')
ok "a hash of 16 digits" test ${#hash} -eq 16
for file in measurements.csv events.jsonl checkpoint-0000000006.model; do
    ok "$file is there" test -s "$work/run/$file"
done
ok "the log says that data are made up" grep -q '"synthetic_data":true' "$work/run/events.jsonl"
expect 0 "synthetic data (made up)" $small -o adam --seed 3 --out "$work/run" --resume
expect 0 "parameters $hash" $small -o adam --seed 3 --out "$work/run"
expect 0 "parameters $hash" $small -o adam --seed 3 --fused-step --workers 2 --out "$work/fused"
expect 2 "seed = 3, this one has 4" $small -o adam --seed 4 --out "$work/run"
expect 2 "optimizer.name" $small -o lion --seed 3 --out "$work/run"
expect 0 "generated (cost only)" $small -o velo --num-steps 6 --out "$work/velo"
ok "the log names generated weights" grep -q '"velo_weights":"generated (cost only)' "$work/velo/events.jsonl"
for optimizer in adam nadamw nesterov; do
    expect 0 "complete" $small -o $optimizer --preset algoperf-0.6 --out "$work/$optimizer"
done
expect 6 "nothing was changed" $small -o nesterov --lr 1e30 --schedule constant --warmup 0 --no-evaluation \
    --steps 50 --checkpoint-steps 1 --out "$work/nan"

# --- Benchmarks ---
expect 0 "samples/s" $clicks -o adam --bench --steps 3
expect 0 "the fused step saves" $clicks -o adam --bench --steps 3 --fused-step
expect 0 '"samples_per_second"' $clicks -o velo --num-steps 3 --bench --steps 3 --json -

# --- Signals: once, it saves and leaves; the same command goes on ---
long="$clicks --eval-samples 16 --seed 5 --log-steps 1000 --no-evaluation -o adam --horizon 100000"
"$stepcost" train $long --steps 100000 --out "$work/signal" >"$work/out" 2>&1 &
child=$!
while [ ! -s "$work/signal/events.jsonl" ] && kill -0 $child 2>/dev/null; do sleep 0.05; done
kill -TERM $child
wait $child
ok "SIGTERM gives 143" test $? -eq 143
ok "it says where it stopped" grep -q "stopped at step" "$work/out"
ok "it left a checkpoint" sh -c "ls $work/signal/*.model >/dev/null"
step=$(sed -n 's/.*stopped at step \([0-9]*\).*/\1/p' "$work/out")
expect 0 "goes on from the checkpoint of step $step" $long --steps $((step + 5)) --out "$work/signal"
again=$(echo "$output" | sed -n 's/^parameters //p')
expect 0 "parameters $again" $long --steps $((step + 5)) --out "$work/uninterrupted"

# --- kill -9 ---
for workload in ogbg dlrm; do
    ok "kills of $workload" "$(dirname "$0")/kill_train.sh" "$stepcost" $workload 4 velo
done

[ $failed -eq 0 ]
