#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Times stepcost beside PyTorch, optax, DeepSpeed and a compiled C loop, in interleaved rounds, and prints a table.
# The peers are installed from PyPI into DIR on first use (some 6 GB).
#   scripts/compare-peers.sh DIR [options of tests/peers/bench_optim.py]
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ $# -ge 1 ] || { say "usage: scripts/compare-peers.sh DIR [options of tests/peers/bench_optim.py]"; exit 2; }
dir=$(mkdir -p "$1" && cd "$1" && pwd)
shift

install_missing $build_packages python3 python3-venv util-linux
build "$root/build" -DCMAKE_BUILD_TYPE=Release -DSTEPCOST_TESTS=OFF
cp "$root"/tests/peers/*.py "$dir"
[ -x "$dir/venv/bin/python" ] || { python3 -m venv "$dir/venv" && "$dir/venv/bin/pip" install -q torch numpy deepspeed ninja; }
[ -x "$dir/jvenv/bin/python" ] || { python3 -m venv "$dir/jvenv" && "$dir/jvenv/bin/pip" install -q jax optax numpy; }
gcc -O2 -pthread "$root/tests/peers/stream.c" -o "$dir/stream" -lm
gcc -O3 -march=native -ffast-math -fopenmp "$root/tests/peers/naive_optim.c" -o "$dir/naive_optim" -lm
cd "$dir"
python3 bench_optim.py --limits --out "$dir/result.jsonl" --with cloop=./naive_optim \
    --with-serve "stepcost=$root/build/stepcost bench --peer --serve" "$@" >"$dir/log.jsonl"
python3 peer_table.py "$dir/result.jsonl"
