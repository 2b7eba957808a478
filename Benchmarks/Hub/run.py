#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the hub, `plinth serve`, with a floor in C, nginx with nchan, and a Hummingbird handler.

    Benchmarks/Hub/run.py [--shared ../shared] [--scratch DIR] [--rounds 3] [--only S1,S2,...] [--small]

Builds all of them (release) and runs each scenario in interleaved rounds with a fresh server each time: the floor, then
Plinth, then the others. Prints Markdown: first the median of each round's ratio to the floor, since the machine's speed
changes between rounds; then medians. The raw figures go to SCRATCH/hub.json, from which charts.py draws. Run on an otherwise idle machine.

Scenario tls has two more floors: tlsfloor.c, over TLS and HTTP/1.1, and NIOFloor, the same through NIO's handlers, which also
has HTTP/2. There hubload measures one process per server, of nginx its only worker.

Every client has a time limit and every server ends with this script, which terminates only processes that it started.
"""
import argparse, ctypes, json, os, re, shutil, signal, socket, statistics, subprocess, sys, tempfile, time

here = os.path.dirname(os.path.abspath(__file__))
root = os.path.dirname(os.path.dirname(here))
SCENARIOS = ["S1", "S1x", "S2", "S3", "S4", "S4p", "S5", "S6b", "S7", "S8", "topics", "publish", "upload", "tls"]

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("--shared", default=os.path.join(os.path.dirname(root), "shared"))
ap.add_argument("--scratch", default=os.path.join(tempfile.gettempdir(), "plinth-bench-hub"))
ap.add_argument("--rounds", type=int, default=3)
ap.add_argument("--only", default="", help="a subset of " + ",".join(SCENARIOS))
ap.add_argument("--small", action="store_true", help="run a tenth of everything, to check that it works; the figures are meaningless")
ap.add_argument("--plinth", help="a release build of plinth; built unless given")
ap.add_argument("--hummingbird", help="a release build of HummingbirdStreams; built unless given")
ap.add_argument("--nio", help="a release build of NIOFloor; built unless given")
ap.add_argument("--tls-servers", default="floor,nio,plinth,hummingbird,nchan",
                help="the servers of scenario tls; what no scenario needs is not built (%(default)s)")
a = ap.parse_args()
wanted = [name for name in a.only.split(",") if name] or SCENARIOS
for name in wanted:
    if name not in SCENARIOS:
        ap.error(f"no scenario {name}: there are {', '.join(SCENARIOS)}")

tls_servers = [kind for kind in a.tls_servers.split(",") if kind]
for kind in tls_servers:
    if kind not in ap.get_default("tls_servers").split(","):
        ap.error(f"no server {kind} in scenario tls")

scratch = os.path.abspath(a.scratch)
bench = os.path.join(os.path.abspath(a.shared), "bench")
os.makedirs(scratch, exist_ok=True)
small = 10 if a.small else 1
LIMIT = 240
problems, of_others = [], []


# MARK: - What is built

def say(*words):
    print(*words, file=sys.stderr, flush=True)


def compiled(name, source, *libraries):
    binary = os.path.join(scratch, name)
    subprocess.run(["cc", "-O2", "-pthread", "-o", binary, source, *libraries], check=True)
    return binary


def installed(path, *packages):
    """Installs Debian packages if the file is missing; run level 1 keeps their services from starting."""
    if not os.path.exists(path):
        say("installing", *packages)
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", *packages], check=True, stdout=sys.stderr,
                       env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"})


def swift(package, folder, product):
    say(f"building {product} (release); the first time takes minutes")
    into = os.path.join(scratch, folder)
    subprocess.run(["swift", "build", "-c", "release", "--package-path", package, "--scratch-path", into, "--product",
                    product], check=True, stdout=sys.stderr)
    return os.path.join(into, "release", product)


NCHAN = "/usr/lib/nginx/modules/ngx_nchan_module.so"
sseload = compiled("sseload", os.path.join(bench, "sseload.c"))
floor = compiled("ssefloor", os.path.join(bench, "ssefloor.c"))
hubload = None
if {"S6b", "S7", "S8", "topics", "upload", "tls"} & set(wanted):
    installed("/usr/include/nghttp2/nghttp2.h", "libnghttp2-dev")
    installed("/usr/include/openssl/ssl.h", "libssl-dev")
    hubload = compiled("hubload", os.path.join(here, "hubload.c"), "-lnghttp2", "-lssl", "-lcrypto")
installed(NCHAN, "nginx", "libnginx-mod-nchan")
plinth = hummingbird = nio = tlsfloor = None
if wanted != ["tls"] or "plinth" in tls_servers:
    plinth = os.path.abspath(a.plinth) if a.plinth else swift(root, "plinth", "plinth")
if "tls" in wanted:
    streams = os.path.join(root, "Benchmarks", "Streams")
    if "nio" in tls_servers:
        nio = os.path.abspath(a.nio) if a.nio else swift(streams, "streams", "NIOFloor")
    if "hummingbird" in tls_servers:
        hummingbird = os.path.abspath(a.hummingbird) if a.hummingbird else swift(streams, "streams", "HummingbirdStreams")
    tlsfloor = compiled("tlsfloor", os.path.join(here, "tlsfloor.c"), "-lssl", "-lcrypto")
    certificate, key = os.path.join(scratch, "certificate.pem"), os.path.join(scratch, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
                    "2", "-subj", "/CN=localhost", "-keyout", key, "-out", certificate], check=True, capture_output=True)


# MARK: - Servers

libc = ctypes.CDLL(None)


def dies_with_us():
    libc.prctl(1, signal.SIGTERM)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A fresh server on a free port, stopped at the end of the `with`. `tls` is a pair of files, certificate and key."""

    def __init__(self, kind, *options, core=None, tls=None, workers=2):
        self.kind, self.options, self.core, self.tls, self.workers, self.folder = kind, options, core, tls, workers, None

    def command(self):
        port = str(self.port)
        if self.kind == "floor" and self.tls:
            return [tlsfloor, port, str(LIMIT + 60), *self.tls]
        if self.kind == "floor":
            return [floor, "-p", port, "--max-time", str(LIMIT + 60), *self.options]
        if self.kind == "plinth":
            return [plinth, "serve", "--host", "127.0.0.1", "--port", port, "--log-level", "error",
                    *(["--tls-certificate", self.tls[0], "--tls-key", self.tls[1]] if self.tls else []), *self.options]
        if self.kind == "nio":
            return [nio, port, str(LIMIT + 60), *self.tls]
        if self.kind == "hummingbird":
            return [hummingbird, port, str(LIMIT + 60), *(self.tls or []), *self.options]
        # nchan: the shared configuration on our port, plus locations for numbered channels, and TLS if wanted.
        self.folder = tempfile.mkdtemp(prefix="nchan-", dir=scratch)
        os.chmod(self.folder, 0o755)
        os.mkdir(os.path.join(self.folder, "logs"))
        with open(os.path.join(bench, "nchan.conf")) as f:
            text = f.read().replace("127.0.0.1:8910", f"127.0.0.1:{port}")
        places = "".join(block.replace("= /", "~ ^/").replace(" {", "/(\\d+)$ {", 1).replace("id main", "id $1")
                         for block in re.findall(r"location = /(?:sub|pub) \{.*?\n        \}\n", text, re.S))
        text = text.replace("        location = /sub {", places + "        location = /sub {", 1)
        text = text.replace("worker_processes 2", f"worker_processes {self.workers}")
        if self.tls:
            # Until 1.25.1 nginx enables HTTP/2, which ALPN selects, at `listen`, and TLS 1.3 is not among its defaults.
            text = text.replace(f"listen 127.0.0.1:{port}", "ssl_protocols TLSv1.3;\n        ssl_certificate %s;\n        "
                                "ssl_certificate_key %s;\n        listen 127.0.0.1:%s ssl http2" % (*self.tls, port))
        config = os.path.join(self.folder, "nginx.conf")
        with open(config, "w") as f:
            f.write(text)
        return ["nginx", "-p", self.folder, "-c", config]

    def __enter__(self):
        self.port = free_port()
        command = (["taskset", "-c", str(self.core)] if self.core is not None else []) + self.command()
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=self.log, preexec_fn=dies_with_us)
        self.pid = self.measured = self.process.pid
        for _ in range(400):
            if self.process.poll() is not None:
                sys.exit(f"{self.kind} ended at once with status {self.process.returncode}:\n{self.said()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                time.sleep(0.3)
                if self.kind == "nchan":         # the work is the worker's, and hubload measures one process
                    workers = children_of(self.pid)
                    self.measured = workers[0] if len(workers) == 1 else None
                return self
            except OSError:
                time.sleep(0.05)
        self.__exit__()
        sys.exit(f"{self.kind} did not come up within 20 s")

    def said(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")[-4000:]

    def __exit__(self, *_):
        early = self.process.poll()
        if early is None:
            # Hummingbird would wait for its streams, which detect a closed connection only at their next event.
            self.process.send_signal(signal.SIGKILL if self.kind == "hummingbird" else signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                problem(f"{self.kind} did not end within 20 s of SIGTERM", self.kind)
                self.process.kill()
                self.process.wait()
        else:
            problem(f"{self.kind} ended by itself with status {early}", self.kind)
        words = self.said()
        self.log.close()
        if words.strip() and self.kind == "plinth":
            problem(f"plinth said: {words.strip()[:1000]}")
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, path=None):
        return f"http://127.0.0.1:{self.port}" + (path or {"plinth": "/topics/bench", "nchan": "/sub"}.get(self.kind, "/"))


def problem(text, server="plinth"):
    """Records a problem. Only Plinth's problems fail the run."""
    (problems if server == "plinth" else of_others).append(text)
    say("PROBLEM:", text)


TICKS = os.sysconf("SC_CLK_TCK")
with open("/proc/cpuinfo") as f:
    CPU_NAME = re.search(r"model name\s*: (.*)|$", f.read())[1]


def processes():
    """Every process's ID and the fields of its `stat` that follow its name."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as f:
                    fields = f.read().rsplit(")", 1)[1].split()
            except OSError:
                continue
            yield int(name), fields


def children_of(pid):
    return [child for child, fields in processes() if int(fields[1]) == pid]


def cpu_of(pid):
    """CPU seconds of a process and its children."""
    return sum(int(fields[11]) + int(fields[12]) for one, fields in processes() if pid in (one, int(fields[1]))) / TICKS


def host_cpu():
    with open("/proc/stat") as f:
        user, nice, system, _, _, irq, soft = map(int, f.readline().split()[1:8])
    return (user + nice + system + irq + soft) / TICKS


def client(command, server, what):
    """Runs a load generator. `other_share` is the CPU used by other processes during the whole run, as cores."""
    children, host, own, begin = os.times(), host_cpu(), cpu_of(server.pid), time.monotonic()
    out = subprocess.run(command, capture_output=True, text=True, preexec_fn=dies_with_us)
    wall, ended = time.monotonic() - begin, os.times()
    busy = host_cpu() - host - (cpu_of(server.pid) - own) - (ended.children_user + ended.children_system
                                                            - children.children_user - children.children_system)
    try:
        result = json.loads(out.stdout)
    except ValueError:
        problem(f"{what}: no figures, status {out.returncode}: {out.stderr.strip()[-300:]}", server.kind)
        return {"status": out.returncode, "failed": True}
    result["status"], result["other_share"] = out.returncode, max(0, busy) / wall
    if out.returncode:
        kept = {k: result[k] for k in VIOLATIONS + ["connections", "bad_status_code", "publish_bad_status"] if result.get(k)}
        problem(f"{what}: {json.dumps(kept)}", server.kind)
    return result


VIOLATIONS = ["lost", "duplicated", "out_of_order", "corrupt", "misrouted", "closed_early", "connect_errors", "bad_status",
              "bad_type", "bad_http", "publish_errors"]


def load(server, what, *options, path=None, publish=None, core=None):
    """Runs sseload."""
    command = ["taskset", "-c", str(core)] if core is not None else []
    command += [sseload, *map(str, options), "--pid", str(server.pid), "--max-time", str(LIMIT)]
    if server.kind == "nchan":
        command += ["--pid-tree"]
        publish = publish or "/pub"
    if publish:
        command += ["--pub-path", publish]
    return client(command + [server.url(path)], server, what)


def own_load(server, what, *options):
    """Runs hubload. It measures one process, so nchan needs to have one worker."""
    pid = ["--pid", str(server.measured)] if server.measured else []
    paths = ["--path", "/sub", "--publish", "/pub"] if server.kind == "nchan" else []
    return client([hubload, *paths, *map(str, options), *pid, "--max-time", str(LIMIT), str(server.port)], server, what)


# MARK: - Rounds

results = {}


def record(scenario, variant, number, result):
    result["round"] = number
    results.setdefault(scenario, {}).setdefault(variant, {})[number] = result
    say(f"round {number}: {scenario}: {variant}: {json.dumps(result)}")
    with open(os.path.join(scratch, "hub.json"), "w") as f:
        json.dump({"cpu": CPU_NAME, "cores": os.cpu_count(), "rounds": a.rounds, "small": a.small, "results": results,
                   "problems": problems + of_others}, f, indent=1)
    return result


def get(result, key):
    for part in key.split("."):
        result = result.get(part) if isinstance(result, dict) else None
    return result if isinstance(result, (int, float)) else None


def median(scenario, variant, key):
    values = [get(r, key) for r in results.get(scenario, {}).get(variant, {}).values()]
    values = [v for v in values if v is not None]
    return statistics.median(values) if values else None


def ratio(scenario, variant, key, base, base_key=None, base_scenario=None):
    """The median of the per-round ratios."""
    of = results.get(base_scenario or scenario, {}).get(base, {})
    ratios = []
    for number, r in results.get(scenario, {}).get(variant, {}).items():
        x, y = get(r, key), get(of.get(number, {}), base_key or key)
        if x is not None and y:
            ratios.append(x / y)
    return statistics.median(ratios) if ratios else None


def n(value):
    return max(1, int(value) // small)


PEERS = ["floor", "plinth", "nchan"]
CPU = "server_cpu_us_per_delivery"


def each_round(scenario, variants):
    """Runs each variant, a name and a function that returns its result, once per round."""
    for number in range(1, a.rounds + 1):
        for name, run in variants:
            record(scenario, name, number, run(f"{scenario}, {name}, round {number}"))


def simple(scenario, *options, peers=PEERS, core=None, client_core=None, server_options={}, **more):
    def run(kind):
        def go(what):
            with Server(kind.split(",")[0], *server_options.get(kind, []), core=core) as s:
                return load(s, what, *options, core=client_core, **more)
        return go
    each_round(scenario, [(kind, run(kind)) for kind in peers])


def s1():
    simple("S1", "-n", n(1000), "--closed", 300, "--warmup", 10)


def s1x():
    simple("S1x", "-n", n(1000), "--closed", 300, "--warmup", 10, "--spin", core=0, client_core=1)


def s2():
    for number in range(1, a.rounds + 1):
        with Server("floor") as s:
            capacity = record("S2", "floor's capacity", number,
                              load(s, "S2, capacity", "-n", n(1000), "--closed", n(2000), "--window", 64, "--warmup", 10))
        rate = (get(capacity, "deliveries_per_s") or 250_000) / n(1000) / 3
        for kind in PEERS:
            with Server(kind) as s:
                r = load(s, f"S2, {kind}, round {number}", "-n", n(1000), "--rate", f"{rate:.1f}", "--duration",
                         2 if a.small else 10, "--warmup", 10)
                r["rate"] = rate
                record("S2", kind, number, r)


def s3():
    simple("S3", "-n", n(10000), "--closed", 50, "--warmup", 5)


def s4(scenario="S4", publishers=1):
    simple(scenario, "-n", n(1000), "--closed", n(2000), "--window", 64, "--warmup", 10, "--pub-conns", publishers,
           peers=["floor", "floor, coalescing", "plinth", "nchan"], server_options={"floor, coalescing": ["--coalesce"]})


def s5():
    simple("S5", "-n", n(10000), "--idle", 1)


def s6b():
    # Both runs have the same number of active readers, and so the same work.
    def run(kind, stalled):
        def go(what):
            count, options = (n(1000), ["--slow", "0.05"]) if stalled else (n(1000) - n(1000) // 20, [])
            with Server(kind) as s:
                return load(s, what, "-n", count, "-s", 10000, "--closed", 1000, "--warmup", 10, *options)
        return go

    def gaps(what):
        # Keeps less history than a stalled reader misses: 4 of the 10 MB published; kernel buffers hold about 3 MB.
        with Server("plinth", "--topic-bytes", "4000000") as s:
            return own_load(s, what, "-n", n(1000), "-s", 10000, "--closed", 1000, "--warmup", 10, "--stalled", 0.05)
    each_round("S6b", [(kind + tail, run(kind, tail != "")) for kind in PEERS for tail in ("", ", 5 % stalled")]
               + [("plinth, 5 % stalled, 4 MB of history", gaps)])


def s7():
    count = n(19500)

    def held(kind):
        def go(what):
            seconds = (60 if not a.small else 25) if kind == "plinth" else 3
            sample = min(100, count // 10) if kind == "plinth" else 0
            with Server(kind) as s:
                watch = None
                if sample:       # taken from sseload's count, since the total is as many as the descriptors allow
                    watch = subprocess.Popen([hubload, "-n", str(sample), "--idle", str(seconds + 5), "--max-time", str(LIMIT),
                                              str(s.port)], stdout=subprocess.PIPE, text=True, preexec_fn=dies_with_us)
                r = load(s, what, "-n", count - sample, "--idle", seconds)
                if watch:
                    out, _ = watch.communicate()
                    try:
                        r["sample"] = json.loads(out)
                    except ValueError:
                        problem(f"{what}: no heartbeats were watched")
                if sample and r.get("comments"):
                    # sseload also counts the comment with which each stream begins.
                    r["cpu_us_per_heartbeat"] = r["server_cpu_s"] * 1e6 / max(1, r["comments"] - r["connections"])
                return r
        return go
    each_round("S7", [(kind, held(kind)) for kind in PEERS])
    simple("S7, fan-out", "-n", count, "--closed", 10, "--warmup", 2)


def s8():
    topics = n(10000)

    def run(kind):
        def go(what):
            path, publish = ("/topics/c@CH@",) * 2 if kind == "plinth" else ("/sub/@CH@", "/pub/@CH@")
            with Server(kind) as s:
                return load(s, what, "-n", topics, "--channels", topics, "--closed", 8 * topics, "--window", 64,
                            "--pub-conns", 4, "--warmup", 100, path=path, publish=publish)
        return go

    def one(kind):
        # The same requests with one subscriber: the cost of a publish with one delivery.
        def go(what):
            with Server(kind) as s:
                return load(s, what, "-n", 1, "--closed", 8 * topics, "--window", 64, "--pub-conns", 4, "--warmup", 100)
        return go

    def publish_only(what):
        # Subscribed to another topic: the cost of publishing alone, which S8 pays per delivery, S1 per 1,000 deliveries.
        with Server("plinth") as s:
            return published_to_nobody(s, what, 8 * topics, 4)
    each_round("S8", [("floor, 1 subscriber", one("floor")), ("plinth, 1 topic, 1 subscriber", one("plinth")),
                      ("plinth, publishing alone", publish_only), ("plinth", run("plinth")), ("nchan", run("nchan"))])


def published_to_nobody(server, what, events, publishers):
    """Measures the CPU per event of a topic without subscribers."""
    return own_load(server, what, "-n", 1, "--path", "/topics/other", "--alone", "--closed", events, "--window", publishers,
                    "--pubs", publishers)


def topics():
    count, events = n(1000), n(50000)

    def run(path):
        def go(what):
            with Server("plinth") as s:
                return own_load(s, what, "-n", 1, "--topics", count, "--path", path, "--closed", events, "--window", 64,
                                "--pubs", 4, "--warmup", 100)
        return go

    def single(what):
        with Server("plinth") as s:
            return own_load(s, what, "-n", 1, "--closed", events, "--window", 64, "--pubs", 4, "--warmup", 100)

    def alone(what):
        with Server("plinth") as s:
            return published_to_nobody(s, what, events, 4)
    each_round("topics", [("publishing alone", alone), ("one topic", single),
                          (f"{count:,} topics by name", run("/topics@TOPICS@")),
                          (f"{count:,} topics by pattern", run("/topics?match=bench/*"))])


def publish():
    simple("publish", "-n", 1, "--closed", n(200000), "--window", 1024, "--pub-conns", 16, "--warmup", 100)


def upload():
    def run(batch):
        def go(what):
            with Server("plinth") as s:
                return own_load(s, what, "-n", 1, "--upload", n(500000), "--batch", batch)
        return go

    def alone(what):
        with Server("plinth") as s:
            return own_load(s, what, "-n", 1, "--path", "/topics/other", "--alone", "--upload", n(500000), "--batch", 64)
    each_round("upload", [("64 events a chunk, nobody subscribes", alone), ("64 events a chunk", run(64)),
                          ("1 event a chunk", run(1))])


PROTOCOLS = {"plaintext HTTP/1.1": [], "TLS, HTTP/1.1": ["--tls"],
             "TLS, HTTP/2, a stream each connection": ["--tls", "--h2", 1],
             "TLS, HTTP/2, 100 streams each connection": ["--tls", "--h2", 100]}


def tls():
    count, negotiated = n(1000), []

    def run(kind, options):
        def go(what):
            with Server(kind, tls=(certificate, key) if "--tls" in options else None, workers=1) as s:
                r = own_load(s, what, "-n", count, "--closed", 300, "--warmup", 10, *options)
            if "tls" in r:
                negotiated.append(r["tls"])
                if r["tls"] != negotiated[0]:
                    problem(f"{what}: {r['tls']}, but {negotiated[0]} before", "both")
            return r
        return go

    def by_sseload(kind):
        def go(what):
            with Server(kind) as s:
                return load(s, what, "-n", count, "--closed", 300, "--warmup", 10, path="/topics/bench")
        return go
    variants = [(f"{kind}, plaintext HTTP/1.1, by sseload", by_sseload(kind)) for kind in ("plinth", "hummingbird")
                if kind in tls_servers]
    for protocol, options in PROTOCOLS.items():
        variants += [(f"{kind}, {protocol}", run(kind, options)) for kind in tls_servers
                     if (kind != "floor" or "HTTP/2" not in protocol) and (kind != "nio" or options)]
    each_round("tls", variants)


# MARK: - Tables

def shown(value, digits=2):
    return "–" if value is None else f"{value:,.{digits}f}"


def verdict(value, goal, least=False):
    if value is None or goal is None:
        return "–"
    met = value >= goal if least else value <= goal
    return f"{'≥' if least else '≤'} {goal:,g} {'met' if met else '**missed**'}"


def violations(scenario, variant):
    total = {}
    for r in results.get(scenario, {}).get(variant, {}).values():
        if r.get("failed"):
            total["no figures"] = total.get("no figures", 0) + 1
        for key in VIOLATIONS:
            if r.get(key):
                total[key] = total.get(key, 0) + r[key]
    return ", ".join(f"{v} {k.replace('_', ' ')}" for k, v in total.items()) or "none"


def others(scenario, variant):
    shares = [r["other_share"] for r in results.get(scenario, {}).get(variant, {}).values() if "other_share" in r]
    return "–" if not shares else f"{100 * statistics.median(shares):.0f} %"


def table(scenario, title, columns):
    """Prints a table. `columns` are pairs of a heading and a function from a variant to its cell."""
    if scenario not in results:
        return
    print(f"\n### {title}\n")
    columns = [("", lambda v: v)] + columns + [("other CPU", lambda v: others(scenario, v)),
                                               ("violations", lambda v: violations(scenario, v))]
    print("| " + " | ".join(heading for heading, _ in columns) + " |")
    print("|" + "---|" * len(columns))
    for variant in results[scenario]:
        print("| " + " | ".join(cell(variant) for _, cell in columns) + " |")


def value(scenario, key, digits=2, scale=1.0):
    def cell(variant):
        x = median(scenario, variant, key)
        return shown(None if x is None else x * scale, digits)
    return cell


def times(scenario, key, base="floor", goals={}, least=False):
    """The ratio to the base, followed by the variant's goal, if any."""
    def cell(variant):
        x = ratio(scenario, variant, key, base)
        return shown(x) + (f" ({verdict(x, goals[variant], least)})" if variant in goals else "")
    return cell


def absolute(scenario, key, digits, goals, least=False):
    def cell(variant):
        x = median(scenario, variant, key)
        return shown(x, digits) + (f" ({verdict(x, goals[variant], least)})" if variant in goals else "")
    return cell


def cost_columns(name, p99=False):
    goals = {"plinth": 1.25}
    columns = [("CPU, of floor's", times(name, CPU, goals=goals)),
               ("CPU, of nchan's", times(name, CPU, "nchan", {"plinth": 0.75} if name in ("S1", "S1x") else {})),
               ("CPU µs per delivery", value(name, CPU)),
               ("deliveries/s", value(name, "deliveries_per_s", 0)),
               ("p99 µs", value(name, "latency_us.p99", 0))]
    if p99:
        columns.insert(1, ("p99, of floor's", times(name, "latency_us.p99", goals={"plinth": 1.5})))
    return columns


def report():
    print(f"Medians of {a.rounds} rounds; ratios are the medians of each round's ratio. Other CPU: what neither server nor "
          "client used while the client ran, in hundredths of a core.")
    if a.small:
        print("**A tenth of everything: these figures say that it runs, and nothing else.**")
    table("S1", f"S1: {n(1000):,} subscribers, closed loop, 100 bytes", cost_columns("S1"))
    table("S1x", "S1x: the same, server and client on a core each", cost_columns("S1x"))
    rate = median("S2", "plinth", "rate")
    table("S2", f"S2: {n(1000):,} subscribers, open loop, {shown(rate, 0)} events/s, a third of the floor's capacity",
          cost_columns("S2", p99=True))
    table("S3", f"S3: {n(10000):,} subscribers, closed loop", cost_columns("S3") + [
        ("bytes per idle subscriber", absolute("S3", "rss_per_conn", 0, {"plinth": 2048}))])
    for name, publishers in (("S4", 1), ("S4p", 16)):
        table(name, f"{name}: {n(1000):,} subscribers, window 64, {publishers} publisher{'s' * (publishers > 1)}", [
            ("deliveries/s, of floor's", times(name, "deliveries_per_s", goals={"plinth": 5} if name == "S4p" else {},
                                               least=True)),
            ("of the coalescing floor's", times(name, "deliveries_per_s", "floor, coalescing")),
            ("deliveries/s", value(name, "deliveries_per_s", 0)), ("CPU µs per delivery", value(name, CPU)),
            ("p99 µs", value(name, "latency_us.p99", 0)), ("publish acknowledged, p99 µs", value(name, "ack_us.p99", 0))])
    table("S5", f"S5: connecting {n(10000):,}", [
        ("streams/s, of floor's", times("S5", "connects_per_s")),
        ("streams/s", absolute("S5", "connects_per_s", 0, {"plinth": 10000}, least=True)),
        ("first byte p50 µs", value("S5", "ttfb_us.p50", 0)), ("first byte p99 µs", value("S5", "ttfb_us.p99", 0)),
        ("CPU µs per stream", value("S5", "connect_cpu_us", 1)), ("bytes each", value("S5", "rss_per_conn", 0))])
    for name in results.get("S6b", {}):
        for r in results["S6b"][name].values():
            if "rss_idle" in r:
                r["growth"] = (max(r["rss_end"], r.get("rss_peak", 0)) - r["rss_idle"]) / 1e6

    def beside(variant):
        return shown(ratio("S6b", variant, "latency_us.p99", variant.split(",")[0])) if "," in variant else "1"

    def fate(variant):
        parts = {}
        for r in results["S6b"][variant].values():
            for k, v in r.get("slow", {}).items():
                parts.setdefault(k, []).append(v)
        return ", ".join(f"{statistics.median(v):,.0f} {k.replace('_', ' ')}" for k, v in parts.items()
                         if k in ("events_got", "events_missing", "closed_by_server", "complete", "gaps", "told", "lost")
                         ) or "–"
    table("S6b", f"S6b: {n(1000) - n(1000) // 20:,} subscribers that read, 10-kB events, without and with stalled ones", [
        ("p99, of that without", beside), ("p99 µs", value("S6b", "latency_us.p99", 0)),
        ("CPU µs per delivery", value("S6b", CPU)),
        ("MB that the process grew by", value("S6b", "growth", 1)), ("the stalled ones, when they read again", fate)])
    table("S7", f"S7: {n(19500):,} held", [
        ("bytes each", value("S7", "rss_per_conn", 0)), ("comments", value("S7", "comments", 0)),
        ("CPU s for them", lambda v: value("S7", "server_cpu_s", 3)(v) + f" in {value('S7', 'wall_s', 0)(v)} s"),
        ("CPU µs per comment", value("S7", "cpu_us_per_heartbeat")),
        ("s between them, a sample: least", value("S7", "sample.heartbeats_s.min")),
        ("p50", value("S7", "sample.heartbeats_s.p50")), ("most", value("S7", "sample.heartbeats_s.max")),
        ("open at the end", value("S7", "open_at_end", 0))])
    table("S7, fan-out", f"S7: one event to {n(19500):,}", cost_columns("S7, fan-out"))

    def net(scenario, base):
        def cell(variant):
            got, cost = results[scenario][variant], []
            for number, r in got.items():
                x = get(r, CPU)
                y = get(results[scenario].get(base, {}).get(number, {}), "server_cpu_us_per_event")
                if x is not None and y is not None:
                    cost.append(x - y)
            return shown(statistics.median(cost)) if cost and ("plinth" in variant or scenario == "topics") else "–"
        return cell

    def of_s1(scenario, base):
        """The cost of a delivery beyond publishing, relative to one in S1, where publishing is negligible."""
        def cell(variant):
            if "topics" not in variant and variant != "plinth":
                return "–"
            shares = []
            for number, r in results[scenario][variant].items():
                x, y = get(r, CPU), get(results[scenario].get(base, {}).get(number, {}), "server_cpu_us_per_event")
                z = get(results.get("S1", {}).get("plinth", {}).get(number, {}), CPU)
                if x is not None and y is not None and z:
                    shares.append((x - y) / z)
            if not shares:
                return "– (S1 was not run)"
            share = statistics.median(shares)
            return f"{shown(share)} ({verdict(share, 1.5)})"
        return cell
    per_event = ("CPU µs per event", lambda s: lambda v: shown(median(s, v, CPU) or median(s, v, "server_cpu_us_per_event")))
    table("S8", f"S8: {n(10000):,} topics with one subscriber each; each delivery has its own publish request", [
        (per_event[0], per_event[1]("S8")), ("of floor's", times("S8", CPU, "floor, 1 subscriber")),
        ("of one topic's with one subscriber", times("S8", CPU, "plinth, 1 topic, 1 subscriber")),
        ("less publishing alone", net("S8", "plinth, publishing alone")), ("that, of S1's", of_s1("S8", "plinth, publishing alone")),
        ("deliveries/s", value("S8", "deliveries_per_s", 0)), ("bytes each", value("S8", "rss_per_conn", 0))])
    table("topics", f"S8: one subscriber of {n(1000):,} topics", [
        (per_event[0], per_event[1]("topics")), ("of one topic's", times("topics", CPU, "one topic")),
        ("less publishing alone", net("topics", "publishing alone")), ("that, of S1's", of_s1("topics", "publishing alone")),
        ("deliveries/s", value("topics", "deliveries_per_s", 0))])
    table("publish", "Publishing: 16 keep-alive connections, 1 subscriber", [
        ("of floor's", times("publish", "deliveries_per_s")),
        ("accepted and delivered events/s", absolute("publish", "deliveries_per_s", 0, {"plinth": 30000}, least=True)),
        ("CPU µs per event", value("publish", CPU)), ("acknowledged p50 µs", value("publish", "ack_us.p50", 0)),
        ("p99 µs", value("publish", "ack_us.p99", 0))])
    everything = {v: 200000 for v in results.get("upload", {})}
    table("upload", "Publishing: one connection that sends an event stream, 1 subscriber", [
        ("accepted events/s", absolute("upload", "accepted_per_s", 0, everything, least=True)),
        ("delivered/s", value("upload", "deliveries_per_s", 0)), ("server CPU s", value("upload", "server_cpu_s", 2)),
        ("told that they are gone", value("upload", "told", 0))])

    def same(other):
        def cell(variant):
            kind, rest = variant.split(", ", 1)
            return shown(ratio("tls", variant, CPU, f"{other}, {rest}")) if kind == "plinth" else "–"
        return cell

    def tls_floors(variant):
        return shown(ratio("tls", variant, CPU, "floor, TLS, HTTP/1.1")) if "TLS" in variant else "–"

    def plain(variant):
        kind = variant.split(", ", 1)[0]
        return shown(ratio("tls", variant, CPU, f"{kind}, plaintext HTTP/1.1"))
    table("tls", f"TLS and HTTP/2: {n(1000):,} subscribers, closed loop, 100 bytes", [
        ("CPU, of plaintext floor's", times("tls", CPU, "floor, plaintext HTTP/1.1")), ("of TLS floor's", tls_floors),
        ("of NIO's alone", same("nio")), ("of Hummingbird's", same("hummingbird")), ("of nchan's, 1 worker", same("nchan")),
        ("of its own plaintext", plain), ("CPU µs per delivery", value("tls", CPU)),
        ("deliveries/s", value("tls", "deliveries_per_s", 0)), ("p99 µs", value("tls", "latency_us.p99", 0)),
        ("bytes each stream", value("tls", "rss_per_conn", 0))])
    for heading, texts in (("Problems", problems), ("Problems of others", of_others)):
        if texts:
            print(f"\n{heading}:\n")
            for text in dict.fromkeys(texts):
                print(f"- {text}")


try:
    for name in wanted:
        say(f"== {name}")
        {"S1": s1, "S1x": s1x, "S2": s2, "S3": s3, "S4": s4, "S4p": lambda: s4("S4p", 16), "S5": s5, "S6b": s6b, "S7": s7,
         "S8": s8, "topics": topics, "publish": publish, "upload": upload, "tls": tls}[name]()
finally:
    report()
sys.exit(1 if problems else 0)
