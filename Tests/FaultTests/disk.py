#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Gives a hub with its history in a file a disk that is full, broken, read-only, or slow, or a file that is damaged.

    Tests/FaultTests/disk.py --plinth PROGRAM [--only NAME] [--trials 100] [--seed NUMBER] [--keep DIRECTORY]

full        publishing gets 503 and says what was taken, subscribers stay, and once there is room all goes on
errors      the same for writes, reads and syncs that fail for a while
read-only   the start fails with a message that names the file, or publishing gets 503
slow        with 200 ms for each sync, reading does not wait for syncs, and what is acknowledged is delivered
damage      a file in which something is changed: `damage.py`

Afterwards everything acknowledged must be there, also after another start. As root, a small file system is mounted to
fill it; otherwise `disk.c` pretends that there is no more room. The last line has the totals; the status is 1 if
anything failed.
"""

import argparse
import contextlib
import errno
import pathlib
import random
import sqlite3
import subprocess
import sys
import tempfile
import time

import damage
import powercut_publishers
import powercut_readers
from client import Client, Ledger
from hub import Totals
from shim import ALL, Died, Disk, HistoryHub

HEARTBEATS = ["--heartbeat", "200ms"]
PATIENCE = 20  # Seconds, for what should happen soon.


class Filler(powercut_publishers.Plain):
    """Publishes large events while it is asked to."""

    TOPIC = "t/filler"
    is_filling = False

    def step(self):
        if self.is_filling:
            super().step()
        else:
            time.sleep(0.01)

    def fill(self):
        return "x" * 20_000


class Stage:
    """A hub, with publishers and subscribers that work; they may be refused."""

    def __init__(self, options, path, totals, rng, disk=None, more=HEARTBEATS):
        self.program, self.path, self.totals, self.disk, self.more = options.plinth, path, totals, disk, more
        self.shared = powercut_publishers.Shared(Ledger(totals), totals, rng.random())
        self.shared.may_refuse = True
        self.filler = Filler(self.shared, "filler")
        self.publishers = powercut_publishers.publishers(self.shared, True) + [self.filler]
        self.readers = powercut_readers.readers(self.shared, True)
        self.counts = totals.counts
        self.begin()

    def begin(self):
        self.hub = HistoryHub(self.program, self.path, self.disk, options=self.more)
        self.shared.is_over.clear()
        self.reading = powercut_readers.start(self.readers, self.hub)
        self.publishing = powercut_readers.start(self.publishers, self.hub)

    def wait(self, what, condition):
        """Waits until something is so, and fails if that takes too long."""
        end = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > end or self.hub.process.poll() is not None:
                self.totals.fail(f"{what}: not within {PATIENCE} s; {self.hub.said()}", "what did not happen")
                return False
            time.sleep(0.01)
        return True

    def wait_for_more(self, name, count, what):
        wanted = self.counts[name] + count
        return self.wait(f"{what}: {count} {name}", lambda: self.counts[name] >= wanted)

    def check_readers(self, what):
        """Each subscriber is still connected, and gets at least heartbeats."""
        before = [reader.bytes for reader in self.readers]
        self.wait(f"{what}: heartbeats", lambda: all(
            reader.bytes > count + 3 for reader, count in zip(self.readers, before)
        ))
        for thread in self.reading:
            if not thread.is_alive():
                self.totals.fail(f"{what}: {thread.name}", "subscribers that lost their connection")

    def refusals(self):
        return sum(count for name, count in self.counts.items() if name.startswith("refusals: "))

    def rest(self):
        """Ends publishing, and compares."""
        self.shared.is_over.set()
        for thread in self.publishing:
            thread.join(30)
            if thread.is_alive():
                self.totals.fail(thread.name, "threads that do not end")
        powercut_readers.compare(self.hub, self.shared, self.readers + self.publishers, True)

    def end(self):
        self.shared.is_over.set()
        status = self.hub.close()
        for thread in self.publishing + self.reading:
            thread.join(30)
        if status != 0:
            self.totals.fail(f"status {status} after SIGTERM; {self.hub.said()}", "hubs that do not end well")

    def check_restart(self):
        """Compares again after another start, and publishes a little."""
        self.end()
        self.begin()
        self.shared.is_over.set()
        for thread in self.publishing:
            thread.join(30)
        powercut_readers.compare(self.hub, self.shared, self.readers + self.publishers, True)
        self.end()


@contextlib.contextmanager
def mounted(size):
    """A small file system of its own; None if it cannot be mounted."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="plinth-mount-"))
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", directory]
    try:
        is_mounted = subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        is_mounted = False
    try:
        yield directory if is_mounted else None
    finally:
        if is_mounted:
            subprocess.run(["umount", "--lazy", directory], check=True)
        directory.rmdir()


def full(options, totals, rng):
    with mounted("8m") as directory:
        if directory:
            ballast = directory / "ballast"
            ballast.write_bytes(bytes(4 << 20))
            run_full("a full file system", Stage(options, directory / "hub.sqlite", totals, rng), lambda: None,
                     ballast.unlink)
        else:
            totals.count("file systems that could not be mounted")
    disk = Disk()
    try:
        def fill():
            disk.room = 300_000
            disk.has_room = 1

        def free():
            disk.has_room = 0

        run_full("a disk without room", Stage(options, disk.directory / "hub.sqlite", totals, rng, disk), fill, free)
    finally:
        disk.close()


def run_full(what, stage, fill, free):
    try:
        stage.wait_for_more("acknowledged", 50, f"{what}, before")
        stage.filler.is_filling = True
        fill()
        refused = stage.refusals()
        stage.wait(f"{what}: refusals", lambda: stage.refusals() >= refused + 20)
        stage.check_readers(what)
        stage.filler.is_filling = False
        free()
        stage.wait_for_more("acknowledged", 100, f"{what}, with room again")
        stage.wait_for_more("events received", 100, f"{what}, with room again")
        stage.check_readers(f"{what}, with room again")
        stage.rest()
        stage.check_restart()
        stage.totals.count("disks filled")
    finally:
        stage.hub.kill()


ERRORS = [
    ("writes fail", {"failing_writes": ALL, "write_error": errno.EIO}),
    ("writes fail midway", {"failing_writes": ALL, "write_error": errno.EIO, "torn_writes": 1}),
    ("some writes fail", {"failing_writes": 3, "write_error": errno.ENOSPC, "torn_writes": 1}),
    ("the disk has become read-only", {"failing_writes": ALL, "failing_opens": ALL, "write_error": errno.EROFS}),
    ("writes are short", {"failing_writes": ALL, "write_error": errno.EIO, "torn_writes": 2}),
    ("reads fail", {"failing_reads": ALL}),
    ("one sync fails", {"failing_syncs": 1}),
    ("syncs fail", {"failing_syncs": ALL}),
]


def errors(options, totals, rng):
    for what, controls in ERRORS:
        disk = Disk()
        stage = Stage(options, disk.directory / "hub.sqlite", totals, rng, disk)
        try:
            stage.wait_for_more("acknowledged", 200, f"{what}, before")
            refused = stage.refusals()
            for name, value in sorted(controls.items(), key=lambda one: one[0].startswith("failing")):
                setattr(disk, name, value)
            time.sleep(0.5)
            stage.check_readers(what)
            totals.count(f"refusals while {what}", stage.refusals() - refused)
            for name in controls:
                setattr(disk, name, 0)
            stage.wait_for_more("acknowledged", 100, f"{what}, afterwards")
            stage.check_readers(f"{what}, afterwards")
            stage.rest()
            stage.check_restart()
        finally:
            stage.hub.kill()
            disk.close()


def read_only(options, totals, rng):
    with tempfile.TemporaryDirectory(prefix="plinth-disk-") as scratch:
        refused_starts(options, totals, pathlib.Path(scratch))
    with mounted("16m") as directory:
        if not directory:
            return totals.count("file systems that could not be mounted")
        stage = Stage(options, directory / "hub.sqlite", totals, rng)
        stage.wait_for_more("acknowledged", 200, "a file system before it is read-only")
        stage.rest()
        stage.end()
        subprocess.run(["mount", "-o", "remount,ro", directory], check=True)
        try:
            stage.begin()
        except Died as died:
            check_refusal("a read-only file system", died, directory / "hub.sqlite", totals)
        else:
            # The next best: it serves what it has.
            acknowledged = stage.counts["acknowledged"]
            refused = stage.refusals()
            stage.wait("a read-only file system: refusals", lambda: stage.refusals() > refused + 10)
            if stage.counts["acknowledged"] != acknowledged:
                totals.fail("events were acknowledged on a read-only file system", "what should not happen")
            stage.rest()
            stage.hub.kill()
            totals.count("starts on a read-only file system that serve")
        subprocess.run(["mount", "-o", "remount,rw", directory], check=True)
        stage.begin()
        stage.wait_for_more("acknowledged", 50, "a file system that can be written again")
        stage.rest()
        stage.end()


def check_refusal(what, died, path, totals):
    """A refused start names the file, and is no crash."""
    if died.status <= 0 or str(path.name) not in died.output:
        totals.fail(f"{what}: {died}", "refusals that do not help")
    if "Fatal error" in died.output or len(died.output.strip().split("\n")) > 10:
        totals.fail(f"{what}: {died}", "refusals that do not help")
    print(f"{what}: {died}", flush=True)
    totals.count("refused starts")


def refused_starts(options, totals, scratch):
    """Files that are not a hub's own must be refused, and not be changed."""
    text, other, folder = scratch / "text.sqlite", scratch / "other.sqlite", scratch / "folder.sqlite"
    text.write_text("This is a text, and somebody needs it.\n" * 100)
    folder.mkdir()
    with contextlib.closing(sqlite3.connect(other)) as database:
        database.execute("PRAGMA application_id = 12345")
        database.execute("CREATE TABLE precious (data)")
        database.execute("INSERT INTO precious VALUES ('kept')")
        database.commit()
    for what, path in (("a text", text), ("another application's database", other), ("a directory", folder),
                       ("a missing directory", scratch / "missing" / "hub.sqlite")):
        before = path.read_bytes() if path.is_file() else None
        try:
            HistoryHub(options.plinth, path).kill()
            totals.fail(f"{what} was taken as a history", "what should not happen")
        except Died as died:
            check_refusal(what, died, path, totals)
        if before is not None and path.read_bytes() != before:
            totals.fail(f"{what} was changed", "what should not happen")
    with contextlib.closing(sqlite3.connect(other)) as database:
        if database.execute("SELECT data FROM precious").fetchall() != [("kept",)]:
            totals.fail("another application's database was changed", "what should not happen")


def slow(options, totals, rng):
    disk = Disk()
    stage = Stage(options, disk.directory / "hub.sqlite", totals, rng, disk)
    try:
        stage.wait_for_more("acknowledged", 500, "a disk before it is slow")
        before = count_for(stage, 2)
        disk.sync_micros = 200_000
        time.sleep(0.5)
        during = count_for(stage, 3)
        print(f"as usual: {before}; with 200 ms for each sync: {during}", flush=True)
        # A second has room for 5 syncs; two files might be synced at a time.
        if not 0 < during["syncs"] <= 10 * during["seconds"] + 2:
            totals.fail(f"{during}", "a slow disk that is not slow")
        if during["reads"] < 5 * during["syncs"]:
            totals.fail(f"{during}", "reads that wait for syncs")
        if not 0 < during["acknowledged"] / during["seconds"] < before["acknowledged"] / before["seconds"]:
            totals.fail(f"{before}, {during}", "publishing that does not wait for syncs")
        if during["received"] < during["acknowledged"] / 2:
            totals.fail(f"{during}", "delivery that waits")
        stage.check_readers("a slow disk")
        disk.sync_micros = 0
        stage.rest()
        stage.check_restart()
    finally:
        stage.hub.kill()
        disk.close()


def count_for(stage, seconds):
    """What happens in some seconds, in which one client reads all it can."""
    names = {"acknowledged": "acknowledged", "received": "events received"}
    before = {name: stage.counts[full] for name, full in names.items()}
    syncs, reads, client = stage.disk.syncs, 0, Client(stage.hub)
    begin = time.monotonic()
    while time.monotonic() < begin + seconds:
        # The topic is in memory or not; either way no sync is needed.
        status, _, answer = client.call("GET", "/topics?match=**&wait=0&last-event-id=earliest")
        if status != 200 or not answer["events"]:
            stage.totals.fail(f"{status}", "reads that failed")
        reads += 1
    found = {name: stage.counts[full] - before[name] for name, full in names.items()}
    elapsed = round(time.monotonic() - begin, 1)
    return {**found, "reads": reads, "syncs": stage.disk.syncs - syncs, "seconds": elapsed}


def damaged(options, totals, rng):
    damage.run(options, totals, rng)


PARTS = {"full": full, "errors": errors, "read-only": read_only, "slow": slow, "damage": damaged}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plinth", required=True, help="the program")
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--trials", type=int, default=100, help="files that are damaged")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--verbose", action="store_true", help="say what each damaged file led to")
    parser.add_argument("--keep", help="a directory for damaged files with which something failed")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    totals = Totals()
    for name, part in PARTS.items():
        if options.only in (None, name):
            print(name, flush=True)
            try:
                part(options, totals, random.Random(f"{options.seed}/{name}"))
            except Exception as error:
                # Such as no answer, as the hub is gone.
                totals.fail(f"{name}: {type(error).__name__} {error}", "parts that broke off")
    return totals.report()


if __name__ == "__main__":
    sys.exit(main())
