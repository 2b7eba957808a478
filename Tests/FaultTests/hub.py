# SPDX-License-Identifier: Apache-2.0
"""A hub under test, a reader of it, and the report, for the scripts beside this file."""

import argparse
import collections
import random
import re
import socket
import subprocess
import threading


def options(description, seconds=60, **more):
    """The options of a script, with a seed that is printed."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plinth", required=True, help="the program")
    parser.add_argument("--seconds", type=float, default=seconds)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    for name, default in more.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    found = parser.parse_args()
    print(f"seed {found.seed}", flush=True)
    return found


class Totals:
    def __init__(self):
        self.lock = threading.Lock()
        self.counts = collections.Counter()
        self.failures = []

    def count(self, name, by=1):
        with self.lock:
            self.counts[name] += by

    def fail(self, what):
        with self.lock:
            self.failures.append(what)
            print(f"FAILED {what}", flush=True)

    def report(self):
        """Prints the counts, and returns the exit status."""
        counts = ", ".join(f"{count} {name}" for name, count in sorted(self.counts.items()))
        print(f"{counts}: {len(self.failures)} failures", flush=True)
        return 1 if self.failures else 0


class Hub:
    """A hub of its own process, whose history removes nothing unless its options say so."""

    OPTIONS = ["--history-events", "10000000", "--history-bytes", "2000000000", "--topic-events", "10000000",
               "--topic-bytes", "2000000000"]

    def __init__(self, program, port=0, options=OPTIONS):
        self.process = subprocess.Popen(
            [program, "serve", "--port", str(port), "--log-level", "warning", *options],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        line = self.process.stdout.readline()
        match = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        if not match:
            raise SystemExit(f"{program} did not say where it listens: {line}{self.process.stdout.read()}")
        self.port = int(match.group(1))
        threading.Thread(target=self._drain, daemon=True).start()

    def _drain(self):
        for line in self.process.stdout:
            print(f"plinth: {line.rstrip()}", flush=True)

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        self.process.terminate()
        self.process.wait(30)


class Reader(threading.Thread):
    """Reads a topic from its beginning, and records the data of its events in order."""

    def __init__(self, hub, topic, totals):
        super().__init__(daemon=True)
        self.hub, self.topic, self.totals = hub, topic, totals
        self.data, self.ids = [], []
        self.connection = hub.connect()
        self.connection.settimeout(None)
        self.connection.sendall(
            f"GET /topics/{topic}?last-event-id=earliest HTTP/1.0\r\nHost: localhost\r\n\r\n".encode()
        )
        self.start()

    def run(self):
        buffer = b""
        while piece := self.connection.recv(1 << 16):
            buffer += piece
            *blocks, buffer = buffer.split(b"\n\n")
            for block in blocks:
                fields = dict(line.split(": ", 1) for line in block.decode().split("\n") if ": " in line)
                if fields.get("event") == "gap":
                    self.totals.fail(f"topic {self.topic}: a gap, though nothing is removed: {fields}")
                if "data" in fields:
                    self.data.append(fields["data"])
                    self.ids.append(fields.get("id"))
