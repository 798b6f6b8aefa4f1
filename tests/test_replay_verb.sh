#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# stepcost replay: exit codes and messages.   test_replay_verb.sh STEPCOST TRACES MODELS
stepcost=$1 traces=$2 models=$3 failed=0
unset STEPCOST_ISA STEPCOST_ROW STEPCOST_THREADS

# expect CODE TEXT ARGUMENT...: the exit code, and text on either stream
expect() {
    code=$1 text=$2
    shift 2
    output=$("$stepcost" replay "$@" 2>&1)
    got=$?
    case $got:$output in
    $code:*"$text"*) ;;
    *)
        echo "replay $*: exit code $got, expected $code with \"$text\":"
        echo "$output"
        failed=1
        ;;
    esac
}

expect 2 "a folder of recorded traces is needed"
expect 5 "cannot be listed" "no such folder"
expect 4 "no recorded traces" "$(dirname "$0")/topology"
expect 5 "cannot be opened" "$traces" "no such case" --rows scalar --threads 1
expect 2 'unknown' "$traces" wd --rows sse9
expect 2 "whole number from 1 to" "$traces" wd --threads 0
expect 2 "whole number from 1 to" "$traces" wd --threads 1,x
expect 5 "cannot be written" "$traces" wd --rows scalar --threads 1 --json "no such folder/file"
expect 0 "bits of row scalar" "$traces" wd --rows scalar --threads 1,2
expect 0 "1 of 1 cases within all bounds" "$traces" wd --rows scalar --threads 1 --tensors
expect 0 '"report": "replay"' "$traces" wd --rows scalar --threads 1 --json -
# One of the two cannot run on any machine.
expect 0 "SKIPPED row" "$traces" wd --rows scalar,avx2,neon --threads 1
case $(uname -m) in
x86_64) expect 77 "neon" "$traces" wd --rows neon ;;
*) expect 77 "avx2" "$traces" wd --rows avx2 ;;
esac
STEPCOST_ISA=scalar expect 0 "bits of row environment" "$traces" wd --threads 1
expect 0 "1 of 1 cases within all bounds" "$models" gnn_4graphs --rows scalar,winograd --threads 1,2
expect 0 "BottleneckResNetBlock" "$models" resnet50_4x64 --rows winograd --threads 2 --tensors
expect 0 '"report": "replay_models"' "$models" dlrm_V1000_b16 --rows scalar --threads 1 --json -
expect 5 "no such case.json" "$models" "no such case" --rows scalar --threads 1
expect 2 'unknown' "$traces" wd --rows winograd
work=$(mktemp -d) || exit 1
sed 's/"loss": 0.6/"loss": 0.7/' "$models/dlrm_V1000_b16.json" >"$work/wrong.json"
expect 1 "ABOVE THE BOUND" "$work" --rows scalar --threads 1
head -c 1000 "$models/dlrm_V1000_b16.json" >"$work/wrong.json"
expect 4 "wrong.json:" "$work" --rows scalar --threads 1
rm -r "$work"
exit $failed
