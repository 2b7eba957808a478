# SPDX-License-Identifier: Apache-2.0
"""A part of restart.py: the hub's next process is started while the last one runs, and takes over when it ends."""

import random
import select
import signal
import subprocess
import time

from crash import wait

PATIENCE = 20  # Seconds that `plinth serve` waits for a file.


def run(load, folder, options):
    rng = random.Random(f"{options.seed}/takeover")
    end = time.monotonic() + options.seconds
    refused = rng.randrange(max(1, options.rounds))
    for index in range(options.rounds):
        if time.monotonic() > end:
            break
        wait(load.hub, rng.uniform(0.1, 0.8))
        if index == refused:
            refuse(load)
        take_over(load, rng)
    # The last one may have just begun.
    wait(load.hub, 0.5)
    load.finish()


def take_over(load, rng):
    hub, totals = load.hub, load.totals
    first = hub.process
    if rng.random() < 0.2:
        leave_waiting(hub, rng, totals)
    with load.shared.no_kill:
        begin = time.monotonic()
        if rng.random() < 0.3:
            # The second one comes while the first is ending.
            first.terminate()
            time.sleep(rng.uniform(0, 0.05))
            hub.launch()
        else:
            hub.launch()
            must_wait(hub.process, rng.uniform(0, 1), totals)
            if first.poll() is not None:
                totals.fail(f"the first process ended with {first.returncode} when a second one was started")
            begin = time.monotonic()
            first.terminate()
        try:
            hub.wait_until_listening()
            took = time.monotonic() - begin
            check_left(first, totals)
        finally:
            first.kill()
        check_owner(hub, totals)
    totals.count("takeovers")
    totals.counts["ms for the slowest takeover"] = max(totals.counts["ms for the slowest takeover"], round(took * 1000))


def must_wait(second, seconds, totals):
    """Checks that a process says nothing for a time, and does not end."""
    if select.select([second.stdout], [], [], seconds)[0]:
        totals.fail(f"a second process did not wait, but said {second.stdout.readline()!r}", "second processes")


def leave_waiting(hub, rng, totals):
    """Ends a process that waits, which must not matter."""
    with hub.spawn() as second:
        must_wait(second, rng.uniform(0, 0.3), totals)
        second.send_signal(rng.choice([signal.SIGKILL, signal.SIGTERM]))
    totals.count("processes killed while they wait")


def check_left(first, totals):
    """The next process listens: the first one has closed the file, and has nothing left to do but to end."""
    totals.count("first processes that were ending when the second listened", first.poll() is None)
    try:
        status = first.wait(5)
    except subprocess.TimeoutExpired:
        return totals.fail("the first process was there for 5 s after the second one listened", "first processes")
    if status != 0:
        totals.fail(f"the first process ended with {status} after SIGTERM", "first processes")


def check_owner(hub, totals):
    """The lock names the process that has the file."""
    with open(hub.options[-1] + "-lock") as lock:
        owner = lock.read().strip()
    if owner != str(hub.process.pid):
        totals.fail(f"the lock names {owner!r}, and {hub.process.pid} has the file", "locks of others")


def refuse(load):
    """Starts a second process while the first stays: it gives up in time, says why, and does no harm."""
    hub, totals = load.hub, load.totals
    before, begin = totals.counts["acknowledged"], time.monotonic()
    second = hub.spawn()
    try:
        said = second.communicate(timeout=3 * PATIENCE)[0]
    except subprocess.TimeoutExpired:
        second.kill()
        said = second.communicate()[0]
        return totals.fail(f"a second process still waited after {3 * PATIENCE} s: {said!r}")
    took, acknowledged = time.monotonic() - begin, totals.counts["acknowledged"] - before
    totals.counts["ms until a second process gave up"] = round(took * 1000)
    totals.count("acknowledged meanwhile", acknowledged)
    if second.returncode != 1 or f"process {hub.process.pid} " not in said or hub.options[-1] not in said:
        totals.fail(f"a second process ended with {second.returncode}, said {said!r}, and {hub.process.pid} is there")
    if not PATIENCE - 1 <= took <= 2 * PATIENCE:
        totals.fail(f"a second process gave up after {took:.1f} s")
    if hub.process.poll() is not None or acknowledged == 0:
        totals.fail(f"the first process was harmed: status {hub.process.poll()}, {acknowledged} events meanwhile")
    check_owner(hub, totals)
