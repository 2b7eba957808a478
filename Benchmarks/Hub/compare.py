#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares two builds of `plinth serve`: what a delivery, a publish request or an uploaded event costs before and after a
change.

    Benchmarks/Hub/compare.py BEFORE AFTER [--pairs 10] [--streams 300] [--only http1,...,publish,upload] [--instructions]

BEFORE and AFTER are release binaries. Prints, for each way to serve: the CPU time of a delivery in interleaved pairs, with
the ratio's median and its 95 % interval (Student's t on the logarithms). With --instructions, it counts instead, with
callgrind: instructions in user space and system calls per delivery, from the difference of two runs of different length,
which barely vary. Every process ends by itself or is stopped by pid.
"""
import argparse, json, math, os, signal, socket, statistics, subprocess, sys, tempfile, time

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("before")
ap.add_argument("after")
ap.add_argument("--pairs", type=int, default=10)
ap.add_argument("--streams", type=int, default=300)
ap.add_argument("--events", type=int, default=300)
ap.add_argument("--only", default="http1,loops,tls,h2,h2x100,publish,upload")
ap.add_argument("--instructions", action="store_true", help="count instructions and system calls (valgrind, strace)")
a = ap.parse_args()
here = os.path.dirname(os.path.abspath(__file__))
work = tempfile.mkdtemp(prefix="plinth-compare-")
hubload = os.path.join(work, "hubload")
subprocess.run(["cc", "-O2", "-o", hubload, os.path.join(here, "hubload.c"), "-lnghttp2", "-lssl", "-lcrypto"], check=True)
certificate, key = os.path.join(work, "certificate.pem"), os.path.join(work, "key.pem")
subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                "-subj", "/CN=localhost", "-keyout", key, "-out", certificate], check=True, capture_output=True)
TLS = ["--tls-certificate", certificate, "--tls-key", key]
# way: options of the server, options of hubload
WAYS = {"http1": ([], []), "loops": (["--transport", "event-loops"], []), "tls": (TLS, ["--tls"]),
        "h2": (TLS, ["--tls", "--h2", "1"]), "h2x100": (TLS, ["--tls", "--h2", "100"]),
        # Requests alone, on 16 connections: the only stream is of another topic.
        "publish": ([], ["--alone", "--path", "/topics/other", "--pubs", "16", "--window", "16"]),
        # One event stream, 64 events a chunk, to which nobody subscribes.
        "upload": ([], [])}
# Of these, an event counts, and not its deliveries.
EVENTS = ("publish", "upload")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cost(result):
    return result.get("server_cpu_us_per_event") or result["server_cpu_us_per_delivery"]


def child_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return int(f.read().split()[0])


def upload(port, pid, count):
    """Uploads an event stream; returns the server's CPU time of an event."""
    chunk = b"".join(b"data: %s\n\n" % (b"x" * 100) for _ in range(64))
    with socket.create_connection(("127.0.0.1", port), 60) as s:
        s.settimeout(300)
        before = cpu(pid)
        s.sendall(b"POST /topics/t HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/event-stream\r\n"
                  b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
        for _ in range(count // 64):
            s.sendall(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        s.sendall(b"0\r\n\r\n")
        answer = b""
        while piece := s.recv(65536):
            answer += piece
    if f'"count":{count // 64 * 64}' not in answer.decode():
        sys.exit(f"upload: {answer.decode()}")
    return {"server_cpu_us_per_event": (cpu(pid) - before) / (count // 64 * 64) * 1e6}


def cpu(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(binary, way, under=(), events=None):
    """Serves one load, under another program if given; returns hubload's result, and waits for the server's end."""
    server, load = WAYS[way]
    port, pid = free_port(), None
    process = subprocess.Popen([*under, binary, "serve", "--host", "127.0.0.1", "--port", str(port), "--log-level", "error",
                                *server], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    sys.exit(f"{binary} does not listen")
                time.sleep(0.05)
        # strace keeps signals to itself, and runs the server as its child.
        pid = child_of(process.pid) if under[:1] == ["strace"] else process.pid
        if way == "upload":
            return upload(port, pid, events or a.events)
        count, streams = events or a.events, 1 if way == "publish" else a.streams
        out = subprocess.run([hubload, *load, "--closed", str(count), "--warmup", "10", "-n", str(streams), "--stall", "60",
                              "--max-time", "280", "--pid", str(pid), str(port)], capture_output=True, text=True)
        if out.returncode != 0:
            sys.exit(f"{way}: hubload: {out.stdout} {out.stderr}")
        return json.loads(out.stdout)
    finally:
        os.kill(pid or process.pid, signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def counted(binary, way):
    """Instructions in user space and system calls of a delivery."""
    shim, stripped = os.path.join(work, "sigsuspend.so"), os.path.join(work, os.path.basename(binary) + "-stripped")
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", shim, os.path.join(here, "sigsuspend.c")], check=True)
    # Valgrind 3.19 cannot read the debug information of Swift's compiler.
    subprocess.run(["strip", "-g", "-o", stripped, binary], check=True)
    totals = []
    # One delivery each, and so more of them.
    few = {"publish": 1000, "upload": 20_000 // 64 * 64}.get(way, 100)
    for events in (few, 3 * few):
        log = os.path.join(work, "valgrind.log")
        measure(stripped, way, ["env", f"LD_PRELOAD={shim}", "valgrind", "--tool=callgrind", f"--log-file={log}",
                                f"--callgrind-out-file={work}/callgrind.out"], events)
        with open(log) as f:
            instructions = int(f.read().rsplit("Collected : ", 1)[1].split()[0])
        summary = os.path.join(work, "strace.log")
        measure(binary, way, ["strace", "-f", "-c", "-U", "calls,name", "-o", summary], events)
        with open(summary) as f:
            calls = sum(int(line.split()[0]) for line in f if line.split()[1:] and line.split()[0].isdigit()
                        and line.split()[1] != "total")
        totals.append((instructions, calls))
    deliveries = 2 * few * (1 if way in EVENTS else a.streams)
    return [(after - before) / deliveries for before, after in zip(*totals)]


if a.instructions:
    print("| way | instructions per delivery, before | after | ratio | system calls per delivery, before | after |")
    print("|---|---|---|---|---|---|")
    for way in a.only.split(","):
        (x, calls), (y, calls_after) = counted(a.before, way), counted(a.after, way)
        print(f"| {way} | {x:,.0f} | {y:,.0f} | {y / x:.3f} | {calls:.3f} | {calls_after:.3f} |", flush=True)
    sys.exit()

# Quantiles of Student's t for a two-sided interval of 95 %.
T = {2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 10: 2.228, 11: 2.201, 14: 2.145, 19: 2.093}

print("| way | CPU µs per delivery, before | after | ratio of pairs, median and 95 % interval |")
print("|---|---|---|---|")
for way in a.only.split(","):
    pairs = []
    for number in range(a.pairs):
        order = [a.before, a.after] if number % 2 == 0 else [a.after, a.before]
        # Of uploads, so many that a tick of the clock is 1 %.
        events = {"publish": 100, "upload": 6400}.get(way, 1) * a.events
        found = {binary: cost(measure(binary, way, events=events)) for binary in order}
        pairs.append((found[a.before], found[a.after]))
        print(f"{way} pair {number + 1}: {pairs[-1][0]:.2f} {pairs[-1][1]:.2f}", file=sys.stderr, flush=True)
    logs = [math.log(y / x) for x, y in pairs]
    middle = statistics.mean(logs)
    half = T.get(len(logs) - 1, 2.0) * statistics.stdev(logs) / math.sqrt(len(logs)) if len(logs) > 2 else math.nan
    row = f"| {way} | {statistics.median(x for x, _ in pairs):.2f} | {statistics.median(y for _, y in pairs):.2f} | " \
          f"{math.exp(statistics.median(logs)):.3f} ({math.exp(middle - half):.3f} to {math.exp(middle + half):.3f}) |"
    print(row, flush=True)
