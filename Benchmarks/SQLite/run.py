#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares a history in SQLite with one in memory, and with the same rows written and read with GRDB alone.

    Benchmarks/SQLite/run.py [--plinth PROGRAM] [--folder DIR] [--rounds 3] [--only append,replay,...] [--small]

Builds what it is not given (release), measures in interleaved rounds, each figure in a process of its own, and prints
Markdown: medians of the rounds (smallest to largest); a ratio is the median of each round's. The raw figures go to
SCRATCH/sqlite.json, or --json. Run on an otherwise idle machine.

  append    events per second, by batch and number of topics; 16 publishers that append one event at a time
  replay    the whole log, and one topic among others, with a history opened for it
  locate    IDs, in memory and on the disk only
  topics    opening a history with many topics, and its memory
  load      `plinth serve`: live delivery while others replay the whole log
  fanout    S1 and S3 of Benchmarks/Hub, with a history in a file

Files are in a temporary directory within --folder, which is removed; its disk is the one that is measured. Every process
has a time limit, traffic stays on loopback, and only processes that it started are ended.
"""
import argparse, ctypes, json, os, platform, re, shutil, signal, statistics, subprocess, sys, tempfile, threading, time

here = os.path.dirname(os.path.abspath(__file__))
root = os.path.dirname(os.path.dirname(here))
SECTIONS = ["append", "replay", "locate", "topics", "load", "fanout"]

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("--shared", default=os.path.join(os.path.dirname(root), "shared"))
ap.add_argument("--scratch", default=os.path.join(tempfile.gettempdir(), "plinth-bench-sqlite"))
ap.add_argument("--folder", default=tempfile.gettempdir(), help="where the files are (%(default)s)")
ap.add_argument("--plinth", help="a release build of plinth; built if load or fanout need it")
ap.add_argument("--program", help="a release build of SQLiteBenchmark; built unless given")
ap.add_argument("--json", help="where the raw figures go")
ap.add_argument("--rounds", type=int, default=3)
ap.add_argument("--only", default="", help="a subset of " + ",".join(SECTIONS))
ap.add_argument("--small", action="store_true", help="run a small part, to check that it works; the figures are meaningless")
ap.add_argument("--seconds", type=float, help="of each append (2)")
ap.add_argument("--batches", default="1,16,128,1000", help="append (%(default)s)")
ap.add_argument("--append-topics", default="1,100,10000", help="append (%(default)s)")
ap.add_argument("--events", type=int, help="of the log: replay, locate and load (1000000)")
ap.add_argument("--one", type=int, default=1000, help="events of the topic that is replayed alone (%(default)s)")
ap.add_argument("--lookups", type=int, help="IDs that are located (10000)")
ap.add_argument("--topics", type=int, help="of the history that is opened (100000)")
ap.add_argument("--replayers", type=int, help="subscribers that replay under load (100)")
ap.add_argument("--live", type=int, help="live subscribers under load (1000)")
ap.add_argument("--live-rate", type=int, default=1000, help="events published per second (%(default)s)")
ap.add_argument("--live-topics", help="topics that they go to in turn, each with as many of the subscribers: numbers, each measured "
                "(100,1: 10,000 and 1,000,000 deliveries a second)")
ap.add_argument("--live-seconds", type=float, help="without a replay; with one, most of its time (10)")
a = ap.parse_args()
for name, usual, small in (("seconds", 2, 0.2), ("events", 1_000_000, 20_000), ("lookups", 10_000, 200), ("topics", 100_000, 2000),
                           ("replayers", 100, 5), ("live", 1000, 50), ("live_topics", "100,1", "10,1"), ("live_seconds", 10, 1)):
    if getattr(a, name) is None:
        setattr(a, name, small if a.small else usual)
wanted = [name for name in a.only.split(",") if name] or SECTIONS
for name in wanted:
    if name not in SECTIONS:
        ap.error(f"no section {name}: there are {', '.join(SECTIONS)}")

scratch = os.path.abspath(a.scratch)
os.makedirs(scratch, exist_ok=True)
LIMIT = 300
problems = []
libc = ctypes.CDLL(None)


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def problem(text):
    problems.append(text)
    say("PROBLEM:", text)


def dies_with_us():
    libc.prctl(1, signal.SIGTERM)


# MARK: - What is built

def compiled(name, source):
    binary = os.path.join(scratch, name)
    subprocess.run(["cc", "-O2", "-o", binary, source], check=True)
    return binary


def swift(package, folder, product):
    say(f"building {product} (release); the first time takes minutes")
    into = os.path.join(scratch, folder)
    subprocess.run(["swift", "build", "-c", "release", "--package-path", package, "--scratch-path", into, "--product",
                    product], check=True, stdout=sys.stderr)
    return os.path.join(into, "release", product)


# SwiftPM does not notice new files of a package that ours depends on, unless the manifest is newer than its plan.
os.utime(os.path.join(here, "Package.swift"))
program = os.path.abspath(a.program) if a.program else swift(here, "program", "SQLiteBenchmark")
plinth = sseload = replayload = None
if {"load", "fanout"} & set(wanted):
    plinth = os.path.abspath(a.plinth) if a.plinth else swift(root, "plinth", "plinth")
    sseload = compiled("sseload", os.path.join(os.path.abspath(a.shared), "bench", "sseload.c"))
    replayload = compiled("replayload", os.path.join(here, "replayload.c"))

# MARK: - The machine

TICKS = os.sysconf("SC_CLK_TCK")


def host_cpu():
    with open("/proc/stat") as f:
        user, nice, system, _, _, irq, soft = map(int, f.readline().split()[1:8])
    return (user + nice + system + irq + soft) / TICKS


def own_cpu():
    """CPU of this process and of its children that have ended."""
    return sum(os.times()[:4])


class Others:
    """Measures what other processes use meanwhile, as cores."""

    def __enter__(self):
        self.begin, self.host, self.own = time.monotonic(), host_cpu(), own_cpu()
        return self

    def __exit__(self, *_):
        wall = max(0.01, time.monotonic() - self.begin)
        self.share = max(0, host_cpu() - self.host - (own_cpu() - self.own)) / wall


def cpu_name():
    with open("/proc/cpuinfo") as f:
        return re.search(r"model name\s*: (.*)|$", f.read())[1]


def filesystem(path):
    found = ("", "?")
    with open("/proc/mounts") as f:
        for _, place, kind, *_ in map(str.split, f):
            if os.path.commonpath([place, os.path.realpath(path)]) == place:
                found = max(found, (place, kind))
    return found[1]


def sync_times(folder):
    """What a sync of a small appended write takes, in microseconds."""
    times, path = [], os.path.join(folder, "sync")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        deadline = time.monotonic() + 5
        while len(times) < (50 if a.small else 500) and time.monotonic() < deadline:
            os.write(fd, b"x" * 200)
            begin = time.monotonic_ns()
            os.fdatasync(fd)
            times.append((time.monotonic_ns() - begin) / 1000)
    finally:
        os.close(fd)
        os.unlink(path)
    times.sort()
    return {"p50": times[len(times) // 2], "p99": times[min(len(times) - 1, len(times) * 99 // 100)], "syncs": len(times)}


# MARK: - Results

results = {}
disk = []


def save():
    with open(a.json or os.path.join(scratch, "sqlite.json"), "w") as f:
        json.dump({"cpu": cpu_name(), "cores": os.cpu_count(), "system": platform.release(), "filesystem": disk_kind,
                   "sqlite": version, "date": time.strftime("%Y-%m-%d"), "rounds": a.rounds, "small": a.small, "options": vars(a),
                   "fdatasync_us": disk, "results": results, "problems": problems}, f, indent=1)


def record(section, variant, number, result):
    results.setdefault(section, {}).setdefault(variant, {})[number] = result
    say(f"round {number}: {section}: {variant}: {json.dumps(result)}")
    save()


def get(result, key):
    for part in key.split("."):
        result = result.get(part) if isinstance(result, dict) else None
    return result if isinstance(result, (int, float)) else None


def values(section, variant, key):
    found = (get(r, key) for r in results.get(section, {}).get(variant, {}).values())
    return [v for v in found if v is not None]


def spread(numbers, digits=0, scale=1.0):
    if not numbers:
        return "–"
    numbers = [v * scale for v in numbers]
    middle = f"{statistics.median(numbers):,.{digits}f}"
    return middle if len(numbers) == 1 else f"{middle} ({min(numbers):,.{digits}f} to {max(numbers):,.{digits}f})"


def cell(section, variant, key, digits=0, scale=1.0):
    return spread(values(section, variant, key), digits, scale)


def ratios(section, variant, base, key, base_section=None):
    of = results.get(base_section or section, {}).get(base, {})
    found = []
    for number, r in results.get(section, {}).get(variant, {}).items():
        x, y = get(r, key), get(of.get(number, {}), key)
        if x is not None and y:
            found.append(x / y)
    return found


def times(section, variant, base, key):
    return spread(ratios(section, variant, base, key), 2)


def others(section, variants):
    found = [v for variant in variants for v in values(section, variant, "other_share")]
    return f"{100 * statistics.median(found):.0f} %" if found else "–"


def table(title, note, header, rows):
    print(f"\n### {title}\n")
    if note:
        print(note + "\n")
    print("| " + " | ".join(header) + " |\n|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(str(part) for part in row) + " |")


# MARK: - The program's measurements

def run(command, *options, timeout=LIMIT):
    """Runs SQLiteBenchmark; returns its figures, or none if it failed."""
    words = [program, command, *map(str, options)]
    with Others() as other:
        try:
            out = subprocess.run(words, capture_output=True, text=True, timeout=timeout, preexec_fn=dies_with_us)
        except subprocess.TimeoutExpired:
            problem(f"{' '.join(words[1:])}: not done within {timeout} s")
            return {"failed": True}
    if out.returncode:
        problem(f"{' '.join(words[1:])}: status {out.returncode}: {out.stderr.strip()[-300:]}")
        return {"failed": True}
    result = json.loads(out.stdout) if out.stdout.strip() else {}
    result["other_share"] = other.share
    return result


class Files:
    """Histories that are made once, and copied for each measurement that changes them."""

    def __init__(self, folder):
        self.folder, self.made = folder, {}

    def make(self, name, *options):
        path = os.path.join(self.folder, name + ".sqlite")
        if name not in self.made:
            say(f"making {name}")
            if run("fill", "--file", path, *options, timeout=900).get("failed"):
                sys.exit(f"cannot make {name}")
            self.made[name] = path
        return path

    def log(self, events=a.events):
        return self.make(f"log-{events}", "--events", events, "--topics", 100)

    def copy(self, path):
        """A copy of a file, and of nothing beside it."""
        to = os.path.join(self.folder, "copy.sqlite")
        self.drop_copy()
        shutil.copyfile(path, to)
        # What is written back later would be charged to what is measured.
        subprocess.run(["sync", to], check=True)
        return to

    def drop_copy(self):
        for name in os.listdir(self.folder):
            if name.startswith("copy.sqlite"):
                os.unlink(os.path.join(self.folder, name))


STORES = ["memory", "sqlite-full", "grdb-full", "sqlite-normal", "grdb-normal"]
LIMITED, BLOCKING = "sqlite-full, at its limits", "grdb-full-blocking"


def shapes():
    for topics in map(int, a.append_topics.split(",")):
        for batch in map(int, a.batches.split(",")):
            yield f"batches of {batch:,}", 1, batch, topics
        yield "16 publishers, one at a time", 16, 1, topics


def append(files):
    for number in range(1, a.rounds + 1):
        disk.append(sync_times(files.folder))
        for shape, publishers, batch, topics in shapes():
            for store in STORES + [LIMITED] + ([BLOCKING] if publishers == batch == 1 else []):
                into = os.path.join(files.folder, "append")
                os.mkdir(into)
                limit = ["--topic-events", max(1, 1000 // topics)] if store == LIMITED else []
                r = run("append", "--store", store.split(",")[0], "--folder", into, "--publishers", publishers, "--batch", batch,
                        "--topics", topics, "--seconds", a.seconds, *limit)
                shutil.rmtree(into)
                record(f"append, {shape}, {topics} topics", store, number, r)


def replay(files):
    whole = files.log()
    sizes = [size for size in (10_000, 100_000, 1_000_000) if size <= a.events]
    logs = [(size, files.make(f"topic-{size}", "--events", size, "--topics", 100, "--one", a.one)) for size in sizes]
    for number in range(1, a.rounds + 1):
        disk.append(sync_times(files.folder))
        for store in ("sqlite", "grdb"):
            r = run("replay", "--store", store, "--file", whole)
            if r.get("events", a.events) != a.events:
                problem(f"replay, {store}: {r['events']} events, not {a.events}")
            record("replay", store, number, r)
        for size, path in logs:
            for store in ("sqlite", "grdb"):
                r = run("replay", "--store", store, "--file", path, "--topic", "one0", "--rounds", 5)
                if r.get("events", a.one) != a.one:
                    problem(f"replay of one topic, {store}: {r['events']} events, not {a.one}")
                record(f"replay of one topic, {store}", f"{size}", number, r)


def locate(files):
    for number in range(1, a.rounds + 1):
        for events in sorted({min(10_001, a.events), a.events}):
            for store in ("memory", "sqlite"):
                path = files.copy(files.log(events)) if store == "sqlite" else "-"
                record(f"locate, {events}", store, number,
                       run("locate", "--store", store, "--events", events, "--lookups", a.lookups, "--file", path))
    files.drop_copy()


def topics(files):
    for number in range(1, a.rounds + 1):
        for store in ("memory", "sqlite"):
            path = files.copy(files.make("topics", "--events", a.topics, "--topics", a.topics)) if store == "sqlite" else "-"
            record("topics", store, number, run("topics", "--store", store, "--topics", a.topics, "--file", path))
    files.drop_copy()


# MARK: - The server's measurements

class Server:
    """`plinth serve`, started for the `with` and ended by SIGTERM."""

    def __init__(self, *options):
        self.options = options

    def __enter__(self):
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen([plinth, "serve", "--host", "127.0.0.1", "--port", "0", "--log-level", "error",
                                         *map(str, self.options)], stdout=subprocess.PIPE, stderr=self.log, text=True,
                                        preexec_fn=dies_with_us)
        self.pid = self.process.pid
        # It waits for a file's lock for 10 s at most, then ends.
        line = self.process.stdout.readline()
        if not line:
            self.process.wait(20)
            sys.exit(f"plinth ended at once: {self.said()}")
        self.port = int(re.search(r":(\d+)", line.split("//")[1])[1])
        return self

    def said(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")[-2000:]

    def peak(self):
        with open(f"/proc/{self.pid}/status") as f:
            return int(re.search(r"VmHWM:\s+(\d+)", f.read())[1]) * 1024

    def __exit__(self, *_):
        if self.process.poll() is not None:
            problem(f"plinth ended by itself with status {self.process.returncode}")
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            problem("plinth did not end within 30 s of SIGTERM")
            self.process.kill()
            self.process.wait()
        words = self.said().strip()
        self.log.close()
        self.process.stdout.close()
        if words:
            problem(f"plinth said: {words[:1000]}")


class LargestLog:
    """The largest size of a database's log (WAL), looked at every 10 ms."""

    def __init__(self, path):
        self.path, self.bytes, self.ends = path + "-wal", 0, threading.Event()

    def watch(self):
        while not self.ends.wait(0.01):
            try:
                self.bytes = max(self.bytes, os.stat(self.path).st_size)
            except OSError:
                pass

    def __enter__(self):
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ends.set()
        self.thread.join()


VIOLATIONS = ["lost", "duplicated", "out_of_order", "corrupt", "misrouted", "closed_early", "connect_errors", "bad_status",
              "bad_type", "bad_http", "publish_errors", "gaps", "broken", "incomplete"]


def figures(what, status, text, errors=""):
    try:
        result = json.loads(text)
    except ValueError:
        problem(f"{what}: no figures, status {status}: {errors.strip()[-300:]}")
        return {"failed": True}
    if status:
        problem(f"{what}: status {status}, {json.dumps({k: result[k] for k in VIOLATIONS if result.get(k)})}")
    return result


def client(what, *command):
    out = subprocess.run(list(map(str, command)), capture_output=True, text=True, preexec_fn=dies_with_us, timeout=LIMIT + 60)
    return figures(what, out.returncode, out.stdout, out.stderr)


# Nothing is removed.
UNLIMITED = ["--topic-events", 1 << 40, "--topic-bytes", 1 << 50, "--history-bytes", 64 << 30]


def live(server, topics, seconds):
    # Connections enough for each to wait for a sync, and for others in the same commit.
    return [sseload, "-n", a.live, "-s", 200, "--channels", topics, "--rate", a.live_rate, "--duration", f"{seconds:.1f}",
            "--warmup", 10, "--pub-conns", 64, "--stall", 60, "--pid", server.pid, "--max-time", LIMIT,
            f"http://127.0.0.1:{server.port}/topics/live@CH@"]


def replayers(server):
    return [replayload, "-n", a.replayers, "--events", a.events, "--max-time", LIMIT, server.port, "/topics?match=log/*"]


def together(server, what, command):
    """Runs live subscribers, and those that replay as soon as the former receive events."""
    def start(words):
        return subprocess.Popen(list(map(str, words)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                preexec_fn=dies_with_us)
    publishing = start(command)
    publishing.stderr.readline()          # all are connected
    time.sleep(0.5)                       # its pause, and the events before it measures
    begin = time.monotonic()
    both, out, ended = {"live": publishing, "replay": start(replayers(server))}, {}, {}

    def wait(name):
        out[name] = both[name].communicate()
        ended[name] = time.monotonic() - begin
    threads = [threading.Thread(target=wait, args=(name,)) for name in both]
    for thread in threads:
        thread.start()
    for thread in threads:                # both have a time limit
        thread.join()
    r = {name: figures(f"{what}, {name}", both[name].returncode, *out[name]) for name in both}
    r["overlap"] = min(1, ended["replay"] / max(0.1, ended["live"]))
    return r


def load(files):
    log = files.log()
    for number in range(1, a.rounds + 1):
        disk.append(sync_times(files.folder))

        def measured(variant, body):
            path = files.copy(log)
            with Others() as other, LargestLog(path) as largest, Server("--history", path, *UNLIMITED) as server:
                r = body(server)
                r["server_peak_bytes"] = server.peak()
            r["wal_bytes"], r["other_share"] = largest.bytes, other.share
            record("load", variant, number, r)
            return r

        alone = measured("replay alone", lambda s: {"replay": client("replay alone", *replayers(s))})
        seconds = min(LIMIT / 2, max(1, 0.8 * (get(alone, "replay.seconds") or 1)))
        for topics in map(int, a.live_topics.split(",")):
            name = f"{topics:,} live topic{'s' * (topics > 1)}"
            measured(f"{name} alone", lambda s: {"live": client(f"{name} alone", *live(s, topics, a.live_seconds))})
            measured(f"{name} and replay", lambda s: together(s, f"{name} and replay", live(s, topics, seconds)))
    files.drop_copy()


FANOUT = {"S1": ["-n", 50 if a.small else 1000, "--closed", 20 if a.small else 300, "--warmup", 10],
          "S3": ["-n", 200 if a.small else 10_000, "--closed", 10 if a.small else 50, "--warmup", 5]}
FANOUT_STORES = {"memory": None, "file, full": "full", "file, normal": "normal"}


def fanout(files):
    for number in range(1, a.rounds + 1):
        disk.append(sync_times(files.folder))
        for scenario, options in FANOUT.items():
            for store, sync in FANOUT_STORES.items():
                path = os.path.join(files.folder, "copy.sqlite")
                with Others() as other, Server(*(["--history", path, "--history-sync", sync] if sync else [])) as server:
                    r = client(f"{scenario}, {store}", sseload, *options, "--pid", server.pid, "--max-time", LIMIT,
                               f"http://127.0.0.1:{server.port}/topics/bench")
                r["other_share"] = other.share
                files.drop_copy()
                record(scenario, store, number, r)


# MARK: - Tables

def report():
    print(f"{cpu_name()}, {os.cpu_count()} cores, Linux {platform.release()}, SQLite {version}, files on {disk_kind}. Medians of "
          f"{a.rounds} rounds (smallest to largest); ratios are the medians of each round's.")
    if disk:
        print(f"\nA sync (`fdatasync`) of 200 appended bytes on the files' disk, µs: p50 {spread([d['p50'] for d in disk])}, p99 "
              f"{spread([d['p99'] for d in disk])}.")
    if a.small:
        print("\n**A small part of everything: these figures show that it works, and nothing else.**")
    if "append" in wanted:
        rows, cpu = [], []
        for shape, _, _, topics in shapes():
            s, key = f"append, {shape}, {topics} topics", "events_per_s"
            rows.append([shape, f"{topics:,}", cell(s, "memory", key), cell(s, "sqlite-full", key), cell(s, "grdb-full", key),
                         times(s, "sqlite-full", "grdb-full", key), cell(s, "sqlite-normal", key), cell(s, "grdb-normal", key),
                         times(s, "sqlite-normal", "grdb-normal", key), cell(s, LIMITED, key), others(s, STORES)])
            key = "cpu_us_per_event"
            blocking = cell(s, BLOCKING, "events_per_s") if BLOCKING in results.get(s, {}) else ""
            cpu.append([shape, f"{topics:,}", cell(s, "memory", key, 2), cell(s, "sqlite-full", key, 2), cell(s, "grdb-full", key, 2),
                        times(s, "sqlite-full", "grdb-full", key), cell(s, LIMITED, key, 2), cell(s, "sqlite-full", "append_us.p50"),
                        cell(s, "sqlite-full", "append_us.p99"), cell(s, "grdb-full", "append_us.p50"),
                        cell(s, "grdb-full", "append_us.p99"), blocking])
        table("Appends, events per second", "Events of 200 bytes; goal: 50,000 durable appends per second in batches. *At its limits*: "
              "each append also removes as many events.",
              ["", "topics", "memory", "SQLiteHistory, full", "GRDB, full", "ratio", "SQLiteHistory, normal", "GRDB, normal", "ratio",
               "SQLiteHistory, full, at its limits", "other CPU"], rows)
        table("Appends, CPU µs per event, and µs of one append", "*Blocking*: GRDB's `write` without `await`.",
              ["", "topics", "memory", "SQLiteHistory, full", "GRDB, full", "ratio", "at its limits", "SQLiteHistory, p50", "p99",
               "GRDB, p50", "p99", "GRDB, blocking, events/s"], cpu)
    if "replay" in wanted:
        table(f"Replay of the whole log, {a.events:,} events", "From a history that was just opened; goal: 1,000,000 events per second.",
              ["", "events/s", "of GRDB's", "CPU µs per event", "of GRDB's", "resident MB", "other CPU"],
              [[{"sqlite": "SQLiteHistory, `**`", "grdb": "GRDB, `SELECT … ORDER BY number`"}[store], cell("replay", store, "events_per_s"),
                times("replay", store, "grdb", "events_per_s"), cell("replay", store, "cpu_us_per_event", 2),
                times("replay", store, "grdb", "cpu_us_per_event"), cell("replay", store, "resident_bytes", 0, 1e-6),
                others("replay", [store])] for store in results.get("replay", {})])
        sizes = list(results.get("replay of one topic, sqlite", {}))
        rows = []
        for size in sizes:
            growth = ratios("replay of one topic, sqlite", size, sizes[0], "seconds")
            met = "" if not growth else ", met" if statistics.median(growth) <= 1.5 else ", **missed**"
            rows.append([f"{int(size):,}", cell("replay of one topic, sqlite", size, "seconds", 2, 1000), spread(growth, 2) + met,
                         cell("replay of one topic, grdb", size, "seconds", 2, 1000),
                         times("replay of one topic, grdb", size, sizes[0], "seconds"), others("replay of one topic, sqlite", [size])])
        table(f"Replay of one topic with {a.one:,} events", "Goal: a log of any size takes at most 1.5 times as long as the smallest.",
              ["events of 100 other topics", "SQLiteHistory, ms", "of the smallest log's", "GRDB, ms", "of the smallest log's",
               "other CPU"], rows)
    if "locate" in wanted:
        rows = []
        for section in [s for s in results if s.startswith("locate")]:
            for store in results[section]:
                for place in ("inside", "outside"):
                    rows.append([f"{int(section.split()[1]):,}", store, {"inside": "in memory", "outside": {
                        "memory": "no longer held", "sqlite": "on the disk only"}[store]}[place],
                        cell(section, store, f"{place}_us.p50", 2), cell(section, store, f"{place}_us.p99", 2),
                        cell(section, store, f"{place}_cpu_us", 2), others(section, [store])])
        table("Locating an ID", "", ["events", "history", "IDs", "p50 µs", "p99 µs", "CPU µs", "other CPU"], rows)
    if "topics" in wanted:
        table(f"{a.topics:,} topics with one event each", "Memory (VmRSS) beyond that before opening.",
              ["history", "opening, ms", "MB when open", "appending one more to each, s", "MB then", "housekeeping, ms", "MB then",
               "other CPU"],
              [[store, cell("topics", store, "open_seconds", 1, 1000), cell("topics", store, "open_bytes", 1, 1e-6),
                cell("topics", store, "append_seconds", 2), cell("topics", store, "appended_bytes", 1, 1e-6),
                cell("topics", store, "expire_seconds", 1, 1000), cell("topics", store, "expired_bytes", 1, 1e-6),
                others("topics", [store])] for store in results.get("topics", {})])
    if "load" in wanted:
        rows = []
        for variant in results.get("load", {}):
            def of(key, digits=0, scale=1.0):
                return cell("load", variant, key, digits, scale)
            base = variant.replace(" and replay", " alone")
            rows.append([variant, of("live.latency_us.p50"), of("live.latency_us.p99"),
                         "" if base == variant else times("load", variant, base, "live.latency_us.p99"), of("live.latency_us.max"), of("live.ack_us.p99"),
                         of("replay.seconds", 1), of("replay.first_event_s", 2), of("replay.events_per_s"), of("overlap", 2),
                         of("wal_bytes", 1, 1e-6), of("server_peak_bytes", 1, 1e-6), others("load", [variant])])
        table(f"Replay under load: {a.replayers:,} subscribers replay {a.events:,} events",
              f"Meanwhile {a.live_rate:,} events per second go to some topics in turn, each with as many of {a.live:,} subscribers. "
              "With sync full; *overlap* is the part of the live deliveries' time in which the replay was under way.",
              ["", "live p50 µs", "p99", "p99, of that alone", "max", "publish p99 µs", "replay s", "first event s", "events/s", "overlap",
               "largest WAL, MB", "server's peak, MB", "other CPU"], rows)
    if "fanout" in wanted:
        rows = []
        for scenario, options in FANOUT.items():
            for store in results.get(scenario, {}):
                key = "server_cpu_us_per_delivery"
                rows.append([f"{scenario}, {options[1]:,} subscribers", store, cell(scenario, store, key, 2),
                             times(scenario, store, "memory", key), cell(scenario, store, "deliveries_per_s"),
                             times(scenario, store, "memory", "deliveries_per_s"), cell(scenario, store, "latency_us.p50"),
                             cell(scenario, store, "latency_us.p99"), cell(scenario, store, "ack_us.p50"),
                             cell(scenario, store, "rss_per_conn"), others(scenario, [store])])
        table("Fan-out: closed loop, 100 bytes", "", ["", "history", "CPU µs per delivery", "of memory's", "deliveries/s", "of memory's",
                                                      "p50 µs", "p99 µs", "publish p50 µs", "bytes per idle subscriber", "other CPU"], rows)
    if problems:
        print("\nProblems:\n")
        for text in dict.fromkeys(problems):
            print(f"- {text}")


version, disk_kind = "?", filesystem(a.folder)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))      # so that the directory is removed
with tempfile.TemporaryDirectory(prefix="plinth-bench-sqlite-", dir=a.folder) as folder:
    try:
        version, files = run("version").get("sqlite", "?"), Files(folder)
        for name in wanted:
            say(f"== {name}")
            {"append": append, "replay": replay, "locate": locate, "topics": topics, "load": load, "fanout": fanout}[name](files)
        save()
    finally:
        report()
sys.exit(1 if problems else 0)
