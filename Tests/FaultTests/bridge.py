#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bridges one hub to another with `plinth publish --producer`, and kills everything but the far hub at random.

    Tests/FaultTests/bridge.py --plinth PROGRAM [--seconds 60] [--seed NUMBER] [--rate 200] [--history]

`plinth listen --json NEAR | plinth publish --json --producer … FAR`. Both commands and the near hub, which forgets
everything when it is killed, are killed at random moments and started again. The far hub, which holds the producer's
state in memory, is not. No event may arrive twice or out of order, and none may be missing that the near hub still held:
what was lost with a killed near hub is told by its gaps, and survived. The status is 1 if anything failed.

With --history both hubs keep their history in files, and both are killed. Then every event that the near hub has
acknowledged must arrive once and in order, both must have the same events, and no subscriber may be told of a gap.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

from follower import Follower
from hub import Hub, Reader, Totals, free_port, options as parse


class Bridge:
    """The two commands, started again when one of them has ended."""

    def __init__(self, program, near, far, folder, totals):
        self.program, self.near, self.far, self.totals = program, near, far, totals
        self.file = os.path.join(folder, "resume")
        self.errors = open(os.path.join(folder, "errors"), "w+b")
        self.start()

    def start(self):
        address = f"http://127.0.0.1:{self.near}/topics/a"
        self.listen = subprocess.Popen(
            [self.program, "listen", "--json", "--resume-from", self.file, "--last-event-id", "earliest", address],
            stdout=subprocess.PIPE, stderr=self.errors,
        )
        self.publish = subprocess.Popen(
            [self.program, "publish", "--json", "--resume-file", self.file, "--producer", "bridge", "--reserved", "skip",
             "--retry-for", "60s", f"http://127.0.0.1:{self.far}/topics/a"],
            stdin=self.listen.stdout, stdout=subprocess.DEVNULL, stderr=self.errors,
        )
        self.listen.stdout.close()

    def kill(self, *processes):
        for process in processes or (self.listen, self.publish):
            process.send_signal(signal.SIGKILL)
            process.wait()

    def keep(self):
        """Starts both again if one has ended."""
        if self.listen.poll() is None and self.publish.poll() is None:
            return
        self.totals.count(f"publish ended with {self.publish.poll()}" if self.publish.poll() is not None else
                          f"listen ended with {self.listen.poll()}")
        self.kill(*[one for one in (self.listen, self.publish) if one.poll() is None] or [])
        self.start()

    def last_errors(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")[-2000:]


def main():
    options = parse(__doc__, rate=200.0, history=False)
    rng, totals = random.Random(options.seed), Totals()
    with tempfile.TemporaryDirectory() as folder:
        far, near = hubs(options, folder)
        bridge = Bridge(options.plinth, near.port, far.port, folder, totals)
        reader = Follower(far, totals, topic="a") if options.history else Reader(far, "a", totals)
        source = Follower(near, totals, topic="a") if options.history else None
        published, is_over, lock = [], threading.Event(), threading.Lock()

        def publish():
            begin, count = time.monotonic(), 0
            while not is_over.is_set():
                if count > (time.monotonic() - begin) * options.rate:
                    time.sleep(0.001)
                    continue
                count += 1
                with lock:
                    url = f"http://127.0.0.1:{near.port}/topics/a"
                    try:
                        urllib.request.urlopen(urllib.request.Request(url, str(count).encode()), timeout=10).read()
                        published.append(str(count))
                    except (OSError, urllib.error.URLError):
                        # Killed meanwhile; whether it was taken is not known.
                        time.sleep(0.01)

        publisher = threading.Thread(target=publish)
        publisher.start()
        lost = set()
        try:
            end = time.monotonic() + options.seconds
            while time.monotonic() < end:
                time.sleep(rng.uniform(0.05, 1))
                more = ["far", "hubs"] if options.history else []
                what = rng.choice(["listen", "publish", "both", "near", "commands"] + more)
                totals.count(f"killed {what}")
                for hub in (near, far) if options.history else ():
                    if hub.process.poll() is not None:
                        totals.fail(f"a hub ended by itself with {hub.process.returncode}")
                if what in ("near", "far", "hubs") and options.history:
                    for hub in {"near": [near], "far": [far], "hubs": [near, far]}[what]:
                        hub.kill()
                    time.sleep(rng.uniform(0, 0.2))
                    for hub in (near, far):
                        if hub.process.poll() is not None:
                            hub.start()
                elif what == "near":
                    # What it holds and the far hub has not is lost with it.
                    with lock:
                        near.kill()
                        at_risk = set(published)
                        near = Hub(options.plinth, near.port, options=[])
                    lost |= at_risk
                elif what == "listen":
                    bridge.kill(bridge.listen)
                elif what == "publish":
                    bridge.kill(bridge.publish)
                else:
                    bridge.kill()
                # The other command ends by itself, or is ended.
                time.sleep(rng.uniform(0, 0.05))
                bridge.keep()
            is_over.set()
            publisher.join()
            wait_for(published[-1], bridge, reader, totals)
            check(published, lost, reader, totals)
            if options.history:
                now = Follower(far, totals, topic="a")
                for other, name in ((source, "the near hub delivered"), (now, "the far hub now holds")):
                    wait_for(published[-1], bridge, other, totals)
                    if other.data != reader.data:
                        totals.fail(f"{name} {len(other.data)} events; the far one delivered {len(reader.data)}")
            if totals.failures:
                print(bridge.last_errors())
        finally:
            is_over.set()
            bridge.kill()
            near.close()
            far.close()
    return totals.report()


def hubs(options, folder):
    """The far hub and the near one."""
    if not options.history:
        return Hub(options.plinth), Hub(options.plinth)
    # The commands reconnect after a time that the hub tells them. It must be shorter than that between two kills.
    more = ["--retry", "100ms-300ms", "--history"]
    return tuple(
        Hub(options.plinth, free_port(), [*Hub.OPTIONS, *more, os.path.join(folder, f"{name}.sqlite")])
        for name in ("far", "near")
    )


def wait_for(last, bridge, reader, totals):
    end = time.monotonic() + 60
    while last not in reader.data[-50:]:
        if time.monotonic() > end:
            return totals.fail(f"the last event, {last}, never arrived; the last that did are {reader.data[-3:]}")
        bridge.keep()
        time.sleep(0.05)


def check(published, lost, reader, totals):
    received = [int(data) for data in reader.data]
    if len(set(received)) < len(received):
        seen = set()
        twice = [one for one in received if one in seen or seen.add(one)]
        totals.fail(f"received twice: {twice[:10]}")
    if received != sorted(received):
        totals.fail("received out of order")
    missing = [data for data in published if int(data) not in set(received)]
    if kept := [data for data in missing if data not in lost]:
        totals.fail(f"lost, though the near hub held them: {kept[:10]}")
    totals.count("published", len(published))
    totals.count("received", len(received))
    totals.count("lost with a killed near hub", len(missing))


if __name__ == "__main__":
    sys.exit(main())
