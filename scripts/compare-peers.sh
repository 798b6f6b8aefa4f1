#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Times stepcost beside other programs in interleaved rounds and prints tables: optimizers beside PyTorch, optax, DeepSpeed and
# a compiled C loop; operators beside PyTorch, JAX, FBGEMM, oneDNN, OpenBLAS and libxsmm; training steps of the four workloads
# beside PyTorch.
# The peers are installed from PyPI and Debian, into DIR on first use (some 12 GB).
#   scripts/compare-peers.sh DIR [options of tests/peers/bench_optim.py]
#   scripts/compare-peers.sh DIR --suite-ops [options of tests/peers/bench_ops.py]
#   scripts/compare-peers.sh DIR --suite-train [options of tests/peers/bench_train.py]
set -euo pipefail
. "$(dirname "$0")/lib.sh"
[ $# -ge 1 ] || { say "usage: scripts/compare-peers.sh DIR [--suite-ops|--suite-train] [options of tests/peers/bench_{optim,ops,train}.py]"; exit 2; }
dir=$(mkdir -p "$1" && cd "$1" && pwd)
shift
suite=optim
case "${1:-}" in --suite-ops | --suite-train) suite=${1#--suite-}; shift ;; esac

install_missing $build_packages python3 python3-venv util-linux
build "$root/build" -DCMAKE_BUILD_TYPE=Release -DSTEPCOST_TESTS=OFF
cp "$root"/tests/peers/*.py "$dir"
[ -x "$dir/venv/bin/python" ] || { python3 -m venv "$dir/venv" && "$dir/venv/bin/pip" install -q torch numpy deepspeed ninja; }
[ $suite = train ] || [ -x "$dir/jvenv/bin/python" ] || { python3 -m venv "$dir/jvenv" && "$dir/jvenv/bin/pip" install -q jax optax numpy; }
[ $suite = train ] || gcc -O2 -pthread "$root/tests/peers/stream.c" -o "$dir/stream" -lm
serve="stepcost=$root/build/stepcost bench --peer --serve"
if [ $suite = ops ]; then
    install_missing libdnnl-dev libopenblas-dev libxsmm-dev
    # FBGEMM is built against one release of PyTorch, which its own requirements do not name.
    [ -x "$dir/fvenv/bin/python" ] || { python3 -m venv "$dir/fvenv" && "$dir/fvenv/bin/pip" install -q fbgemm-gpu-cpu numpy torch==2.14.1; }
    g++ -O2 -march=native "$root/tests/peers/ops_c.cc" -o "$dir/ops_c" -ldnnl -lopenblas -lxsmm -ldl -lpthread
    cd "$dir"
    export STEPCOST_TUNE=${STEPCOST_TUNE:-$dir/tune.txt}
    python3 bench_ops.py --out "$dir/ops.jsonl" --with c=./ops_c --with-serve "$serve" "$@" >"$dir/ops_log.jsonl"
    python3 op_table.py "$dir/ops.jsonl"
elif [ $suite = train ]; then
    cd "$dir"
    export STEPCOST_TUNE=${STEPCOST_TUNE:-$dir/tune.txt}
    python3 bench_train.py --out "$dir/train.jsonl" --stepcost "$root/build/stepcost" "$@" >"$dir/train_log.jsonl"
    python3 train_table.py "$dir/train.jsonl"
else
    gcc -O3 -march=native -ffast-math -fopenmp "$root/tests/peers/naive_optim.c" -o "$dir/naive_optim" -lm
    cd "$dir"
    python3 bench_optim.py --limits --out "$dir/result.jsonl" --with cloop=./naive_optim --with-serve "$serve" "$@" >"$dir/log.jsonl"
    python3 peer_table.py "$dir/result.jsonl"
fi
