#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Replaces a hub that keeps its history in a file while it is used: by its next process, and by a copy of its file.

    Tests/FaultTests/restart.py --plinth PROGRAM [--part both|takeover|restore] [--rounds 10] [--restores 2]
                                [--seconds 120] [--seed NUMBER] [--rate 1000]

All the time publishers send plain events, events with keys, with producer's numbers, and streamed uploads; others end
topics; and subscribers read, and resume after their last ID.

takeover: --rounds times a second process is started on the same file and port. It waits for the file. Then the first
gets SIGTERM, ends with 0, and the second takes over; sometimes the second is started after the SIGTERM, and some that
wait are killed. Checked is what crash.py checks: nothing acknowledged is lost or doubled, nobody is told of a gap, and
no ID stands for two events. Once the first stays: the second must give up after 20 s with the status 1, and name the
first, which goes on.

restore: --restores times the file is copied and the copy put back, with the commands of the article "Backing up,
restoring and upgrading", read from there. A hub of its own reads the copy: what was acknowledged before the copy began
must be there under the same IDs, repetitions must be recognised, and ended topics must be ended. It also reads a copy
that is made without `plinth` after the hub was stopped or killed. After the copy was put back, whoever is ahead of it
must be told of a gap, and nobody else; producers must be told the number that the copy knows; no ID may be given again;
and publishing goes on. Copies that are interrupted must leave nothing under the name of the copy.

--rate is in events a second, all publishers together. No round begins after --seconds. The files of a run that failed
are kept. The last line has the totals; the status is 1 if anything failed.
"""

import os
import shutil
import sys
import tempfile
import traceback

import restart_restore
import restart_takeover
from crash import KEYS, check_file
from hub import Hub, Totals, free_port, options as parse
from restart_load import Load

PARTS = {"takeover": restart_takeover.run, "restore": restart_restore.run}


def attempt(part, totals, options):
    folder = tempfile.mkdtemp(prefix=f"plinth-restart-{part}-")
    file = os.path.join(folder, "hub.sqlite")
    failures = len(totals.failures)
    hub = load = None
    try:
        hub = Hub(options.plinth, free_port(), [*Hub.OPTIONS, *KEYS, "--history", file])
        load = Load(hub, totals, options)
        PARTS[part](load, folder, options)
        totals.count(f"acknowledged a second in the part {part}", load.rate)
        if (status := hub.close()) != 0:
            totals.fail(f"plinth ended with {status} after SIGTERM")
        check_file(file, totals)
    except SystemExit as error:
        # It did not start, or ended by itself.
        totals.fail(str(error))
    except Exception as error:
        traceback.print_exc()
        totals.fail(f"{type(error).__name__} {error}")
    finally:
        if load is not None:
            load.abandon()
        if hub is not None:
            hub.process.kill()
        if len(totals.failures) > failures:
            print(f"the files are kept in {folder}", flush=True)
        else:
            shutil.rmtree(folder)


def main():
    options = parse(__doc__, seconds=120.0, part="both", rounds=10, restores=2, rate=1000.0)
    parts = list(PARTS) if options.part == "both" else [options.part]
    if not set(parts) <= set(PARTS):
        raise SystemExit(f"--part is {options.part}, but must be both, {' or '.join(PARTS)}")
    totals = Totals()
    for part in parts:
        attempt(part, totals, options)
    return totals.report()


if __name__ == "__main__":
    sys.exit(main())
