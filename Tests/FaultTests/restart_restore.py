# SPDX-License-Identifier: Apache-2.0
"""A part of restart.py: the file of a hub is copied while it is used, and the copy is put back, as the article says."""

import random
import time

from client import Client
from crash import compare_events, wait
from crash_publishers import Connection
from follower import number
from restart_copy import Copier
from restart_held import Acknowledged, epoch, inspect
from restart_rewind import rewind

TARGET = "backup.sqlite"  # As in the article.
INTERRUPTED = 4  # Copies before each that is put back.


def run(load, folder, options):
    rng = random.Random(f"{options.seed}/restore")
    end = time.monotonic() + options.seconds
    copier = Copier(load.hub, load.totals, folder)
    if copier.arguments[-1] != TARGET:
        raise SystemExit(f"the article copies to {copier.arguments[-1]}")
    fill(load.hub)
    copier.copy("first.sqlite")
    for index in range(options.restores):
        if time.monotonic() > end:
            break
        restore(load, copier, folder, rng, index)
    wait(load.hub, rng.uniform(0.1, 1))
    if again := {event[0] for event in load.finish()} & load.shared.lost:
        load.totals.fail(f"{len(again)} IDs, such as {min(again)}, were given again after a copy was put back")


def fill(hub):
    """Publishes so much that a copy takes some time."""
    connection = Connection(hub)
    for index in range(100):
        connection.request("POST", "/topics/bulk", {}, f"{index} ".encode() + b"x" * 100_000)
    connection.close()


def restore(load, copier, folder, rng, index):
    hub, totals = load.hub, load.totals
    wait(hub, rng.uniform(0.1, 0.5))
    for _ in range(INTERRUPTED):
        copier.interrupt(rng, sum(len(one.acknowledged) for one in load.publishers))
    acknowledged = Acknowledged(load)
    copier.copy(TARGET)
    copier.check(TARGET)
    held = inspect(load, folder, TARGET, acknowledged, rng)
    check_snapshot(load, held)
    if rng.random() < 0.5:
        with load.shared.no_kill:
            close(hub, totals)
            hub.start()
        wait(hub, rng.uniform(0.1, 0.5))
    load.stop()
    if rng.random() < 0.5:
        # It leaves a log.
        hub.kill()
    else:
        close(hub, totals)
    inspect(load, folder, "hub.sqlite", Acknowledged(load), rng)
    copier.put_back()
    known = list(load.shared.events)
    held.epochs = {epoch(id) for id in known}
    load.shared.lost.update(id for id in known if id not in held.ids)
    load.shared.restored = held
    told = totals.counts["gaps told to subscribers that were ahead"]
    hub.start()
    wait(hub, 30, is_over=lambda: not any(one.is_ahead for one in load.subscribers))
    for one in load.subscribers:
        if one.is_ahead:
            totals.fail(f"{one.name} is not told that what it had up to {one.last!r} is lost", "losses not told")
    if totals.counts["gaps told to subscribers that were ahead"] == told:
        totals.fail("no subscriber was ahead of the copy")
    check_resumed(load, held, rng)
    rewind(load, held, index)
    load.go_on()
    totals.count("copies put back")


def close(hub, totals):
    if (status := hub.close()) != 0:
        totals.fail(f"plinth ended with {status} after SIGTERM")


def check_snapshot(load, held):
    """A copy holds what a subscriber has received up to a moment."""
    witness, last = load.witness, number(held.events[-1][0])
    wait(load.hub, 30, is_over=lambda: witness.last_number > last)
    received = witness.events[:len(held.events)]
    compare_events("the copy", held.events, "a subscriber of **", received, load.totals)


def check_resumed(load, held, rng):
    """Reads after events that the copy holds, and after some that are lost; nothing is published meanwhile."""
    client, totals = Client(load.hub, patience=60), load.totals
    for at in (rng.randrange(len(held.events)), len(held.events) - 1):
        id = held.events[at][0]
        events, gaps = client.read("match=**", id)
        if gaps or events != held.events[at + 1:]:
            totals.fail(f"after {id}, which is in the copy: {len(events)} events and {gaps}", "readers after a restore")
    for id in rng.sample(sorted(load.shared.lost), min(3, len(load.shared.lost))):
        events, gaps = client.read("match=**", id)
        if [gap["requested"] for _, gap in gaps] != [id] or events != held.events:
            totals.fail(f"after {id}, which is lost: {len(events)} events and {gaps}", "readers after a restore")
        totals.count("gaps told to readers that were ahead")
    client.connection.close()
