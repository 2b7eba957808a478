# SPDX-License-Identifier: Apache-2.0
"""Builds and controls `disk.c`, and starts a hub above it, for the scripts beside this file."""

import contextlib
import mmap
import os
import pathlib
import re
import shutil
import struct
import subprocess
import tempfile
import threading
import time

from hub import Hub

FIELDS = ["operations", "stop_at", "sync_micros", "failing_syncs", "failing_writes", "write_error", "torn_writes",
          "failing_opens", "has_room", "room", "syncs", "failed_syncs", "failed_writes", "failing_reads"]
ALL = (1 << 64) - 1


class Disk:
    """A directory below which `disk.c` lies, its controls as attributes, and the journal of its changes.

    `disk.failing_syncs = ALL` takes effect at once.
    """

    def __init__(self):
        self.__dict__["scratch"] = pathlib.Path(tempfile.mkdtemp(prefix="plinth-disk-"))
        self.__dict__["directory"] = self.scratch / "data"
        self.__dict__["journal"] = self.scratch / "journal"
        self.directory.mkdir()
        library = self.scratch / "disk.so"
        source = pathlib.Path(__file__).with_name("disk.c")
        subprocess.run(
            ["cc", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-fPIC", "-shared", "-o", library, source, "-ldl",
             "-pthread"], check=True,
        )
        control = self.scratch / "control"
        control.write_bytes(bytes(8 * len(FIELDS)))
        with control.open("r+b") as file:
            self.__dict__["_control"] = mmap.mmap(file.fileno(), 8 * len(FIELDS))
        self.__dict__["environment"] = {
            "LD_PRELOAD": str(library), "FAULTY_DISK": str(self.directory), "FAULTY_DISK_CONTROL": str(control),
            "FAULTY_DISK_JOURNAL": str(self.journal),
        }

    def __getattr__(self, name):
        if name not in FIELDS:
            raise AttributeError(name)
        return struct.unpack_from("=Q", self._control, 8 * FIELDS.index(name))[0]

    def __setattr__(self, name, value):
        struct.pack_into("=Q", self._control, 8 * FIELDS.index(name), value)

    def reset(self):
        """A sound disk with an empty journal."""
        self._control[:] = bytes(8 * len(FIELDS))
        with contextlib.suppress(FileNotFoundError):
            self.journal.unlink()

    def close(self):
        shutil.rmtree(self.scratch, ignore_errors=True)


class Died(Exception):
    """The program ended before it said where it listens; `status` is its exit status, `output` what it said."""

    def __init__(self, status, output):
        super().__init__(f"status {status}: {output.strip()}")
        self.status, self.output = status, output


class HistoryHub(Hub):
    """A hub with its history in a file, perhaps above a `Disk`."""

    def __init__(self, program, path, disk=None, sync="full", options=(), limits=Hub.OPTIONS, timeout=30):
        # Not the initializer of Hub, which gives up the process with the hub.
        self.output = []
        self.process = subprocess.Popen(
            [program, "serve", "--port", "0", "--log-level", "warning", "--history", str(path), "--history-sync", sync,
             *limits, *options],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            env={**os.environ, **(disk.environment if disk else {})},
        )
        alarm = threading.Timer(timeout, self.process.kill)
        alarm.start()
        begun = time.monotonic()
        while line := self.process.stdout.readline():
            self.output.append(line)
            match = re.search(r"http://127\.0\.0\.1:(\d+)", line)
            if match:
                break
        alarm.cancel()
        if not line:
            status = self.process.wait()
            hung = "" if time.monotonic() - begun < timeout else f"did not start within {timeout} s: "
            raise Died(status, hung + "".join(self.output))
        self.port = int(match.group(1))
        self.drainer = threading.Thread(target=self._keep, daemon=True)
        self.drainer.start()

    def _keep(self):
        for line in self.process.stdout:
            self.output.append(line)

    def said(self):
        """The last of what it said; of a crash, the reason and the innermost calls."""
        text = "".join(self.output)
        reason = re.search(r"(Fatal error|\*\*\* .*failure): .*", text)
        calls = re.search(r"crashed:\n\n((?:.*\n){6})", text)
        return "\n".join(one.group(0) for one in (reason, calls) if one) or text[-600:]
