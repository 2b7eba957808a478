#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares application-driven event streams of Plinth with a Hummingbird handler in the same run.

    Benchmarks/Streams/run.py [--shared ../shared] [--streams 10000] [--seconds 20] [--rounds 3]

Builds the servers (release) and sseload, runs each case in interleaved rounds with a fresh server each time, and prints
medians as Markdown. The raw figures go to SCRATCH/streams.json, from which charts.py draws. Run on an otherwise idle
machine. Every process that it starts has a time limit.
"""
import argparse, json, os, re, signal, statistics, subprocess, sys, tempfile, time, urllib.request

here = os.path.dirname(os.path.abspath(__file__))
root = os.path.dirname(os.path.dirname(here))
ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("--shared", default=os.path.join(os.path.dirname(root), "shared"))
ap.add_argument("--scratch", default=os.path.join(tempfile.gettempdir(), "plinth-bench-streams"))
ap.add_argument("--streams", type=int, default=10000)
ap.add_argument("--seconds", type=int, default=20)
ap.add_argument("--rounds", type=int, default=3)
ap.add_argument("--only", default="")
a = ap.parse_args()

os.makedirs(a.scratch, exist_ok=True)
sseload = os.path.join(a.scratch, "sseload")
floor = os.path.join(a.scratch, "ssefloor")
subprocess.run(["cc", "-O2", "-o", sseload, os.path.join(a.shared, "bench", "sseload.c")], check=True)
subprocess.run(["cc", "-O2", "-pthread", "-o", floor, os.path.join(a.shared, "bench", "ssefloor.c")], check=True)
print("building the servers (release); the first time takes minutes", file=sys.stderr)
subprocess.run(["swift", "build", "-c", "release", "--package-path", here, "--scratch-path", a.scratch], check=True,
               stdout=sys.stderr)
binaries = os.path.join(a.scratch, "release")
limit = str(3 * a.seconds + 120)

# name, server, path, sseload mode
CASES = [
    ("Plinth, a closure a stream, sleeping on its timer", "PlinthStreamServer", "ticker", "drain"),
    ("Plinth, a closure a stream, sleeping in Task.sleep", "PlinthStreamServer", "sleeper", "drain"),
    ("Hummingbird, a handler a stream, sleeping", "HummingbirdStreams", "ticker", "drain"),
    ("Plinth, a closure a stream, published to", "PlinthStreamServer", "scoped", "publish"),
    ("Hummingbird, a handler a stream, published to", "HummingbirdStreams", "scoped", "publish"),
    ("Plinth, stored channels, published to", "PlinthStreamServer", "open", "publish"),
    ("C floor, published to", None, "", "publish"),
]


def wait_for(port, process):
    for _ in range(400):
        if process.poll() is not None:
            sys.exit(f"the server ended at once with status {process.returncode}")
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/none", timeout=1)
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
    sys.exit("the server did not come up within 20 s")


def run(case, port):
    name, server, path, how = case
    command = [floor, "-p", str(port), "--max-time", limit] if server is None else \
        [os.path.join(binaries, server), str(port), limit]
    process = subprocess.Popen(command)
    try:
        if server is None:
            time.sleep(0.3)
        else:
            wait_for(port, process)
        load = [sseload, "-n", str(a.streams), "-s", "100", "--pid", str(process.pid), "--max-time", limit]
        load += ["--drain", str(a.seconds)] if how == "drain" else \
            ["--rate", "1", "--duration", str(a.seconds), "--warmup", "2"] + \
            ([] if server is None else ["--pub-path", "/publish"])
        out = subprocess.run(load + [f"http://127.0.0.1:{port}/{path}"], capture_output=True, text=True)
        try:
            result = json.loads(out.stdout)
        except ValueError:
            sys.exit(f"{name}: sseload said {out.stdout!r} {out.stderr!r}")
        result["status"] = out.returncode
        return result
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()


with open("/proc/cpuinfo") as f:
    cpu = re.search(r"model name\s*: (.*)|$", f.read())[1]
results = {}
port = 8940
for number in range(a.rounds):
    for case in CASES:
        if a.only and a.only not in case[0] + " " + case[2]:
            continue
        port += 1
        r = run(case, port)
        results.setdefault(case[0], []).append(r)
        with open(os.path.join(a.scratch, "streams.json"), "w") as f:
            rounds = {name: dict(enumerate(rs, 1)) for name, rs in results.items()}
            json.dump({"cpu": cpu, "cores": os.cpu_count(), "results": {"streams": rounds}}, f, indent=1)
        print(f"round {number + 1}: {case[0]}: {json.dumps(r)}", file=sys.stderr, flush=True)


def median(rs, key):
    values = [r[key] for r in rs if isinstance(r.get(key), (int, float))]
    return statistics.median(values) if values else None


def shown(value, digits=1):
    return "–" if value is None else f"{value:,.{digits}f}"


print(f"{a.streams:,} streams, one event of 100 bytes a second each for {a.seconds} s; medians of {a.rounds} rounds\n")
print("| server | CPU µs per event | bytes of memory per stream | lost | duplicated | first byte p99, µs |")
print("|---|---|---|---|---|---|")
for name, rs in results.items():
    lost = sum(r.get("lost", 0) + r.get("id_gaps", 0) for r in rs)
    ttfb = [r["ttfb_us"]["p99"] for r in rs if isinstance(r.get("ttfb_us"), dict) and "p99" in r["ttfb_us"]]
    print(f"| {name} | {shown(median(rs, 'server_cpu_us_per_delivery'), 2)} | {shown(median(rs, 'rss_per_conn'), 0)} | "
          f"{lost} | {sum(r.get('duplicated', 0) for r in rs)} | {shown(statistics.median(ttfb) if ttfb else None, 0)} |")
bad = [name for name, rs in results.items() if any(r["status"] for r in rs)]
if bad:
    print("\nsseload found violations or failed connections in: " + ", ".join(bad))
    sys.exit(1)
