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
    """The options of a script, with a seed that is printed. One whose default is False is a flag."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plinth", required=True, help="the program")
    parser.add_argument("--seconds", type=float, default=seconds)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    for name, default in more.items():
        if default is False:
            parser.add_argument(f"--{name}", action="store_true")
        else:
            parser.add_argument(f"--{name}", type=type(default), default=default)
    found = parser.parse_args()
    print(f"seed {found.seed}", flush=True)
    return found


def free_port():
    """A free port below those that the system gives to clients.

    While a hub restarts, its port is free. If it were one of those, a client that tries to reconnect could be given it,
    and would be connected to itself.
    """
    while True:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as attempt:
            try:
                attempt.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class Totals:
    SHOWN = 3  # Failures of one kind.

    def __init__(self):
        self.lock = threading.Lock()
        self.counts = collections.Counter()
        self.failures = []
        self.kinds = collections.Counter()

    def count(self, name, by=1):
        with self.lock:
            self.counts[name] += by

    def fail(self, what, kind=None):
        """Records a failure, and prints it. Of those with a kind, only the first few are printed."""
        with self.lock:
            self.failures.append(what)
            self.kinds[kind] += 1
            if kind is None:
                print(f"FAILED {what}", flush=True)
            elif self.kinds[kind] <= self.SHOWN:
                print(f"FAILED {kind}: {what}", flush=True)

    def report(self):
        """Prints the counts, and returns the exit status."""
        for kind, count in self.kinds.items():
            if kind is not None and count > self.SHOWN:
                print(f"FAILED {kind}: {count} in all", flush=True)
        counts = ", ".join(f"{count} {name}" for name, count in sorted(self.counts.items()))
        print(f"{counts}: {len(self.failures)} failures", flush=True)
        return 1 if self.failures else 0


class Hub:
    """A hub of its own process, whose history removes nothing unless its options say so."""

    OPTIONS = ["--history-events", "10000000", "--history-bytes", "2000000000", "--topic-events", "10000000",
               "--topic-bytes", "2000000000"]

    START = 60  # Seconds that a start may take.

    def __init__(self, program, port=0, options=OPTIONS):
        self.program, self.port, self.options = program, port, options
        self.starts = 0
        self.start()

    def spawn(self):
        """Starts a process, which is not yet the hub's."""
        return subprocess.Popen(
            [self.program, "serve", "--port", str(self.port), "--log-level", "warning", *self.options],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )

    def launch(self):
        """Starts the process, and does not wait until it listens."""
        self.process = self.spawn()

    def start(self):
        """Starts the process; the second time and later on the same port."""
        self.launch()
        self.wait_until_listening()

    def wait_until_listening(self):
        # One that hangs must not stop the script.
        guard = threading.Timer(self.START, self.process.kill)
        guard.daemon = True
        guard.start()
        said, match = "", None
        while not match:
            line = self.process.stdout.readline()
            if not line:
                raise SystemExit(f"{self.program} did not say where it listens: {said}")
            said += line
            match = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        guard.cancel()
        self.port = int(match.group(1))
        self.starts += 1
        threading.Thread(target=self._drain, args=[self.process.stdout], daemon=True).start()

    @staticmethod
    def _drain(output):
        for line in output:
            print(f"plinth: {line.rstrip()}", flush=True)

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        """Lets it shut down, and returns its exit status."""
        self.process.terminate()
        return self.process.wait(30)


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
