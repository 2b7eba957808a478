#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Publishes through connections that are cut at random bytes, and checks that every event arrives exactly once.

    Tests/FaultTests/resend.py --plinth PROGRAM [--seconds 60] [--seed NUMBER]

16 producers publish to 4 topics: one event, a batch, or a stream at a time, with `Producer-*`. 8 publishers use an
`Idempotency-Key` for each event, sometimes two requests at once. A connection is cut before, within or after the request,
or within the answer; what was not answered is sent again under the same numbers or key. Now and then a producer leaves a
hole, or uses a fenced epoch, and must be told so. Subscribers read all topics from the beginning. At the end every event
must have arrived once, and each producer's in order. The last line has the totals; the status is 1 if anything failed.
"""

import collections
import json
import random
import re
import socket
import struct
import sys
import threading
import time

from hub import Hub, Reader, Totals, options as parse

TOPICS = 4


class Cut(Exception):
    """The connection was cut on purpose, or by the server because of that."""


class Failed(Exception):
    """The hub did something wrong."""


def request(hub, rng, totals, method, target, fields, body, cuts=True, streamed=False):
    """Sends a request, perhaps cut, and returns status, fields and JSON; raises Cut."""
    head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    for name, value in fields.items():
        head += f"{name}: {value}\r\n"
    if streamed:
        head += "Transfer-Encoding: chunked\r\n\r\n"
        payload, rest = b"", body
        while rest:
            size = rng.randint(1, min(len(rest), 200))
            payload += b"%x\r\n%s\r\n" % (size, rest[:size])
            rest = rest[size:]
        payload += b"0\r\n\r\n"
    elif body is None:
        head += "\r\n"
        payload = b""
    else:
        head += f"Content-Length: {len(body)}\r\n\r\n"
        payload = body
    data = head.encode() + payload
    place = rng.choice(["head", "body", "sent", "answer", "none", "none"]) if cuts else "none"
    connection = hub.connect()
    with connection:
        if place == "head":
            at = rng.randint(0, len(head) - 1)
        elif place == "body":
            at = rng.randint(len(head), len(data))
        else:
            at = len(data)
        try:
            if streamed:
                # In pieces, so that the hub takes several appends.
                sent = 0
                while sent < at:
                    size = min(at - sent, rng.randint(50, 2000))
                    connection.sendall(data[sent:sent + size])
                    sent += size
                    if rng.random() < 0.3:
                        time.sleep(rng.random() / 200)
            else:
                connection.sendall(data[:at])
        except OSError as error:
            if cuts or streamed:
                raise Cut() from error
            raise
        if place in ("head", "body", "sent"):
            totals.count(f"cut in {place}")
            if rng.random() < 0.5:
                time.sleep(rng.random() / 100)
            if rng.random() < 0.5:
                # RST instead of FIN.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise Cut()
        answer = b""
        limit = rng.randint(0, 150) if place == "answer" else None
        while limit is None or len(answer) < limit:
            try:
                piece = connection.recv(65536 if limit is None else max(1, limit - len(answer)))
            except OSError as error:
                raise Cut() from error
            if not piece:
                break
            answer += piece
        if limit is not None:
            totals.count("cut in answer")
            raise Cut()
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    match = re.match(r"HTTP/1\.1 (\d+)", lines[0])
    if not match:
        raise Failed(f"{method} {target}: {answer!r}")
    found = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    return int(match.group(1)), found, json.loads(body) if body else None


class Producer(threading.Thread):
    def __init__(self, hub, number, seed, totals, deadline):
        super().__init__(daemon=True)
        self.hub, self.number, self.totals, self.deadline = hub, number, totals, deadline
        self.rng = random.Random(f"{seed}/producer/{number}")
        self.topic = number % TOPICS
        self.epoch = 0
        self.taken = 0  # Numbers of this epoch that are known to be taken.
        self.events = []  # All of this epoch.
        self.published = []  # Of all epochs.

    def fields(self, sequence, epoch=None, **more):
        return {
            "Producer-ID": f"producer-{self.number}", "Producer-Epoch": self.epoch if epoch is None else epoch,
            "Producer-Sequence": sequence, **more,
        }

    def run(self):
        try:
            while time.monotonic() < self.deadline:
                self.step()
            while self.taken < len(self.events):
                self.send(self.taken, len(self.events))
        except Exception as error:
            self.totals.fail(f"producer {self.number}: {type(error).__name__} {error}")

    def step(self):
        choice = self.rng.random()
        if choice < 0.03:
            return self.hole()
        if choice < 0.05 and self.epoch > 0:
            return self.fenced()
        if choice < 0.07 and self.taken == len(self.events) and self.taken > 0:
            self.published += self.events
            self.epoch, self.taken, self.events = self.epoch + self.rng.randint(1, 3), 0, []
        for _ in range(self.rng.choice([1, 1, 3, 20])):
            data = f"{self.number} {self.epoch} {len(self.events)} " + "x" * self.rng.randint(0, 100)
            self.events.append(data)
        # From a known beginning, sometimes from before it.
        start = max(0, self.taken - self.rng.choice([0, 0, 0, 2, 30]))
        end = self.rng.randint(min(self.taken + 1, len(self.events)), len(self.events))
        if start < end:
            self.send(start, end)

    def send(self, start, end):
        target = f"/topics/t{self.topic}"
        batch = self.events[start:end]
        try:
            if len(batch) == 1 and self.rng.random() < 0.8:
                fields = self.fields(start)
                status, found, answer = request(
                    self.hub, self.rng, self.totals, "POST", target, fields, batch[0].encode()
                )
            else:
                body = "".join(f"data: {data}\n\n" for data in batch).encode()
                fields = self.fields(start, **{"Content-Type": "text/event-stream"})
                status, found, answer = request(
                    self.hub, self.rng, self.totals, "POST", target, fields, body, streamed=self.rng.random() < 0.5
                )
        except Cut:
            if self.rng.random() < 0.3:
                self.ask()
            return
        if status not in (200, 201):
            raise Failed(f"{start} to {end}, {self.taken} taken: {status} {answer}")
        if answer["count"] + answer["repeated"] != len(batch):
            raise Failed(f"{len(batch)} events, of which {answer}")
        if (status == 200) != (answer["count"] == 0):
            raise Failed(f"{status} for {answer}")
        self.totals.count("taken", answer["count"])
        self.totals.count("repeated", answer["repeated"])
        self.taken = max(self.taken, end)

    def ask(self):
        """Asks for the last number taken, as a producer does after a restart."""
        status, found, _ = request(
            self.hub, self.rng, self.totals, "HEAD", f"/topics/t{self.topic}",
            {"Producer-ID": f"producer-{self.number}"}, None, cuts=False,
        )
        self.totals.count("asked")
        if int(found.get("producer-epoch", -1)) != self.epoch:
            return
        last = int(found["producer-sequence"])
        if last < self.taken - 1 or last >= len(self.events):
            raise Failed(f"the last number is {last}; {self.taken} were answered, {len(self.events)} exist")
        self.taken = last + 1

    def hole(self):
        # Far beyond: a request that was cut may be answered late, and its number must not be another event's by then.
        beyond = len(self.events) + self.rng.randint(10**6, 10**7)
        try:
            status, found, answer = request(
                self.hub, self.rng, self.totals, "POST", f"/topics/t{self.topic}", self.fields(beyond), b"hole"
            )
        except Cut:
            return
        expected = int(found.get("producer-expected-sequence", -1))
        known = answer.get("known")
        isKnown = known or (self.epoch == 0 and self.taken == 0 and known is False)
        if status != 409 or not self.taken <= expected <= len(self.events) or not isKnown:
            raise Failed(f"a hole at {beyond}, {self.taken} to {len(self.events)} taken: {status} {found} {answer}")
        self.totals.count("holes told")

    def fenced(self):
        # Only once the new epoch has begun.
        if self.taken == 0:
            return
        try:
            status, found, answer = request(
                self.hub, self.rng, self.totals, "POST", f"/topics/t{self.topic}",
                self.fields(self.rng.randint(0, 3), self.epoch - 1), b"fenced",
            )
        except Cut:
            return
        if status != 403 or answer["code"] != "producer-fenced" or int(found["producer-epoch"]) != self.epoch:
            raise Failed(f"an old epoch: {status} {found} {answer}")
        self.totals.count("fences told")


class Keys(threading.Thread):
    def __init__(self, hub, number, seed, totals, deadline):
        super().__init__(daemon=True)
        self.hub, self.number, self.totals, self.deadline = hub, number, totals, deadline
        self.rng = random.Random(f"{seed}/keys/{number}")
        self.published = {}

    def run(self):
        try:
            count = 0
            while time.monotonic() < self.deadline:
                self.publish(f"key {self.number} {count}")
                count += 1
        except Exception as error:
            self.totals.fail(f"key publisher {self.number}: {type(error).__name__} {error}")

    def publish(self, data):
        answers = []

        def send():
            rng = random.Random(self.rng.random())
            while True:
                try:
                    answers.append(request(
                        self.hub, rng, self.totals, "POST", "/topics/keys", {"Idempotency-Key": data}, data.encode()
                    ))
                    return
                except Cut:
                    continue
                except Exception as error:
                    return answers.append((0, {}, {"error": f"{type(error).__name__} {error}"}))

        if self.rng.random() < 0.3:
            others = [threading.Thread(target=send) for _ in range(2)]
            for other in others:
                other.start()
            for other in others:
                other.join()
            self.totals.count("keys sent twice at once")
        else:
            send()
            if self.rng.random() < 0.3:
                send()
        ids = {answer["id"] for status, _, answer in answers if status == 201}
        if len(ids) != 1 or any(status != 201 for status, _, _ in answers):
            raise Failed(f"{data}: {answers}")
        if sum("idempotent-replayed" not in found for _, found, _ in answers) > 1:
            raise Failed(f"{data} was taken twice: {answers}")
        self.published[data] = ids.pop()
        self.totals.count("keys")


def main():
    options = parse(__doc__)
    totals = Totals()
    hub = Hub(options.plinth)
    try:
        readers = [Reader(hub, f"t{number}", totals) for number in range(TOPICS)]
        keys_reader = Reader(hub, "keys", totals)
        deadline = time.monotonic() + options.seconds
        producers = [Producer(hub, number, options.seed, totals, deadline) for number in range(16)]
        keys = [Keys(hub, number, options.seed, totals, deadline) for number in range(8)]
        for thread in producers + keys:
            thread.start()
        for thread in producers + keys:
            thread.join(options.seconds + 120)
            if thread.is_alive():
                totals.fail(f"{thread.__class__.__name__} {thread.number} does not end")
        compare(hub, readers, keys_reader, producers, keys, totals)
        if hub.process.poll() is not None:
            totals.fail(f"plinth ended with {hub.process.returncode}")
    finally:
        hub.close()
    return totals.report()


def compare(hub, readers, keys_reader, producers, keys, totals):
    wanted = sum(len(producer.published + producer.events) for producer in producers)
    end = time.monotonic() + 60
    while time.monotonic() < end and sum(len(reader.data) for reader in readers) < wanted:
        time.sleep(0.05)
    while time.monotonic() < end and len(keys_reader.data) < sum(len(one.published) for one in keys):
        time.sleep(0.05)
    for number, reader in enumerate(readers):
        received = collections.defaultdict(list)
        for data in reader.data:
            received[data.split(" ", 1)[0]].append(data)
        for producer in producers:
            if producer.topic != number:
                continue
            published, seen = producer.published + producer.events, received.pop(str(producer.number), [])
            if published != seen:
                lost = [data for data in published if data not in set(seen)][:5]
                twice = [data for data, count in collections.Counter(seen).items() if count > 1][:5]
                totals.fail(f"producer {producer.number}: {len(published)} published, {len(seen)} received; "
                            f"lost {lost}, twice {twice}")
        for name, data in received.items():
            totals.fail(f"topic {number}: {len(data)} events that nobody counts, such as {data[0]!r}")
    published = {data: id for one in keys for data, id in one.published.items()}
    seen = collections.Counter(keys_reader.data)
    if twice := [data for data, count in seen.items() if count > 1]:
        totals.fail(f"keys taken twice: {twice[:5]}")
    if lost := [data for data in published if data not in seen]:
        totals.fail(f"keys lost: {lost[:5]}")
    ids = dict(zip(keys_reader.data, keys_reader.ids))
    if wrong := [data for data, id in published.items() if ids.get(data) != id]:
        totals.fail(f"keys answered with another ID: {wrong[:5]}")
    totals.count("events compared", wanted + len(published))


if __name__ == "__main__":
    sys.exit(main())
