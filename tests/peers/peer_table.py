#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""peer_table.py RESULT.jsonl: a Markdown table per operation, ns per parameter, median (minimum), of what bench_optim.py wrote.

The ratio is stepcost's median over the lowest median of the other programs in the same rounds."""
import json
import sys

rows = {}
for line in open(sys.argv[1]):
    row = json.loads(line)
    if "min_ns" in row:
        rows.setdefault(row["op"], {}).setdefault((row["threads"], row["case"]), {})[row["peer"]] = row
for op, cases in rows.items():
    peers = list(dict.fromkeys(peer for case in cases.values() for peer in case))
    print(f"### {op}\n")
    print("| program | " + " | ".join(f"{case}, {threads} threads" for threads, case in cases) + " |")
    print("|---|" + "---|" * len(cases))
    for peer in peers:
        cells = []
        for case in cases.values():
            row = case.get(peer)
            cells.append(f"{row['ns_per_unit_med']:.3g} ({row['ns_per_unit']:.3g})" if row else "")
        print(f"| {peer} | " + " | ".join(cells) + " |")
    cells = []
    for case in cases.values():
        ours = [row["med_ns"] for peer, row in case.items() if peer.startswith("stepcost")]
        others = [row["med_ns"] for peer, row in case.items() if not peer.startswith(("stepcost", "limit"))]
        cells.append(f"{min(ours) / min(others):.2f}" if ours and others else "")
    print("| stepcost / fastest other | " + " | ".join(cells) + " |\n")
