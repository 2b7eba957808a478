#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares publishing with a producer's numbers, and with an idempotency key, with publishing without: `wrk`, 16 connections.

    Benchmarks/Hub/repeat.py PLINTH [--rounds 5] [--seconds 3]

Each round serves each kind by a fresh hub, in turn. Prints requests a second, the CPU time of a request, and its ratio to that
of a plain publish in the same round, as the median of the rounds (smallest to largest).
"""
import argparse, os, re, statistics, subprocess, tempfile

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("plinth")
ap.add_argument("--rounds", type=int, default=5)
ap.add_argument("--seconds", type=int, default=3)
a = ap.parse_args()

LUA = """
local threads = 0
-- wrk asks the first thread for a request that it does not send.
function setup(thread) thread:set("id", threads) thread:set("number", threads == 0 and -1 or 0) threads = threads + 1 end
function request()
   local fields = {}
   %s
   number = number + 1
   return wrk.format("POST", "/topics/t" .. id, fields, string.rep("x", 100))
end
"""
KINDS = {
    "plain": "",
    "producer": 'fields["Producer-ID"] = "p" .. id fields["Producer-Epoch"] = "0" fields["Producer-Sequence"] = tostring(number)',
    "key": 'fields["Idempotency-Key"] = "key " .. id .. " " .. number',
    # As many fields as a producer's, which mean nothing.
    "other fields": 'fields["X-First-ID"] = "p" .. id fields["X-The-Epoch"] = "0" fields["X-The-Sequence"] = tostring(number)',
}


def cpu(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(kind, folder):
    script = os.path.join(folder, "request.lua")
    with open(script, "w") as f:
        f.write(LUA % KINDS[kind])
    # Room for all keys: the bound is not what is measured.
    server = subprocess.Popen([a.plinth, "serve", "--port", "0", "--log-level", "error", "--maximum-key-bytes", str(1 << 33)],
                              stdout=subprocess.PIPE, text=True)
    try:
        port = re.search(r":(\d+)", server.stdout.readline().split("//")[1]).group(1)
        before = cpu(server.pid)
        out = subprocess.run(["wrk", "-t16", "-c16", f"-d{a.seconds}", "-s", script, f"http://127.0.0.1:{port}"],
                             capture_output=True, text=True, check=True).stdout
        used = cpu(server.pid) - before
        requests = int(re.search(r"(\d+) requests in", out).group(1))
        if "Non-2xx" in out:
            raise SystemExit(f"{kind}: {out}")
        return requests / a.seconds, used / requests * 1e6
    finally:
        server.terminate()
        server.wait()


results = {kind: [] for kind in KINDS}
with tempfile.TemporaryDirectory() as folder:
    for _ in range(a.rounds):
        for kind in KINDS:
            results[kind].append(measure(kind, folder))


def spread(values, digits):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


print("| publish | requests/s | CPU, µs | of plain | of other fields |\n|---|---|---|---|---|")
for kind, rounds in results.items():
    ratios = [own[1] / plain[1] for own, plain in zip(rounds, results["plain"])]
    others = [own[1] / plain[1] for own, plain in zip(rounds, results["other fields"])]
    print(f"| {kind} | {statistics.median(r for r, _ in rounds):.0f} | {spread([c for _, c in rounds], 1)} | {spread(ratios, 2)} "
          f"| {spread(others, 2)} |")
