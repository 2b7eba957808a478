# SPDX-License-Identifier: Apache-2.0
"""A subscriber that outlives its hub: after each break it resumes after its last ID, and keeps all that it received."""

import socket
import threading
import time


def number(id):
    """The number in an ID; those of a hub increase."""
    return int(id.rsplit("-", 1)[1])


class Stream:
    """One request for a stream. It is HTTP/1.0, so that the body ends with the connection."""

    def __init__(self, hub, target, last):
        self.connection = hub.connect()
        self.rest = b""
        try:
            self.connection.sendall(
                f"GET {target} HTTP/1.0\r\nHost: localhost\r\nLast-Event-ID: {last}\r\n\r\n".encode()
            )
            while b"\r\n\r\n" not in self.rest:
                self._read()
        except OSError:
            self.connection.close()
            raise
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        self.status = int(head.split(b" ", 2)[1])

    def _read(self):
        piece = self.connection.recv(1 << 16)
        if not piece:
            raise ConnectionError("the body ended")
        self.rest += piece

    def blocks(self, seconds=None):
        """The fields of each block that arrived whole, until the body ends; `socket.timeout` if it does not in time."""
        end = time.monotonic() + seconds if seconds else None
        while True:
            *blocks, self.rest = self.rest.split(b"\n\n")
            for block in blocks:
                yield dict(line.split(": ", 1) for line in block.decode().split("\n") if ": " in line)
            try:
                self._read()
            except ConnectionError:
                return
            if end and time.monotonic() > end:
                raise socket.timeout()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()


class Follower(threading.Thread):
    """Reads topics from their beginning: one topic, or a pattern.

    It ends after it has received as many events of the type `over` as it should. With a random number generator it is
    restless: it pauses, so that the hub has to wait for it, and leaves.
    """

    def __init__(self, hub, totals, topic=None, pattern=None, overs=None, note=None, rng=None):
        super().__init__(daemon=True)
        self.hub, self.totals, self.topic, self.overs, self.rng = hub, totals, topic, overs, rng
        self.target = f"/topics?match={pattern}" if pattern else f"/topics/{topic}"
        self.name = pattern or topic
        self.note = note or (lambda *event: event)
        self.last = "earliest"
        self.last_number = 0
        self.has_begun = False
        self.events = []  # IDs, topics, types and data.
        self.start()

    @property
    def data(self):
        return [data for *_, data in self.events]

    def run(self):
        try:
            while self.overs != 0:
                self.read()
        except socket.timeout:
            self.totals.fail(f"follower of {self.name}: the hub sent nothing for a minute, not even a heartbeat")
        except Exception as error:
            self.totals.fail(f"follower of {self.name}: {type(error).__name__} {error}")

    def read(self):
        """Reads one stream until it breaks."""
        try:
            stream = Stream(self.hub, self.target, self.last)
        except socket.timeout:
            raise
        except OSError:
            # The hub is away.
            time.sleep(0.02)
            return
        with stream:
            if stream.status != 200:
                raise ValueError(f"status {stream.status} after {self.last!r}")
            if self.has_begun:
                self.totals.count("reconnects of subscribers")
            self.has_begun = True
            for fields in stream.blocks():
                self.take(fields)
                if self.overs == 0:
                    return
                if self.rng and self.rng.random() < 0.001:
                    time.sleep(self.rng.uniform(0, 1))
                    if self.rng.random() < 0.5:
                        return

    def take(self, fields):
        if "data" in fields:
            type = fields.get("event", "message")
            if type == "gap":
                self.totals.fail(f"{self.name} after {self.last!r}: {fields['data']}", "told of a gap")
            else:
                id, _, topic = fields["id"].partition("\t")
                if number(id) <= self.last_number:
                    self.totals.fail(f"{self.name}: {id} after {self.last!r}", "IDs that do not increase")
                self.last_number = number(id)
                self.events.append(self.note(id, topic or self.topic, type, fields["data"]))
                if type == "over" and self.overs:
                    self.overs -= 1
        self.last = fields.get("id", self.last)
