# SPDX-License-Identifier: Apache-2.0
"""Checks the power cuts and faults of `disk.c` and `wreck.py` themselves, with SQLite alone.

With synchronous=FULL everything acknowledged must be there after each power cut, and the database sound. With NORMAL
something must get lost, and the database be sound. With OFF it must be found corrupt, else the power cuts are harmless.
Each fault must be the error that SQLite makes of it.
"""

import collections
import errno
import random
import subprocess
import sys

import sqlitewriter
import wreck
from shim import ALL, Disk

CUTS_OF_A_FILE = 15


def write(disk, synchronous, rng):
    """Lets the writer write until it is stopped; the numbers that it acknowledged, its errors, and how it ended."""
    command = [sys.executable, sqlitewriter.__file__, disk.directory / "data.sqlite", synchronous, str(rng.random())]
    process = subprocess.run(
        command, env=disk.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
        timeout=60,
    )
    lines = process.stdout.split("\n")[:-1]
    numbers = [int(line) for line in lines if line.isdigit()]
    return numbers, {line for line in lines if not line.isdigit()}, process


def cut(disk, synchronous, rng):
    """Lets the writer write until a power cut."""
    disk.reset()
    before = wreck.Wreck.contents(disk.directory)
    # Early ones meet the recovery, and the making of the file.
    disk.stop_at = int(2 ** rng.uniform(0, 10))
    numbers, errors, process = write(disk, synchronous, rng)
    contents, kind = wreck.Wreck(before).replay(disk.journal, disk.directory).after_cut(rng)
    wreck.write(disk.directory, contents, rng)
    return max(numbers, default=0), kind, process, errors


def check(path, acknowledged):
    """Checks a copy, as looking changes the files."""
    scratch = path.parent.parent / "looked-at"
    scratch.mkdir(exist_ok=True)
    wreck.write(scratch, {name: content for name, (_, content) in wreck.Wreck.contents(path.parent).items()})
    return sqlitewriter.check(scratch / path.name, acknowledged)


def cuts(disk, synchronous, rounds, rng, totals):
    """How often each kind of wrong was found."""
    found = collections.Counter()
    acknowledged = age = 0
    for number in range(rounds):
        if age == 0:
            wreck.write(disk.directory, {})
            acknowledged = 0
        last, kind, process, errors = cut(disk, synchronous, rng)
        acknowledged = max(acknowledged, last)
        totals.count(f"{synchronous} cuts")
        if process.returncode == -9 and not errors:
            wrong, last = check(disk.directory / "data.sqlite", acknowledged)
        else:
            text = f"the writer ended with {process.returncode}: {errors} {process.stderr[-300:]}"
            wrong, last = [("corrupt", text)], 0
        for what, text in wrong:
            found[what] += 1
            totals.count(f"{synchronous} {what}")
            if synchronous == "FULL" or (synchronous == "NORMAL" and what != "lost"):
                totals.fail(f"{synchronous}, round {number}, {kind}: {what}: {text}")
        # Of a database that lost something, the acknowledgements begin anew.
        acknowledged = last
        age = 0 if any(what != "lost" for what, _ in wrong) or age == CUTS_OF_A_FILE else age + 1
    return found


FAULTS = [
    ({"failing_syncs": ALL}, {"disk I/O error"}),
    ({"failing_writes": ALL, "write_error": errno.ENOSPC}, {"database or disk is full"}),
    ({"failing_writes": ALL, "write_error": errno.EIO, "torn_writes": 1}, {"disk I/O error"}),
    ({"has_room": 1, "room": 20_000}, {"database or disk is full"}),
    # It goes on with the rest.
    ({"failing_writes": ALL, "torn_writes": 2, "write_error": errno.EIO}, set()),
    ({"sync_micros": 2000}, set()),
]


def faults(disk, rng, totals):
    for controls, wanted in FAULTS:
        wreck.write(disk.directory, {})
        disk.reset()
        disk.stop_at = 60
        write(disk, "FULL", rng)
        disk.reset()
        for name, value in controls.items():
            setattr(disk, name, value)
        disk.stop_at = 500
        numbers, errors, process = write(disk, "FULL", rng)
        if errors != wanted or process.returncode != -9 or (not numbers and not wanted):
            totals.fail(f"{controls}: {errors}, {len(numbers)} transactions, {process.returncode} {process.stderr}")
        totals.count("faults tried")


def run(rounds, seed, totals):
    disk = Disk()
    found = {}
    try:
        faults(disk, random.Random(f"{seed}/faults"), totals)
        for synchronous in ("FULL", "NORMAL", "OFF"):
            found[synchronous] = cuts(disk, synchronous, rounds, random.Random(f"{seed}/{synchronous}"), totals)
    finally:
        disk.close()
    for synchronous, what in (("NORMAL", "lost"), ("OFF", "corrupt")):
        if rounds >= 100 and not found[synchronous][what]:
            totals.fail(f"with {synchronous}, nothing was {what}: the power cuts are too kind")
