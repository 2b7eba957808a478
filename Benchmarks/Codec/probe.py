#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the floor and our codecs on the same streams and compares the results: probe.py FLOOR BENCH

Each stream is parsed whole, byte by byte, and split in two at every position. Encoder results are compared as well.
"""
import random, subprocess, sys

floor, bench = sys.argv[1:3]
STREAMS = [
    b"", b"data: a\n\n", b"data: a\r\n\r\n", b"data: a\r\rdata: b\r\r", b"data: a\n\r", b"data: a\r\ndata: b\rdata: c\n\n",
    b"\xef\xbb\xbfdata: a\n\n", b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", b"data: a\n\n\xef\xbb\xbfdata: b\n\n",
    b"id: 1\ndata: a\n\ndata: b\n\n", b"id: 1\n\ndata: a\n\n", b"id: 1\ndata: a\n\nid\ndata: b\n\n", b"id: 1\0\ndata: a\n\n",
    b"data\n\n", b"data\ndata\n\n", b"data:\ndata: b\n\n", b"data:  a \n\n", b"data: a\ndata: b\n", b"event: x\n\ndata: b\n\n",
    b"event: x\ndata: b\n\ndata: c\n\n", b": c\ndata: a\n:\n\n", b"retry: 30\n\n", b"retry: 3x\n\n", b"foo: 1\ndatax: 2\ndata: a\n\n",
    b"data: \xcc\x81a\n\n", b"data: a\xe2\x80\xa8b\n\n", b"event: a\nevent\ndata: b\n\n", b"\n\n\n\r\r\n",
    b"id: 1\ndata: a\n\nid: 2\n", b"data: a\r", b"data: a\r\r", b"data: a\r\n\r", b" data: a\ndata: b\n\n",
]
rnd = random.Random(20261121)
ATOMS = [b"data", b"event", b"id", b"retry", b":", b" ", b"\n", b"\r", b"\r\n", b"\n\n", b"a", b"1", b"xyz", b"\0", b"\xef\xbb\xbf", b"data: "]
STREAMS += [b"".join(rnd.choices(ATOMS, k=rnd.randrange(1, 40))) for _ in range(300)]


def hexa(b): return b.hex() or "-"


lines = []
for s in STREAMS:
    lines.append(hexa(s))
    lines.append(" ".join(hexa(s[i:i + 1]) for i in range(len(s))) or "-")
    lines += [hexa(s[:i]) + " " + hexa(s[i:]) for i in range(1, len(s))]


def ask(program, name, command, questions):
    out = subprocess.run([program, name, command], input="\n".join(questions) + "\n", capture_output=True, text=True).stdout
    return [line.replace("|null", "|~") for line in out.splitlines()]


def field(answer):
    """Normalizes a result: the floor and the Swift bench format an empty list of events differently."""
    events, _, rest = answer.partition("|")
    return [e for e in events.split() if e], rest


bad = 0
want = ask(floor, "c-floor", "probe", lines)
for codec in ("ours", "ours-borrowed"):
    got = ask(bench, codec, "probe", lines)
    if len(got) != len(want):
        print(f"{codec}: {len(got)} answers instead of {len(want)}"); bad += 1
    for q, w, g in zip(lines, want, got):
        if field(w) != field(g):
            bad += 1
            if bad <= 10:
                print(f"{codec} differs for {q}:\n  floor {w}\n  ours  {g}")
DATA = [b"", b"a", b"a\n", b"\n", b"\r\n", b"\r", b"a\rb", b"a\r\nb", b"a\n\rb", b"\r\r\n\n", b"data: x\n\nid: 2", b" a"]
DATA += [b"".join(rnd.choices([b"a", b"\n", b"\r", b" ", "é".encode()], k=rnd.randrange(0, 80))) for _ in range(300)]
questions = [hexa(d) for d in DATA]
want = ask(floor, "c-floor", "encprobe", questions)
for codec in ("ours", "ours-direct", "ours-built"):
    for q, w, g in zip(questions, want, ask(bench, codec, "encprobe", questions), strict=True):
        if w != g and q != "-":
            bad += 1
            if bad <= 10:
                print(f"{codec} encodes {q} differently:\n  floor {w}\n  ours  {g}")
print(f"Probes: {2 * len(lines)} streams and {3 * len(questions)} encodings, {bad} differ from the floor.")
sys.exit(1 if bad else 0)
