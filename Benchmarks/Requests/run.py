#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares what a small JSON answer costs: Plinth's default stack, Hummingbird, NIO alone, nginx and Go.

    Benchmarks/Requests/run.py [--shared ../shared] [--rounds 5] [--seconds 4] [--connections 64]

Builds the servers (release), and loads each with wrk in interleaved rounds, with a fresh server each time; nginx has one worker,
since the others have two threads on two cores beside wrk as well. Also starts `plinth serve`, nginx and NIO alone without a
client, for the time until they answer and their resident memory. Prints Markdown: medians, and the median of each round's ratio
to Hummingbird. Go takes part if it is installed. Run on an otherwise idle machine. Every process that it starts is stopped by it.
"""
import argparse, json, os, shutil, signal, socket, statistics, subprocess, sys, tempfile, time

here = os.path.dirname(os.path.abspath(__file__))
root = os.path.dirname(os.path.dirname(here))
ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("--shared", default=os.path.join(os.path.dirname(root), "shared"))
ap.add_argument("--scratch", default=os.path.join(tempfile.gettempdir(), "plinth-bench-requests"))
ap.add_argument("--streams", help="the folder of release builds of Benchmarks/Streams; built unless given")
ap.add_argument("--nio", help="a release build of barenio; built unless given")
ap.add_argument("--plinth", help="a release build of plinth; built unless given")
ap.add_argument("--rounds", type=int, default=5)
ap.add_argument("--seconds", type=int, default=4)
ap.add_argument("--connections", type=int, default=64)
a = ap.parse_args()
os.makedirs(a.scratch, exist_ok=True)
for tool in ["wrk", "nginx"]:
    if not shutil.which(tool):
        sys.exit(f"{tool} is missing: apt-get install {tool}")


def built(package, name):
    scratch = os.path.join(a.scratch, name)
    print(f"building {name} (release); the first time takes minutes", file=sys.stderr)
    subprocess.run(["swift", "build", "-c", "release", "--package-path", package, "--scratch-path", scratch], check=True,
                   stdout=sys.stderr)
    return os.path.join(scratch, "release")


streams = a.streams or built(os.path.join(root, "Benchmarks", "Streams"), "streams")
plinth = a.plinth or os.path.join(built(root, "plinth"), "plinth")
if a.nio:
    barenio = a.nio
else:
    package = os.path.join(a.scratch, "barenio-package")
    shutil.copytree(os.path.join(a.shared, "bench", "nio"), package, dirs_exist_ok=True)
    barenio = os.path.join(built(package, "barenio"), "barenio")

BODY = '{"id":1,"name":"a name of some length","isOpen":true}'
NGINX = """daemon off; worker_processes 1; error_log stderr crit; pid {d}/nginx.pid;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 100000000; client_body_temp_path {d}/b; proxy_temp_path {d}/p; fastcgi_temp_path {d}/f;
uwsgi_temp_path {d}/u; scgi_temp_path {d}/s; server {{ listen 127.0.0.1:{port};
location = /answer {{ default_type application/json; return 200 '{body}'; }} }} }}"""
GO = """package main
import ("encoding/json"; "net/http"; "os")
type Item struct { ID int `json:"id"`; Name string `json:"name"`; IsOpen bool `json:"isOpen"` }
func main() { http.HandleFunc("/answer", func(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json"); json.NewEncoder(w).Encode(Item{1, "a name of some length", true}) })
	http.ListenAndServe("127.0.0.1:"+os.Args[1], nil) }
"""


def nginx(port):
    folder = tempfile.mkdtemp(prefix="nginx-", dir=a.scratch)
    with open(os.path.join(folder, "nginx.conf"), "w") as f:
        f.write(NGINX.format(d=folder, port=port, body=BODY))
    return ["nginx", "-p", folder, "-c", os.path.join(folder, "nginx.conf")]


LIMIT = str(a.seconds + 60)
SERVERS = {
    "NIO alone": lambda port: [barenio, "http", str(port)],
    "Plinth, on event loops": lambda port: [os.path.join(streams, "PlinthStreamServer"), str(port), LIMIT, "answers-in-place"],
    "Plinth": lambda port: [os.path.join(streams, "PlinthStreamServer"), str(port), LIMIT, "answers"],
    "Hummingbird": lambda port: [os.path.join(streams, "HummingbirdStreams"), str(port), LIMIT],
    "nginx, a fixed text": nginx,
}
if shutil.which("go"):
    source, binary = os.path.join(a.scratch, "answer.go"), os.path.join(a.scratch, "answer-go")
    with open(source, "w") as f:
        f.write(GO)
    subprocess.run(["go", "build", "-o", binary, source], check=True)
    SERVERS["Go, net/http"] = lambda port: [binary, str(port)]
IDLE = {
    "plinth serve": lambda port: [plinth, "serve", "--host", "127.0.0.1", "--port", str(port), "--log-level", "error"],
    "NIO alone": SERVERS["NIO alone"],
    "nginx": nginx,
}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as s:
            s.sendall(b"GET /answer HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return s.recv(1) != b""
    except OSError:
        return False


def tree(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [pid, *map(int, f.read().split())]


def cpu(pid):
    total = 0
    for one in tree(pid):
        for task in os.listdir(f"/proc/{one}/task"):
            with open(f"/proc/{one}/task/{task}/schedstat") as f:
                total += int(f.read().split()[0])
    return total / 1e9


def resident(pid):
    total = 0
    for one in tree(pid):
        with open(f"/proc/{one}/smaps_rollup") as f:
            total += sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))
    return total


class Running:
    """A server, until the block ends; `started` is the time until it answered, in milliseconds."""
    def __init__(self, command):
        self.command = command

    def __enter__(self):
        self.port = free_port()
        begin = time.monotonic()
        self.process = subprocess.Popen(self.command(self.port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while not answers(self.port):
                if self.process.poll() is not None or time.monotonic() - begin > 20:
                    sys.exit(f"{self.command(self.port)[0]} does not answer")
                time.sleep(0.002)
        except BaseException:
            self.__exit__()
            raise
        self.started = (time.monotonic() - begin) * 1000
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def load(command):
    with Running(command) as server:
        url = f"http://127.0.0.1:{server.port}/answer"
        run = ["wrk", "-t1", f"-c{a.connections}"]
        subprocess.run([*run, "-d1s", url], check=True, capture_output=True)
        before = cpu(server.process.pid)
        out = subprocess.run([*run, f"-d{a.seconds}s", url], check=True, capture_output=True, text=True).stdout
        used = cpu(server.process.pid) - before
    if "Non-2xx" in out or "Socket errors" in out:
        sys.exit(f"{command(0)[0]}: {out}")
    requests = int(next(line for line in out.splitlines() if "requests in" in line).split()[0])
    return {"rate": requests / a.seconds, "cpu": used * 1e6 / requests}


def idle(command):
    with Running(command) as server:
        time.sleep(1)
        return {"start": server.started, "resident": resident(server.process.pid)}


rounds = {name: [] for name in SERVERS}
idles = {name: [] for name in IDLE}
for number in range(a.rounds):
    for name, command in SERVERS.items():
        rounds[name].append(load(command))
        print(f"round {number + 1}: {name}: {json.dumps(rounds[name][-1])}", file=sys.stderr)
    for name, command in IDLE.items():
        idles[name].append(idle(command))
        print(f"round {number + 1}: idle, {name}: {json.dumps(idles[name][-1])}", file=sys.stderr)
with open(os.path.join(a.scratch, "requests.json"), "w") as f:
    json.dump({"connections": a.connections, "rounds": rounds, "idle": idles}, f, indent=1)


def median(name, key):
    return statistics.median(one[key] for one in rounds[name])


def ratio(name, key):
    all = sorted(one[key] / other[key] for one, other in zip(rounds[name], rounds["Hummingbird"]))
    return f"{statistics.median(all):.2f} ({all[0]:.2f}–{all[-1]:.2f})"


print(f"| a small JSON answer, {a.connections} connections | requests/s | of Hummingbird's | CPU µs | of Hummingbird's |")
print("|---|--:|--:|--:|--:|")
for name in SERVERS:
    print(f"| {name} | {median(name, 'rate'):,.0f} | {ratio(name, 'rate')} | {median(name, 'cpu'):.1f} | {ratio(name, 'cpu')} |")
print("\n| without a client | ms until it answers | resident kB (proportional) |\n|---|--:|--:|")
for name in IDLE:
    start, kB = (statistics.median(one[key] for one in idles[name]) for key in ("start", "resident"))
    print(f"| {name} | {start:.0f} | {kB:,.0f} |")
