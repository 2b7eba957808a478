#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the client, from socket to `for await`, with `curl | plinth decode` and curl alone in the same run.

    Benchmarks/Client/run.py [--rounds 5] [--seconds 3]

Builds a sender in C, the client and `plinth` (release), runs each case in interleaved rounds, and prints medians as
Markdown; then the memory of a slow reader that receives 1 GB. CPU is the reader's user and system time on all cores: 1 µs
per event means a million events per second on one core. Run on an otherwise idle machine. Every process that it starts
ends by itself or is terminated by its handle.
"""
import argparse, json, os, resource, statistics, subprocess, sys, tempfile, time

here = os.path.dirname(os.path.abspath(__file__))
root = os.path.dirname(os.path.dirname(here))
ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("--scratch", default=os.path.join(tempfile.gettempdir(), "plinth-bench-client"))
ap.add_argument("--rounds", type=int, default=5)
ap.add_argument("--seconds", type=float, default=3, help="about how long a case runs")
ap.add_argument("--slow", type=int, default=1000, help="megabytes through the slow reader; 0 to leave it out")
ap.add_argument("--plinth", help="a release build of the tool; built unless given")
ap.add_argument("--build-only", action="store_true")
a = ap.parse_args()

os.makedirs(a.scratch, exist_ok=True)
sender = os.path.join(a.scratch, "sender")
subprocess.run(["cc", "-O2", "-pthread", "-o", sender, os.path.join(here, "sender.c")], check=True)
print("building the client and plinth (release); the first time takes minutes", file=sys.stderr)
release = ["swift", "build", "-c", "release"]
subprocess.run(release + ["--package-path", here, "--scratch-path", a.scratch], check=True, stdout=sys.stderr)
tool = os.path.join(a.scratch, "tool")
if not a.plinth:
    subprocess.run(
        release + ["--package-path", root, "--scratch-path", tool, "--traits", "Command", "--product", "plinth"],
        check=True, stdout=sys.stderr)
if a.build_only:
    sys.exit()
client, plinth = os.path.join(a.scratch, "release", "ClientBenchmark"), a.plinth or os.path.join(tool, "release", "plinth")

# name, path, bytes per event on the wire, estimated events per second
CASES = [
    ("100 bytes, large chunks", "100", 108, 1_500_000),
    ("100 bytes, a chunk an event", "100/each", 108, 600_000),
    ("10 kB, large chunks", "10000", 10_008, 80_000),
    ("10 kB, a chunk an event", "10000/each", 10_008, 60_000),
]


def run_client(url, count):
    out = subprocess.run([client, url, str(count)], check=True, capture_output=True, text=True).stdout
    got = json.loads(out)
    assert got["events"] == count, out
    return got["seconds"], (got["user"] + got["system"]) / 1e6


def run_pipe(url, count, size, decode):
    """Runs curl and its readers; returns the wall time and CPU of the whole pipe."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    pipe = f"curl -sN '{url}' | head -c {count * size} " + (f"| '{plinth}' decode > /dev/null" if decode else "> /dev/null")
    subprocess.run(["sh", "-c", pipe], check=True)
    took, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


process = subprocess.Popen([sender, "0"], stdout=subprocess.PIPE, text=True)
try:
    port = int(process.stdout.readline())
    readers = [
        ("PlinthClient", lambda url, count, size: run_client(url, count)),
        ("curl, head, plinth decode", lambda url, count, size: run_pipe(url, count, size, True)),
        ("curl, head", lambda url, count, size: run_pipe(url, count, size, False)),
    ]
    results = {}
    for round in range(a.rounds):
        for name, path, size, rate in CASES:
            for reader, run in readers:
                count = int(rate * a.seconds)
                took, cpu = run(f"http://127.0.0.1:{port}/{path}", count, size)
                results.setdefault((name, reader), []).append((count / took, cpu / count * 1e6, count * size / took / 1e6,
                                                               count / cpu, count * size / cpu / 1e6))
    print("| events | reader | events/s | MB/s | CPU µs per event | events/s of one core | MB/s of one core |")
    print("|---|---|---|---|---|---|---|")
    for (name, reader), rows in results.items():
        rate, cpu, mb, core, core_mb = (statistics.median(column) for column in zip(*rows))
        print(f"| {name} | {reader} | {rate:,.0f} | {mb:,.0f} | {cpu:.3f} | {core:,.0f} | {core_mb:,.0f} |")
    if a.slow:
        for megabytes in (max(a.slow // 10, 1), a.slow):
            count = megabytes * 1_000_000 // 1008
            # Pauses 10 ms after each 1,000 events (1 MB), so the reader is far slower than the sender.
            out = json.loads(subprocess.run([client, f"http://127.0.0.1:{port}/1000", str(count), "10000"], check=True,
                                            capture_output=True, text=True).stdout)
            print(f"\nA slow reader of {megabytes:,} MB: {out['bytes'] / out['seconds'] / 1e6:,.0f} MB/s, "
                  f"at most {out['peak']:,} kB resident.")
finally:
    process.terminate()
    process.wait()
