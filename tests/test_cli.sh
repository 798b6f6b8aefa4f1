#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The command as a user meets it: what it prints, what it refuses and with which exit code (docs/exit-codes.md).
#   test_cli.sh STEPCOST
stepcost=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
unset STEPCOST_ISA STEPCOST_ROW STEPCOST_THREADS STEPCOST_OVERSUBSCRIBE STEPCOST_UNBOUND
passed=0 failed=0

# run CODE ARGUMENTS...: the exit code must be CODE; output goes to $work/out and $work/err.
run() {
    expected=$1
    shift
    "$stepcost" "$@" >"$work/out" 2>"$work/err" </dev/null
    code=$?
    if [ "$code" -eq "$expected" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL stepcost $*: exit code $code, expected $expected"
        head -3 "$work/err"
    fi
}
# says FILE TEXT: the last run must have said so.
says() {
    if grep -qF -- "$2" "$work/$1"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL std$1 lacks \"$2\":"
        head -5 "$work/$1"
    fi
}
ok() { # ok DESCRIPTION COMMAND...: the command must succeed
    description=$1
    shift
    if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAIL $description"; fi
}
silent() { [ ! -s "$work/$1" ]; }
without() { ! grep -q "$2" "$1"; }

# --- Help and version ---
run 0 --version; says out "stepcost 0."; says out "commit"
run 0 --help; says out "Exit status"; says out "cost"; says out "bench"; says out "info"; says out "Examples"
for verb in info cost bench report data completions; do
    run 0 $verb --help
    says out "Example"
    says out "Exit status"
done
run 2; says err "a verb is needed"
run 2 bensch; says err 'did you mean "bench"'
run 2 nonsense; says err "unknown verb"
run 2 info surplus; says err "unexpected argument"

# --- info ---
run 0 info; says out "CPU"; says out "Topology"; says out "Kernels"; says out "Counters"; says out "huge pages"
ok "info writes to stderr" silent err
ok "escapes in a file" without "$work/out" "$(printf '\033')"
run 0 info --json
says out '"schema": 1'; says out '"counters"'; says out '"pinned_cpus"'; says out '"adam.adam"'
STEPCOST_ISA=scalar run 0 info --json
says out '"isa": "scalar"'; says out '"adam.adam": "scalar"'
STEPCOST_ISA=mmx run 2 info; says err "STEPCOST_ISA"
STEPCOST_THREADS=0 run 2 info; says err "STEPCOST_THREADS"

# --- cost: what it measures ---
printf '[{"name": "w", "shape": [33, 17]}, {"name": "b", "shape": [5]}, {"name": "s", "shape": []}]' >"$work/list.json"
run 0 cost -w "$work/list.json" -o adam,lion -t 1 -s 0.1 --json "$work/cost.json" --no-sweep
says out "adam"; says out "lion"; says out "roofs"
ok "cost leaves a report" test -s "$work/cost.json"
ok "no temporary files stay" test "$(ls "$work" | grep -c 'cost.json')" -eq 1
for key in schema context rows sweep roofs peak refused ns_per_param median ci95 ratio_to_adam roof_fraction phases samples \
    state_bytes model_bytes_per_param model_flops_per_param gbs stop weights nonfinite commit compiler flags pinned_cpus; do
    ok "cost.json has the key $key" grep -q "\"$key\":" "$work/cost.json"
done
run 0 cost -w 10k -o velo,adam -t 1 -s 0.1 --json - --no-sweep
says out '"optimizer": "velo"'; says out "generated (cost only)"; says out '"lstm"'; says out '"mlp"'
ok "JSON on standard output stands alone" test "$(head -c 1 "$work/out")" = "{"
run 0 cost -w 10k -o velo -t 1 -s 0.1; says out "generated (cost only)"
run 0 cost -w resnet50 -o adam -t 1 -s 0.1 --max-params 50000; says out "SHORTENED from 25.6 M"
run 0 cost -w 10k -o adam -t 1 -s 0.1 --nonfinite stop; says out "NaN and Inf"

# --- cost: what it refuses ---
run 2 cost -o sgdfoo; says err "sgdfoo"; says err "heavy_ball"
run 2 cost -w nowhere; says err "nowhere"; says err "resnet50"
run 2 cost -t 0; says err "--threads=0"
run 2 cost -w 10k -o adam -t 60000; says err "CPUs are allowed"
run 2 cost -t 1x
run 2 cost -s -1
run 2 cost -s nan
run 2 cost --max-params 0
run 2 cost --num-steps 0
run 2 cost --nonfinite perhaps; says err "stop, skip, pass"
run 2 cost --no-such-option
run 4 cost -w resnet50 -o adam -t 1 --max-params 3; says err "161 tensors"
run 5 cost -w 10k -o adam -t 1 --json "$work/no/such/folder/x.json"; says err "cannot be written"
ok "an unwritable path is told before measuring" silent out
run 5 cost -w 10k -o adam -t 1 --json "$work"; says err "not a regular file"
run 5 cost -w 10k -o velo -t 1 --weights "$work/absent"; says err "absent"
printf 'not weights' >"$work/weights"
run 4 cost -w 10k -o velo -t 1 --weights "$work/weights"; says err "weights"
printf '[{"name": "w", "shape": [33, -17]}]' >"$work/bad.json"
run 4 cost -w "$work/bad.json" -o adam -t 1
printf '[{"name": "w", "shape": [33, "many"]}]' >"$work/bad.json"
run 4 cost -w "$work/bad.json" -o adam -t 1
printf '[{"name": "w", "shape": [9007199254740992, 9007199254740992]}]' >"$work/bad.json"
run 4 cost -w "$work/bad.json" -o adam -t 1
printf '[{"name": "w", "shape": [4, 0]}]' >"$work/bad.json"
run 4 cost -w "$work/bad.json" -o adam -t 1; says err "no elements"
printf 'truncated [' >"$work/bad.json"
run 4 cost -w "$work/bad.json" -o adam -t 1
printf '[{"name": "w", "shape": [1000000, 100000000]}]' >"$work/huge.json"
run 3 cost -w "$work/huge.json" -o adam,velo -t 1; says err "GiB of memory"; says out "REFUSED"
STEPCOST_ISA=avx9000 run 2 cost -w 10k -o adam; says err "avx9000"

# --- bench ---
run 0 bench --list; says out "adam.adam"; says out "roof.rw43"
run 0 bench roof.rw43 --size 4096 --rows scalar -t 1 -s 0.05 --json "$work/bench.json"
says out "roof.rw43"
for key in case row size ns_per_item cycles_per_item roof_fraction samples dims; do
    ok "bench.json has the key $key" grep -q "\"$key\":" "$work/bench.json"
done
run 2 bench no-such-case -t 1; says err "no kernel case matches"
run 2 bench roof --rows nonsense -t 1; says err "not compiled in"
run 2 bench roof --size L9 -t 1; says err "L9"
run 2 bench roof --size 5 -t 1
run 2 bench roof --size 99999999999999999999 -t 1
STEPCOST_ISA=scalar run 0 bench roof.read --size 4096 -t 1 -s 0.05
run 5 bench roof --json /no/such/folder/x.json -t 1
run 2 bench --op adam; says err "unknown operator"
run 2 bench --variant own; says err "need --op"
run 2 bench --suite ops; says err "need --peer"
run 2 bench --op all --rows avx2; says err "STEPCOST_ROW"
run 2 bench --peer; says err "needs --serve"
run 0 bench --tune "$work/plans.txt" --op conv_fwd --batch 1 -t 1 -s 0.05 2048_512_1x1_s1_7; says out "2048_512_1x1_s1_7"
ok "bench --tune keeps its choice" grep -q " | fwd | 1x2048x7x7 to 512 by 1x1 stride 1 pad 0 0 0 0 | " "$work/plans.txt"
printf 'not a choice\n' >"$work/plans.txt"
run 4 bench --tune "$work/plans.txt" --op conv_fwd --batch 1 -t 1 -s 0.05 2048_512_1x1_s1_7; says err "plans.txt:1"

# --- bench --peer ---
run 0 bench --peer --suite optim --op nadamw --case 10k --threads 1 --reps 3 --seconds 0.01
says out '"times_ns":['; says out '"op":"nadamw"'; says out '"case":"10k"'
run 0 bench --peer --suite optim --op velo --case 10k --threads 1 --reps 2 --seconds 0.01 --cold 65536
says out "generated (cost only)"
run 3 bench --peer --suite ops --op gemm --case 10k --threads 1
run 3 bench --peer --suite optim --op adagrad --case 10k --threads 1
run 3 bench --peer --suite optim --op adam --case 3k --threads 1
cat >"$work/requests" <<'REQUESTS'
{"do":"run","variant":"","seconds":0.01}
{"do":"prepare","suite":"optim","op":"adagrad","case":"x","spec":{"shapes":[[3]]},"threads":1}
{"do":"prepare","suite":"optim","op":"adam","case":"x","spec":{"shapes":[[-3]]},"threads":1}
{"do":"prepare","suite":"optim","op":"sgdm","case":"x","spec":{"shapes":[[3,5],[7],[]]},"threads":1}
{"do":"run","variant":"","seconds":0.01,"min_reps":2,"max_reps":5,"cold":4096}
{"do":"drop"}
not json
{"do":"dance"}
{"do":"quit"}
{"do":"run","variant":""}
REQUESTS
"$stepcost" bench --peer --serve <"$work/requests" >"$work/out" 2>"$work/err"
ok "serve ends well" test $? -eq 0
ok "serve answers each request up to quit" test "$(wc -l <"$work/out")" -eq 8
ok "serve refuses five" test "$(grep -c '"ok":false' "$work/out")" -eq 5
ok "serve times steps" grep -q '"ok":true,"times_ns":\[[0-9]' "$work/out"

# --- data ---
for workload in resnet50 ogbg dlrm unet; do
    run 0 data info synthetic --workload $workload --batch 3 --side 32 --split validation
    says out "SYNTHETIC"; says out "$workload"; says out "validation"; says out "Batch 0"; says out "memory"
done
run 0 data info synthetic -w dlrm -n 10 -b 4 --split test --position 2; says out "Batch 2, 2 samples"
run 0 data info synthetic -w dlrm -n 10 -b 4 --split test --position 3; says out "ends before batch 3"
run 0 data info synthetic -w ogbg -b 64; says out "1664 nodes"; says out "% missing"; says out "128"
run 0 data verify synthetic -w unet; says out "nothing to verify"
run 2 data; says err "a task is needed"
run 2 data inspect x -w dlrm; says err "inspect"
run 2 data verify; says err "a folder of data is needed"
run 2 data verify x; says err "--workload is needed"
run 2 data verify x -w mnist; says err "mnist"; says err "ogbg"
run 2 data verify x y -w dlrm; says err "unexpected argument"
run 2 data info synthetic -w unet --split half; says err "validation"
run 2 data info synthetic -w unet --on-bad-sample mend; says err "stop, skip"
run 2 data info synthetic -w unet --batch 0; says err "--batch=0"
run 2 data info synthetic -w unet --side 3; says err "side is 3"
run 2 data info synthetic -w dlrm --position 18446744073709551615; says err "too large"

# --- completions ---
for shell in bash zsh fish; do
    run 0 completions $shell
    says out "max-params"
    says out "completion"
    if [ $shell != fish ] && command -v $shell >/dev/null; then
        ok "the $shell script parses" $shell -n "$work/out"
    fi
done
run 2 completions tcsh; says err "bash, zsh, fish"
run 2 completions

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
