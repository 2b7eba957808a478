#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kills a hub that keeps its history in a file, at any moment, and checks that nothing it acknowledged is lost.

    Tests/FaultTests/crash.py --plinth PROGRAM [--rounds 50] [--seconds 180] [--seed NUMBER] [--rate 2000] [--memory]

In each round the hub is killed (SIGKILL) 0.2 to 3 s after it listens, and started again with the same file and port;
sometimes it is also killed while it starts. Meanwhile publishers send plain events, events with keys, with producer's
numbers, and streamed uploads; others end topics. What has no answer is sent again. Subscribers read all the time, and
resume after their last ID. At the end, each topic must hold every acknowledged event once, in the order of its
publisher, under the ID that was answered; what every subscriber received must be the same; no ID may stand for two
events; nobody may be told of a gap; and topics that have ended must stay so.

--rate is in events a second, all publishers together. It ends after --rounds or --seconds, whichever comes first; with
--rounds 0 nothing is killed, for --seconds. With --memory the hub keeps its history in memory: then this must fail if
anything is killed, which shows that losses are found. The files of a run that failed are kept. The last line has the
totals; the status is 1 if anything failed.
"""

import collections
import os
import random
import shutil
import sqlite3
import sys
import tempfile
import threading
import time
import traceback

from crash_publishers import Connection, Ender, Keys, Numbered, Plain, Uploads, text
from follower import Follower, number
from hub import Hub, Totals, free_port, options as parse

TOPICS = [f"t/{index}" for index in range(4)]
KINDS = [Plain, Keys, Numbered, Uploads]
LAST = TOPICS + ["end/over"]  # They get a last event, of the type `over`.
# More keys than by default, and for longer, so that none is forgotten or refused in a long run.
KEYS = ["--key-age", "1h", "--maximum-key-bytes", "1000000000"]


class Shared:
    """What all threads share."""

    def __init__(self, hub, totals, options):
        self.hub, self.totals, self.seed = hub, totals, options.seed
        # Of one publisher, in seconds.
        self.interval = len(TOPICS) * len(KINDS) / options.rate
        self.is_over = threading.Event()
        self.no_kill = threading.Lock()  # While it is held, the hub is there and stays.
        self.events = {}

    def note(self, id, topic, type, data):
        """Records which event has an ID, whoever says so, and returns the record."""
        event = (id, topic, type, data)
        known = self.events.setdefault(id, event)
        if known != event:
            self.totals.fail(f"{brief(known)} and {brief(event)}", "IDs of two events")
            return event
        return known


def brief(event):
    return " ".join(event)[:80].rstrip("x ")


def followers(shared, rng=None):
    """A subscriber of each topic, and some of patterns. With a random number generator, some of them are restless."""
    def follower(overs, rng=None, **what):
        return Follower(shared.hub, shared.totals, overs=overs, note=shared.note, rng=rng, **what)

    return [follower(1, topic=topic) for topic in TOPICS] + [
        follower(len(LAST), pattern="**"), follower(len(LAST), pattern="**", rng=rng),
        follower(len(TOPICS), pattern="t/*", rng=rng), follower(1, pattern="end/**"),
    ]


def wait(hub, seconds, is_over=lambda: False):
    """Waits, and gives up if the hub ends by itself meanwhile."""
    end = time.monotonic() + seconds
    while not is_over():
        if hub.process.poll() is not None:
            raise SystemExit(f"plinth ended by itself with {hub.process.returncode}")
        if (left := end - time.monotonic()) <= 0:
            return
        time.sleep(min(left, 0.05))


def kill_at_random(shared, options, rng):
    """Kills the hub and starts it again, as often as asked for; it is not away when this returns."""
    hub, totals = shared.hub, shared.totals
    end = time.monotonic() + options.seconds
    if options.rounds == 0:
        wait(hub, options.seconds)
    slowest = 0.1
    for _ in range(options.rounds):
        if time.monotonic() > end:
            break
        wait(hub, rng.uniform(0.2, 3))
        with shared.no_kill:
            hub.kill()
            totals.count("kills")
            if rng.random() < 0.2:
                hub.launch()
                time.sleep(rng.uniform(0, slowest))
                hub.kill()
                totals.count("kills while it starts")
            begin = time.monotonic()
            hub.start()
        slowest = max(slowest, time.monotonic() - begin)
        totals.counts["ms for the slowest start"] = round(slowest * 1000)


def publish_last(shared):
    connection = Connection(shared.hub)
    for topic in LAST:
        status, _, answer = connection.request("POST", f"/topics/{topic}?type=over", {}, b"over")
        if status != 201:
            shared.totals.fail(f"the last event of {topic}: {status} {answer}")
    connection.close()


def join(hub, threads, seconds, totals):
    wait(hub, seconds, is_over=lambda: not any(thread.is_alive() for thread in threads))
    for thread in threads:
        if thread.is_alive():
            where = f", its last ID is {thread.last!r}" if isinstance(thread, Follower) else ""
            totals.fail(f"{type(thread).__name__} {thread.name} does not end{where}", "threads that do not end")


def main():
    options = parse(__doc__, seconds=180.0, rounds=50, rate=2000.0, memory=False)
    totals, folder = Totals(), tempfile.mkdtemp(prefix="plinth-crash-")
    file = os.path.join(folder, "hub.sqlite")
    hub = None
    try:
        hub = Hub(options.plinth, free_port(), Hub.OPTIONS + KEYS + ([] if options.memory else ["--history", file]))
        run(hub, totals, options)
        if (status := hub.close()) != 0:
            totals.fail(f"plinth ended with {status} after SIGTERM")
        if not options.memory:
            check_file(file, totals)
    except SystemExit as error:
        # It did not start, or ended by itself.
        totals.fail(str(error))
    except Exception as error:
        traceback.print_exc()
        totals.fail(f"{type(error).__name__} {error}")
    finally:
        if hub is not None:
            hub.process.kill()
        if totals.failures and not options.memory:
            print(f"the files are kept in {folder}")
        else:
            shutil.rmtree(folder)
    return totals.report()


def run(hub, totals, options):
    rng = random.Random(options.seed)
    shared = Shared(hub, totals, options)
    live = followers(shared, rng=random.Random(f"{options.seed}/followers"))
    publishers = [kind(shared, index, topic) for kind in KINDS for index, topic in enumerate(TOPICS)]
    enders = [Ender(shared, 0)]
    begin = time.monotonic()
    for publisher in publishers + enders:
        publisher.start()
    try:
        kill_at_random(shared, options, rng)
        # The last one may have just begun.
        wait(hub, 0.5)
    finally:
        shared.is_over.set()
    totals.count("acknowledged a second", round(totals.counts["acknowledged"] / (time.monotonic() - begin)))
    join(hub, publishers + enders, 120, totals)
    publish_last(shared)
    join(hub, live, 60, totals)
    fresh = followers(shared)
    join(hub, fresh, 60, totals)
    compare(live, fresh, publishers, enders, totals)


def compare(live, fresh, publishers, enders, totals):
    """Compares all that was received with what is there now, and that with all that was published."""
    for old, new in zip(live, fresh):
        compare_events(f"a subscriber of {old.name}", old.events, f"{old.name} now", new.events, totals)
    logs = collections.defaultdict(list)
    for event in next(one for one in fresh if one.name == "**").events:
        logs[event[1]].append(event)
    for one in fresh:
        if one.topic is not None:
            compare_events(f"{one.topic} within **", logs[one.topic], one.topic, one.events, totals)
    for publisher in publishers:
        check_published(publisher, logs[publisher.topic], totals)
    for ender in enders:
        for topic, (end, data) in ender.ended.items():
            log = logs[topic]
            if [one[3] for one in log[:-1]] != data or [one[0] for one in log[-1:]] != [end]:
                totals.fail(f"{topic}, ended with {end}: {[brief(one) for one in log]}", "ended topics in **")
    totals.count("events in the end", sum(len(log) for log in logs.values()))


def compare_events(name, events, other, log, totals):
    if events == log:
        return totals.count("events compared", len(log))
    received, there = set(events), set(log)
    extra = [event for event in events if event not in there]
    missed = [event for event in log if event not in received]
    for what, some in (("missed", missed), ("got what is not there:", extra)):
        if some:
            totals.fail(f"{name} {what} {len(some)} events, such as {brief(some[0])!r}", "subscribers that differ")
    if not extra and not missed:
        totals.fail(f"{name} got the events of {other} in another order, or twice", "subscribers that differ")


def check_published(publisher, log, totals):
    """Checks a publisher's events: what is acknowledged is there, nothing is there twice, all is in order."""
    name, acknowledged = publisher.name, publisher.acknowledged
    found = [(int(data.split(" ", 2)[1]), id, data) for id, _, _, data in log if data.startswith(f"{name} ")]
    there = {at: id for at, id, _ in found}
    for (before, _, _), (at, id, data) in zip([(-1, None, None), *found], found):
        if at <= before:
            totals.fail(f"{name}: {id} is number {at}, after number {before}", "twice or out of order")
        if at >= publisher.next or data != text(name, at):
            totals.fail(f"{id} {data[:40]!r}", "events that nobody published")
    if lost := [at for at in acknowledged if at not in there]:
        totals.fail(f"{name}: {len(lost)} of {len(acknowledged)}, such as number {lost[0]}, {acknowledged[lost[0]]}",
                    "lost though acknowledged")
    for at, id in acknowledged.items():
        if id is not None and at in there and there[at] != id:
            totals.fail(f"{name}: number {at} was acknowledged as {id} and is {there[at]}", "other IDs")
    open_ = [at for at in range(publisher.next) if at not in acknowledged]
    if not isinstance(publisher, Plain):
        return
    totals.count("unacknowledged and there", sum(at in there for at in open_))
    totals.count("unacknowledged and not there", sum(at not in there for at in open_))
    for first, end in publisher.uploads:
        is_there = [at in there for at in range(first, end)]
        if is_there != sorted(is_there, reverse=True):
            totals.fail(f"{name}: of {first} to {end - 1} not the beginning is there: {is_there}", "uploads with holes")


def check_file(file, totals):
    with sqlite3.connect(file) as database:
        if (said := database.execute("PRAGMA integrity_check").fetchall()) != [("ok",)]:
            totals.fail(f"the file is damaged: {said[:3]}")
    totals.count("kB of the file", os.path.getsize(file) // 1000)


if __name__ == "__main__":
    sys.exit(main())
