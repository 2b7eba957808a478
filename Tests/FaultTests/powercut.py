#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Cuts the power of a hub that keeps its history in a file, again and again, and checks what is there after each start.

    Tests/FaultTests/powercut.py --plinth PROGRAM [--setting full|normal] [--rounds 200] [--seed NUMBER] [--keep FOLDER]
    Tests/FaultTests/powercut.py --self-test [--rounds 200] [--seed NUMBER]

The power cut is that of `wreck.py`: of what was not synced, any part survives. Publishers and subscribers go on over up
to 25 power cuts of one file; some of them come while the hub starts, or right after it has ended. In some rounds syncs
begin to fail before the cut, and in some an old copy of the file is put back.

With --setting full, each acknowledged event must be there once, in the order of its publisher; what is sent again must
be there once; a subscriber that resumes must miss nothing, and be told of no gap; an ended topic must be ended. With
normal, and after an old copy was put back, what is at the end may be lost, but no ID may be given twice, every
subscriber that has received something that is lost must be told of a gap, and what is there must be whole. What a
failed sync left may be lost with normal only. In half of the files the hub also removes events; there a subscriber may
be told of a gap needlessly.

In each round some earlier power cuts are looked at, too, as far as SQLite's own check goes: the file must be sound.

With --keep, the files that a failure was found in are kept. The last line has the totals; the status is 1 if anything
failed. The self-test checks the power cuts themselves, with SQLite alone.
"""

import argparse
import contextlib
import pathlib
import random
import signal
import sqlite3
import subprocess
import sys
import time

import powercut_publishers
import powercut_readers
import selftest
import wreck
from client import Ledger, Lost
from hub import Totals
from shim import ALL, Died, Disk, HistoryHub

DATABASE = "hub.sqlite"
ROUNDS_OF_A_FILE = 25
EARLIER_CUTS = 4  # In each round.
FAILED_ROUNDS = 5  # After so many, nothing new is learnt.


class Life:
    """A file from its making, over many power cuts."""

    def __init__(self, options, disk, totals, rng):
        self.options, self.disk, self.totals, self.rng = options, disk, totals, rng
        self.shared = powercut_publishers.Shared(Ledger(totals), totals, rng.random())
        self.shared.is_bulky = rng.random() < 0.4
        are_removing = rng.random() < 0.5
        self.publishers = powercut_publishers.publishers(self.shared, are_removing)
        self.readers = powercut_readers.readers(self.shared, are_removing)
        self.may_lose = False  # Since the last time that everything was compared.
        self.copy = None
        self.work_since_copy = 0
        self.story = []  # What happened in each round, for a failure.
        wreck.write(disk.directory, {})

    def round(self):
        self.put_back_or_copy()
        disk, rng = self.disk, self.rng
        disk.reset()
        disk.sync_micros = rng.choice([0, 0, 200, 3000])
        self.story.append([])
        before = wreck.Wreck.contents(disk.directory)
        is_early = rng.random() < 0.12
        if is_early:
            disk.stop_at = int(2 ** rng.uniform(0, 7))
        is_closed = syncs_fail = False
        hub = None
        try:
            hub = HistoryHub(self.options.plinth, disk.directory / DATABASE, disk, self.options.setting)
            powercut_readers.compare(hub, self.shared, self.readers + self.publishers, not self.may_lose)
            self.may_lose = False
            is_closed, syncs_fail = self.work(hub)
        except (Lost, Died) as error:
            status = error.status if isinstance(error, Died) else hub.process.wait(10)
            if not is_early or status != -signal.SIGKILL:
                said = str(error) if isinstance(error, Died) else f"status {status}: {hub.said()}"
                self.totals.fail(said, "hubs that do not start or ended")
            self.totals.count("cuts while starting")
            self.tell("cut while it starts")
        finally:
            if hub:
                hub.kill()
        followed = wreck.Wreck(before).replay(disk.journal, disk.directory)
        for _ in range(EARLIER_CUTS):
            self.check_earlier(before, rng.randint(0, followed.last))
        contents, kind = followed.after_cut(rng)
        wreck.write(disk.directory, contents, rng)
        self.totals.count(f"cuts leaving {kind}")
        self.tell(f"after {disk.operations} operations and {disk.syncs} syncs, leaving {kind}")
        if self.options.setting == "normal" and (syncs_fail or not (is_closed or kind == "all")):
            self.may_lose = True

    def check_earlier(self, before, until):
        """Checks what an earlier power cut would have left, as far as SQLite itself can tell."""
        earlier = wreck.Wreck(before).replay(self.disk.journal, self.disk.directory, until)
        contents, kind = earlier.after_cut(self.rng)
        scratch = self.disk.scratch / "earlier"
        scratch.mkdir(exist_ok=True)
        wreck.write(scratch, contents)
        if DATABASE not in contents:
            return
        self.totals.count("earlier cuts checked")
        try:
            with contextlib.closing(sqlite3.connect(scratch / DATABASE)) as database:
                found = database.execute("PRAGMA integrity_check").fetchmany(3)
        except sqlite3.Error as error:
            found = str(error)
        if found != [("ok",)]:
            self.tell(f"a cut after {until} operations, leaving {kind}, damages the file")
            self.totals.fail(f"after {until} of {self.disk.operations} operations, leaving {kind}: {found}",
                             "files damaged by an earlier cut")
            if self.options.keep:
                keep(contents, self.options, f"earlier-{len(self.totals.failures)}")

    def tell(self, what):
        self.story[-1].append(what)

    def put_back_or_copy(self):
        if self.copy is None:
            if self.rng.random() < 0.1:
                self.copy, self.work_since_copy = wreck.Wreck.contents(self.disk.directory), 0
        elif self.work_since_copy > 0 and self.rng.random() < 0.3:
            wreck.write(self.disk.directory, {name: content for name, (_, content) in self.copy.items()}, self.rng)
            self.copy, self.may_lose = None, True
            self.story.append(["an old copy put back"])
            self.totals.count("copies put back")

    def work(self, hub):
        """Lets all work, until the power cut; whether the hub was closed before, and whether syncs failed."""
        disk, rng, shared = self.disk, self.rng, self.shared
        way = rng.choices(["operation", "time", "close"], [7, 2, 1])[0]
        syncs_fail = rng.random() < 0.15
        shared.is_over.clear()
        shared.may_refuse = syncs_fail or way == "close"
        if way == "operation" and not disk.stop_at and not syncs_fail:
            disk.stop_at = disk.operations + int(2 ** rng.uniform(0, 11))
        threads = powercut_readers.start(self.readers + self.publishers, hub)
        patience = rng.uniform(0.05, 0.4)
        if syncs_fail:
            time.sleep(rng.uniform(0, 0.1))
            failing = rng.choice([1, 1, 1, 2, 5, ALL])
            # The cut may meet the attempts to repair, and what is published after.
            patience *= rng.choice([1, 5])
            if way == "operation" and not disk.stop_at:
                disk.stop_at = disk.operations + int(2 ** rng.uniform(0, 10))
            disk.failing_syncs = failing
            self.totals.count("rounds with failing syncs")
            self.tell(f"{'all' if failing == ALL else failing} failing syncs after {disk.operations} operations")
        try:
            hub.process.wait(patience)
        except subprocess.TimeoutExpired:
            if way == "close":
                hub.process.terminate()
                self.wait(hub, 0)
            else:
                hub.process.kill()
        shared.is_over.set()
        if way != "close":
            self.wait(hub, -signal.SIGKILL)
        for thread in threads:
            thread.join(30)
            if thread.is_alive():
                self.totals.fail(thread.name, "threads that do not end")
        self.work_since_copy += 1
        self.tell("cut while working" if way != "close" else "ended")
        self.totals.count("cuts while working" if way != "close" else "cuts after the end")
        return way == "close" and hub.process.returncode == 0, syncs_fail

    def wait(self, hub, wanted):
        try:
            status = hub.process.wait(30)
        except subprocess.TimeoutExpired:
            hub.kill()
            status = "not within 30 s"
        # A power cut may come before the hub has ended.
        if status not in (wanted, -signal.SIGKILL if self.disk.stop_at else wanted):
            self.totals.fail(f"status {status}: {hub.said()}", "hubs that do not start or ended")


def keep(contents, options, number):
    """Keeps files for a look at them."""
    target = pathlib.Path(options.keep) / f"{options.seed}-{number}"
    target.mkdir(parents=True, exist_ok=True)
    wreck.write(target, contents)
    print(f"kept {target}", flush=True)


def spoiling(totals):
    """How many failures there were after which the same file would only fail again."""
    return len(totals.failures) - totals.kinds["denied events"]


def run(options, totals):
    disk, life = Disk(), None
    slowest = failed = 0
    try:
        for number in range(options.rounds):
            if life is None or number % ROUNDS_OF_A_FILE == 0:
                life = Life(options, disk, totals, random.Random(f"{options.seed}/{options.setting}/{number}"))
            before, failures = wreck.Wreck.contents(disk.directory), spoiling(totals)
            begin = time.monotonic()
            life.round()
            slowest = max(slowest, time.monotonic() - begin)
            if spoiling(totals) > failures:
                print(f"the failures above are of round {number}; the file's rounds:", flush=True)
                print("".join(f"    {', '.join(part)}\n" for part in life.story), end="", flush=True)
                if options.keep:
                    # As they were before this round.
                    keep({name: content for name, (_, content) in before.items()}, options, number)
                life, failed = None, failed + 1
            if failed == FAILED_ROUNDS:
                break
        totals.counts["ms for the slowest round"] = round(slowest * 1000)
    finally:
        disk.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plinth", help="the program")
    parser.add_argument("--setting", choices=["full", "normal"], default="full")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--keep", help="a directory for the files of rounds that fail")
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    totals = Totals()
    if options.self_test:
        selftest.run(options.rounds, options.seed, totals)
    elif options.plinth:
        run(options, totals)
    else:
        parser.error("--plinth or --self-test is required")
    return totals.report()


if __name__ == "__main__":
    sys.exit(main())
