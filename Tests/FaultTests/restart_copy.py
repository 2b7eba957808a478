# SPDX-License-Identifier: Apache-2.0
"""The commands of the article about back-ups, as restart.py uses them; and copies that are interrupted."""

import os
import pathlib
import shlex
import signal
import sqlite3
import subprocess
import threading
import time

ARTICLE = (pathlib.Path(__file__).resolve().parents[2] / "Sources" / "PlinthSQLite" / "PlinthSQLite.docc" /
           "BackingUp.md")
PATIENCE = 60  # Seconds for a copy.


def commands(start):
    """The article's block that begins with this, without the start of the hub."""
    blocks = [part.split("```", 1)[0] for part in ARTICLE.read_text().split("```sh\n")[1:]]
    found = [block for block in blocks if block.startswith(start)]
    if len(found) != 1:
        raise SystemExit(f"{ARTICLE.name} has {len(found)} blocks that begin with {start!r}")
    return "".join(line for line in found[0].splitlines(True) if not line.startswith("plinth serve"))


class Copier:
    """Copies the history of a running hub."""

    def __init__(self, hub, totals, folder):
        self.hub, self.totals, self.folder = hub, totals, folder
        self.arguments = shlex.split(commands("plinth history copy"))[1:]
        self.interrupted = 0
        self.seconds = 0  # For which the last complete copy was being made, without the start of the process.

    def start(self, *arguments):
        process = subprocess.Popen(
            [os.path.abspath(self.hub.program), *arguments], cwd=self.folder,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        # One that hangs must not stop the script.
        guard = threading.Timer(PATIENCE, process.kill)
        guard.daemon = True
        guard.start()
        return process

    def path(self, name):
        return os.path.join(self.folder, name)

    def wait_for_part(self, process, target):
        """Waits until the process has begun to write the copy, under whichever name, or has ended."""
        names = [self.path(f"{target}-partial"), self.path(target)]
        while not any(os.path.exists(name) for name in names) and process.poll() is None:
            time.sleep(0.001)

    def copy(self, target):
        before, begin = self.totals.counts["acknowledged"], time.monotonic()
        process = self.start(*self.arguments[:-1], target)
        self.wait_for_part(process, target)
        middle = time.monotonic()
        said = process.communicate()[0]
        end = time.monotonic()
        if process.returncode != 0:
            raise SystemExit(f"the copy ended with {process.returncode}: {said}")
        self.seconds = end - middle
        self.totals.count("copies")
        self.totals.count("acknowledged while it is copied", self.totals.counts["acknowledged"] - before)
        name = "ms for the slowest copy"
        self.totals.counts[name] = max(self.totals.counts[name], round((end - begin) * 1000))
        for name in ("-partial", "-wal", "-journal"):
            # A check leaves an empty log.
            if os.path.exists(path := self.path(target + name)) and (name == "-partial" or os.path.getsize(path) > 0):
                self.totals.fail(f"{target}{name} is there after the copy", "files beside copies")

    def interrupt(self, rng, count):
        """Stops a copy at any moment: under its name is nothing, or all of it, with at least a number of events."""
        self.interrupted += 1
        target, totals = f"interrupted-{self.interrupted}.sqlite", self.totals
        process = self.start(*self.arguments[:-1], target)
        if rng.random() < 0.8:
            self.wait_for_part(process, target)
            time.sleep(rng.uniform(0, 0.7 * self.seconds))
        else:
            time.sleep(rng.uniform(0, 0.1))
        number = rng.choice([signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGKILL])
        process.send_signal(number)
        said = process.communicate()[0]
        status = process.returncode
        told = f"the copy ended with {status} after {number.name}: {said!r}"
        is_there, is_part = (os.path.exists(self.path(name)) for name in (target, f"{target}-partial"))
        totals.count(f"copies that {'were complete before' if is_there else 'were stopped by'} {number.name}")
        if is_there:
            self.check_whole(target, count, told)
        elif status == 0:
            totals.fail(f"there is no copy, but {told}", "copies that are interrupted")
        if number == signal.SIGKILL and is_part:
            totals.count("parts of copies left by SIGKILL")
            # The next copy removes it.
            self.copy(target)
        elif is_part:
            totals.fail(f"a part is left: {told}", "copies that are interrupted")
        # At its very start it has no say in how it ends.
        if status not in (0, 128 + number, -number):
            totals.fail(told, "copies that are interrupted")
        for name in os.listdir(self.folder):
            if name.startswith(target):
                os.remove(self.path(name))

    def check(self, target):
        *arguments, _ = shlex.split(commands("plinth history check"))[1:]
        process = self.start(*arguments, target)
        said = process.communicate()[0]
        if process.returncode != 0:
            self.totals.fail(f"the check of {target} ended with {process.returncode}: {said}", "damaged copies")

    def check_whole(self, target, count, told):
        events = 0
        try:
            database = sqlite3.connect(f"file:{self.path(target)}?immutable=1", uri=True)
            said = database.execute("PRAGMA integrity_check").fetchall()
            events = database.execute("SELECT count(*) FROM plinth_entry").fetchone()[0]
            database.close()
        except sqlite3.Error as error:
            said = str(error)
        if said != [("ok",)] or events < count:
            what = f"{target} has {events} of at least {count} events, {said[:200]}; {told}"
            self.totals.fail(what, "copies in part")

    def put_back(self):
        """Does what the article says to restore a copy, but for the start of the hub."""
        subprocess.run(["sh", "-e", "-c", commands("mv ")], cwd=self.folder, check=True, timeout=PATIENCE)
