#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lets subscribers resume while a hub starts and others publish, and checks that none misses an event.

    Tests/FaultTests/catchup.py --plinth PROGRAM [--seconds 60] [--seed NUMBER]

The hub keeps its history in a file above `disk.c`, whose syncs take a random time. In each round it is started, and
killed after 0.1 to 0.2 s. Subscribers begin some events or some hundred behind, so that they read from the file first,
then from memory, and then become live; this is what may lose events. After each round, what each has received must be
the beginning of what is there. The last line has the totals; the status is 1 if anything failed.
"""

import random
import sys
import threading
import time

from client import Client, Lost, Refused
from hub import Totals, options as parse
from shim import Disk, HistoryHub

QUERIES = ["topic=t/0", "topic=t/0&topic=t/1", "match=t/*"]
PUBLISHERS, SUBSCRIBERS = 4, 9


class Round:
    def __init__(self, hub, seed):
        self.hub, self.seed = hub, seed
        self.is_over = threading.Event()
        self.received = []  # The query, the last ID before, and the IDs received.

    def publish(self, number):
        rng, client, count = random.Random(f"{self.seed}/publisher/{number}"), Client(self.hub), 0
        while not self.is_over.is_set():
            body = "".join(f"data: {number} {count} {part}\n\n" for part in range(rng.choice([1, 3, 10])))
            try:
                client.post(f"/topics/t/{rng.choice([0, 0, 1])}", body, {"Content-Type": "text/event-stream"})
            except Lost:
                return
            except Refused:
                time.sleep(0.01)
            count += 1

    def subscribe(self, number, query, last):
        time.sleep(random.Random(f"{self.seed}/subscriber/{number}").choice([0, 0, 0.001, 0.005, 0.02]))
        ids, rest = [], b""
        try:
            with self.hub.connect() as connection:
                connection.sendall(
                    f"GET /topics?{query} HTTP/1.0\r\nHost: localhost\r\nLast-Event-ID: {last}\r\n\r\n".encode()
                )
                while piece := connection.recv(1 << 16):
                    *blocks, rest = (rest + piece).split(b"\n\n")
                    for block in blocks:
                        fields = dict(line.split(": ", 1) for line in block.decode().split("\n") if ": " in line)
                        if "data" in fields:
                            ids.append(fields["id"].partition("\t")[0])
        except ConnectionError:
            pass
        self.received.append((query, last, ids))

    def run(self, rng, last):
        threads = [threading.Thread(target=self.publish, args=[number]) for number in range(PUBLISHERS)]
        for number in range(SUBSCRIBERS):
            query = QUERIES[number % len(QUERIES)]
            threads.append(threading.Thread(target=self.subscribe, args=[number, query, last[query]]))
        rng.shuffle(threads)
        for thread in threads:
            thread.start()
        time.sleep(rng.uniform(0.1, 0.2))
        self.hub.kill()
        self.is_over.set()
        for thread in threads:
            thread.join()


def start(options, disk, rng):
    disk.reset()
    disk.sync_micros = rng.choice([0, 200, 1000])
    return HistoryHub(options.plinth, disk.directory / "hub.sqlite", disk)


def compare(received, there, query, totals):
    for other, last, ids in received:
        if other != query:
            continue
        totals.count("events compared", len(ids))
        if ids != there[:len(ids)]:
            at = next(index for index, pair in enumerate(zip(ids, there + [None] * len(ids))) if pair[0] != pair[1])
            missing = len(set(there[at:]) - set(ids[at:]))
            totals.fail(f"{query} after {last}: {ids[at]} follows {ids[at - 1] if at else last}; instead of "
                        f"{there[at:at + 1]}, and up to {missing} are missing", "events missed")


def main():
    options = parse(__doc__)
    totals, disk, rng = Totals(), Disk(), random.Random(options.seed)
    last = {query: "earliest" for query in QUERIES}
    end = time.monotonic() + options.seconds
    number = 0
    try:
        while time.monotonic() < end:
            one = Round(start(options, disk, rng), f"{options.seed}/{number}")
            one.run(rng, last)
            hub = start(options, disk, rng)
            client = Client(hub)
            for query in QUERIES:
                there = [event.id for event in client.read(query, last[query])[0]]
                compare(one.received, there, query, totals)
                if there:
                    last[query] = there[-min(len(there), rng.choice([1, 1, 30, 400]))]
            hub.kill()
            totals.count("rounds")
            number += 1
    finally:
        disk.close()
    return totals.report()


if __name__ == "__main__":
    sys.exit(main())
