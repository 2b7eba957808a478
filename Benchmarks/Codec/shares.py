#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints our codec's throughput as a share of the floor's in the same run, with the goal: shares.py RESULTS.json"""
import json, sys

result = json.load(open(sys.argv[1]))
rates = result["rates"]
CASES = [("a", "parse a 16384"), ("b", "parse b 16384"), ("c", "parse c 16384"), ("d", "parse d 16384"),
         ("e", "parse e 16384"), ("encode 100 B", "encode small 100"), ("encode 10 kB", "encode lines 10000")]
GOALS = {
    "ours": dict(zip([c for c, _ in CASES], (0.25, 0.35, 0.60, 0.20, 0.30, 0.30, 0.60))),
    "ours-borrowed": dict(zip("abcde", (0.80, 0.60, 0.80, 0.50, 0.80))),
    "ours-direct": {"encode 100 B": 0.30, "encode 10 kB": 0.60},
    "ours-built": {"encode 100 B": 0.40, "encode 10 kB": 0.60},
}


def cell(codec, case, key):
    mine, floor = rates.get(f"{codec} {key}"), rates.get(f"c-floor {key}")
    if not mine or not floor:
        return None, "–"
    share = mine["MB_s"] / floor["MB_s"]
    goal = GOALS[codec].get(case)
    if goal is None:
        return True, f"{share:.2f}"
    return share >= goal, f"{share:.2f} ({goal:.2f}) {'✓' if share >= goal else '✗'}"


missed = []
print("Share of the floor in the same run (goal)\n\n| | " + " | ".join(c for c, _ in CASES) + " |\n|---|" + "---|" * len(CASES))
for codec in GOALS:
    row = []
    for case, key in CASES:
        if case not in GOALS[codec]:
            row.append("")
            continue
        good, text = cell(codec, case, key)
        row.append(text)
        if not good:
            missed.append(f"{codec}, {case}")
    print(f"| {codec} | " + " | ".join(row) + " |")
print("\nBy size of read, and mixed UTF-8\n\n| | " + " | ".join(f"{w} {s}" for s in ("1 B", "1 KiB", "64 KiB") for w in "abcde") + " | u |\n|---|" + "---|" * 16)
for codec in ("ours", "ours-borrowed"):
    def share(key):
        mine, floor = rates.get(f"{codec} {key}"), rates.get(f"c-floor {key}")
        return f"{mine['MB_s'] / floor['MB_s']:.2f}" if mine and floor else "–"
    print(f"| {codec} | " + " | ".join(share(f"parse {w} {s}") for s in (1, 1024, 65536) for w in "abcde") + f" | {share('parse u 16384')} |")
for key, wrong in result["wrong"].items():
    if key.startswith("ours"):
        missed.append(f"wrong: {key}: {wrong}")
for key, error in result["errors"].items():
    if key.startswith("ours"):
        missed.append(f"failed: {key}: {error}")
print("\n" + ("Missed: " + "; ".join(missed) if missed else "All goals are reached."))
sys.exit(1 if missed else 0)
