#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Attacks servers with clients that disconnect at random points, and checks for leaks and crashes.

    Tests/FaultTests/fuzz.py --binaries DIRECTORY [--seconds 60] [--seed NUMBER] [--first RUN]

DIRECTORY holds `fault-probe` and `plinth` (`swift build -c release --show-bin-path`). Servers run one after the other until
the time is up. Each serves 1 to 3 rounds of clients; after each round its streams, connections and descriptors must return to
the baseline without clients. During a last round it receives SIGTERM, and must exit within its deadline, with status 0 and
without a crash or a logged error. The clients' actions are drawn from the seed, which is printed; `--first` starts at the
given run. Timing is not reproducible. The last line has the totals; the status is 1 if anything failed.
"""

import argparse
import asyncio
import collections
import os
import random
import re
import ssl
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from clients import KINDS, Client, Failed  # noqa: E402
from server import Command, Files, Probe  # noqa: E402

SETTLING = 15
"""Seconds within which a server without clients must be idle: its deadlines are 2 to 4 s, plus margin for a busy machine."""


class Report:
    def __init__(self):
        self.passed = 0
        self.failures = []
        self.tally = collections.Counter()
        self.longest = collections.Counter()

    def check(self, holds, what):
        if holds:
            self.passed += 1
        else:
            self.failures.append(what)
            print(f"FAILED {what}", flush=True)

    def took(self, what, seconds):
        self.longest[what] = max(self.longest[what], seconds)


async def play(server, seed, place, number, delay, report):
    """Runs one randomly chosen client to its end, and always closes its sockets."""
    rng = random.Random(f"{seed}/{place}/{number}")
    names = list(KINDS)
    name = rng.choices(names, [KINDS[name][0] for name in names])[0]
    client = Client(rng, server, f"{place}/{number}".replace(" ", "").replace("/", "-"))
    await asyncio.sleep(delay * rng.random())
    outcome = "left"
    try:
        # A separate task, which a fate may cancel.
        if await asyncio.ensure_future(asyncio.wait_for(KINDS[name][1](client), 30)):
            outcome = "served"
            report.passed += 1
    except asyncio.CancelledError:
        pass
    except Failed as error:
        # A server that is shutting down or has crashed owes nothing; `run` reports a crash.
        if server.is_alive and not server.is_ending:
            report.check(False, f"{place} client {number}, {name}: {error}")
    except asyncio.TimeoutError:
        if server.is_alive and not server.is_ending:
            report.check(False, f"{place} client {number}, {name}: still running after 30 s")
    except (OSError, ssl.SSLError) as error:
        outcome = f"lost ({type(error).__name__})"
    except Exception as error:
        if type(error).__name__ != "Left":
            report.check(False, f"{place} client {number}, {name}: {traceback.format_exc()}")
    finally:
        for connection in client.connections:
            connection.leave()
        report.tally[f"client {name}"] += 1
        report.tally[f"outcome {outcome}"] += 1
        report.tally.update(client.tally)
        report.tally["connections"] += len(client.connections)


def settle(server, place, report):
    """Waits until a server without clients is back at its baseline."""
    began = time.monotonic()
    held = None
    while server.is_alive and time.monotonic() - began < SETTLING:
        try:
            held = server.held()
        except (OSError, AttributeError) as error:
            held = error
        if held == server.baseline:
            report.took("until idle after a round", time.monotonic() - began)
            report.check(True, "")
            return True
        time.sleep(0.05)
    what = "the server has died" if not server.is_alive else f"it holds {held} after {SETTLING} s instead of {server.baseline}"
    report.check(False, f"{place}: {what}")
    return False


async def round_of_clients(server, seed, place, rng, report, ends=False):
    count, delay = rng.choice([10, 40, 100]), rng.choice([0.1, 1, 2])
    clients = [
        asyncio.ensure_future(play(server, seed, place, number, delay, report)) for number in range(count)
    ]
    took = 0.0
    if ends:
        await asyncio.sleep(rng.random() * delay)
        server.is_ending = True
        # Streams requested by now are open when the signal arrives.
        await asyncio.sleep(0.3)
        took = await asyncio.get_running_loop().run_in_executor(None, server.end)
    await asyncio.gather(*clients)
    return took


def run(server, seed, number, rng, report):
    """Runs one server through its rounds and its shutdown."""
    server.warm_up()
    for round_number in range(rng.randrange(1, 4)):
        place = f"run {number}/{round_number}"
        asyncio.run(round_of_clients(server, seed, place, rng, report))
        report.tally["rounds"] += 1
        if not settle(server, place, report):
            break
    place = f"run {number}/end"
    if server.is_alive:
        took = asyncio.run(round_of_clients(server, seed, place, rng, report, ends=True))
        report.check(took is not None, f"{place}: still running {server.deadline} s after SIGTERM")
        if took is not None:
            report.took(f"from SIGTERM to the end, {type(server).__name__.lower()}", took)
            status = server.process.returncode
            report.check(status == 0, f"{place}: exited with status {status}")
    errors = server.standard_error()
    lines = errors.splitlines()
    crash = next((at for at, line in enumerate(lines) if re.search(r"Fatal error|[Cc]rash|\*\*\* |Illegal instruction", line)), None)
    report.check(crash is None, f"{place}: a crash:\n" + "\n".join(lines[crash or 0:][:80]))
    complaints = [line for line in lines if re.match(r"\S+ (error|critical)[ :]", line)]
    report.check(not complaints, f"{place}: errors in the log, such as: " + "\n".join(complaints[:3]))
    for line in lines:
        if match := re.match(r"\S+ warning:? (.*)", line):
            report.tally["warning " + re.sub(r"\d+", "N", match.group(1))[:120]] += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", required=True)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=15)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}, {arguments.seconds:g} s", flush=True)

    report = Report()
    began, said, number = time.monotonic(), time.monotonic(), arguments.first
    with tempfile.TemporaryDirectory() as folder:
        files = Files(folder)
        while time.monotonic() - began < arguments.seconds and len(report.failures) < 20:
            rng = random.Random(f"{arguments.seed}/{number}")
            transport = rng.choice(["automatic", "automatic", "event-loops"])
            choice = rng.randrange(4)
            if choice:
                executor = rng.choice(["pool", "loops"])
                server = Probe(os.path.join(arguments.binaries, "fault-probe"), files, transport, executor)
            else:
                way = rng.choice(["plain", "tls"])
                server = Command(os.path.join(arguments.binaries, "plinth"), files, transport, way)
            try:
                run(server, arguments.seed, number, rng, report)
            finally:
                server.close()
            report.tally[f"runs of {type(server).__name__.lower()}, {transport}"] += 1
            number += 1
            if time.monotonic() - said > 60:
                said = time.monotonic()
                print(f"after {said - began:.0f} s: run {number}, {report.tally['connections']} connections", flush=True)

    for name, count in sorted(report.tally.items()):
        print(f"{count:9} {name}")
    for what, seconds in sorted(report.longest.items()):
        print(f"{seconds:9.2f} s at most {what}")
    print(f"seed {arguments.seed}: {number - arguments.first} servers in {time.monotonic() - began:.0f} s")
    print(f"{report.passed} passed, {len(report.failures)} failed")
    sys.exit(1 if report.failures else 0)


if __name__ == "__main__":
    main()
