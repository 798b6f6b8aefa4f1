#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""train_table.py RESULT.jsonl: Markdown tables of what bench_train.py wrote, the last run of each workload.

Milliseconds are medians over all steps (least in brackets); samples per second those of the median round. The ratio is
stepcost's rate, plain, over PyTorch's fastest variant: of median rounds (best rounds in brackets); above 1 stepcost is faster."""
import json
import sys

PHASES = ("forward", "backward", "optimizer", "iteration")
UNITS = {"resnet50": "images", "unet": "slices", "ogbg": "graphs"}
cases = {}
for line in open(sys.argv[1]):
    row = json.loads(line)
    case = cases.setdefault((row["workload"], row["batch"], row["threads"]), {"variants": {}})
    if "phase" in row:
        case["variants"].setdefault(f"{row['peer']}: {row['variant']}", {})[row["phase"]] = row
    elif "ratio_med" in row:
        case["ratio"] = row
for (workload, batch, threads), case in cases.items():
    print(f"### {workload}, batch {batch}, {threads} threads: ms\n")
    print("| program | " + " | ".join(PHASES) + f" | {UNITS.get(workload, 'rows')}/s |")
    print("|---" * (len(PHASES) + 2) + "|")
    for name, phases in case["variants"].items():
        cells = [f"{1e3 * phases[p]['seconds_med']:.1f} ({1e3 * phases[p]['seconds_min']:.1f})" for p in PHASES]
        print(f"| {name} | " + " | ".join(cells) + f" | {phases['iteration']['samples_per_second']:.4g} |")
    if "ratio" in case:
        print(f"\n- stepcost over PyTorch: {case['ratio']['ratio_med']:.2f} ({case['ratio']['ratio_best']:.2f})")
    print()
