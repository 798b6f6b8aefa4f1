#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""op_table.py RESULT.jsonl [min|med]: Markdown tables of what bench_ops.py wrote, and the ratios that matter.

A ratio is the other program's time over ours in the same rounds: above 1 stepcost is faster. Geometric means of
convolutions are over the distinct layers, and over all layers of the network in brackets."""
import json
import math
import sys

key = (sys.argv[2] if len(sys.argv) > 2 else "med") + "_ns"
COUNT = {  # how often a distinct convolution occurs in ResNet-50
    "64_64_1x1_s1_56": 1, "64_64_3x3_s1_56": 3, "64_256_1x1_s1_56": 4, "256_64_1x1_s1_56": 2, "128_128_3x3_s1_28": 3,
    "128_512_1x1_s1_28": 4, "512_128_1x1_s1_28": 3, "256_256_3x3_s1_14": 5, "256_1024_1x1_s1_14": 6,
    "1024_256_1x1_s1_14": 5, "512_512_3x3_s1_7": 2, "512_2048_1x1_s1_7": 3, "2048_512_1x1_s1_7": 2,
}
rows = {}
for line in open(sys.argv[1]):
    row = json.loads(line)
    if "min_ns" in row:
        rows.setdefault((row["op"], row["threads"]), {}).setdefault(row["case"], {})[row["peer"].split("[")[0]] = row


def best(peers, *prefixes):
    times = [row[key] for peer, row in peers.items() if peer.startswith(prefixes)]
    return min(times) if times else None


def mean(ratios, weights=None):
    weights = weights or [1] * len(ratios)
    return math.exp(sum(w * math.log(r) for r, w in zip(ratios, weights)) / sum(weights))


def convolutions(op, threads, cases):
    heads = ["PyTorch", "oneDNN own layouts", "stepcost tuned", "stepcost own", "tuned over PyTorch", "tuned over oneDNN",
             "tuned over the better", "own over oneDNN", "ran"]
    print(f"### {op}, {threads} thread{'s' if threads > 1 else ''}: ms\n\n| layer | " + " | ".join(heads) + " |")
    print("|---" * (len(heads) + 1) + "|")
    ratios, weights = {}, []
    for case, peers in cases.items():
        torch, dnn = best(peers, "torch"), best(peers, "c.onednn26.any")
        tuned = best({p: r for p, r in peers.items() if p == "stepcost.tuned"}, "stepcost")
        own = best({p: r for p, r in peers.items() if p == "stepcost.own"}, "stepcost")
        cells = [torch, dnn, tuned, own]
        text = [f"{c / 1e6:.3f}" if c else "" for c in cells]
        values = [torch and tuned and torch / tuned, dnn and tuned and dnn / tuned,
                  tuned and min(x for x in (torch, dnn, math.inf) if x) / tuned, dnn and own and dnn / own]
        for head, value in zip(heads[4:], values):
            if value and value > 0 and value != math.inf:
                ratios.setdefault(head, []).append((value, COUNT.get(case, 1)))
        text += [f"{v:.2f}" if v else "" for v in values]
        note = peers.get("stepcost.tuned", {}).get("note", "")
        print(f"| {case} | " + " | ".join(text) + f" | {note} |")
    print()
    for head, list_ in ratios.items():
        r, w = zip(*list_)
        print(f"- {head}: geometric mean {mean(r):.3f} ({mean(r, w):.3f}), least {min(r):.3f}")
    print()


def others(op, threads, cases):
    names = list(dict.fromkeys(p for peers in cases.values() for p in peers))
    print(f"### {op}, {threads} thread{'s' if threads > 1 else ''}: ms\n\n| program | " + " | ".join(cases) + " |")
    print("|---" * (len(cases) + 1) + "|")
    for name in names:
        print(f"| {name} | " + " | ".join(f"{c[name][key] / 1e6:.4g}" if name in c else "" for c in cases.values()) + " |")
    ratios = []
    for peers in cases.values():
        ours = best(peers, "stepcost")
        theirs = best({p: r for p, r in peers.items() if not p.startswith("stepcost")}, "")
        ratios.append(theirs / ours if ours and theirs else None)
    print("| **fastest other over stepcost** | " + " | ".join(f"{r:.2f}" if r else "" for r in ratios) + " |\n")
    if any(ratios):
        print(f"- geometric mean {mean([r for r in ratios if r]):.3f}, least {min(r for r in ratios if r):.3f}\n")


for (op, threads), cases in rows.items():
    (convolutions if op.startswith("conv") else others)(op, threads, cases)
