# SPDX-License-Identifier: Apache-2.0
"""The subscribers of powercut.py, and the comparison of what is there with what all of its workers know.

A subscriber reads a stream, and resumes after its last ID at the hub's next start.
"""

import collections
import json
import threading

from client import Client, Event, Failed, Refused, topics


class Found:
    """What is there after a start."""

    def __init__(self, events):
        self.events = events
        self.index = {event.id: index for index, event in enumerate(events)}
        self.by_data, self.by_topic = collections.defaultdict(list), collections.defaultdict(list)
        for event in events:
            if event.type == "message":
                self.by_data[event.data].append(event.id)
            for topic in topics(event):
                self.by_topic[topic].append(event)
        self.by_data, self.by_topic = dict(self.by_data), dict(self.by_topic)

    def data(self, topic):
        return [event.data for event in self.by_topic.get(topic, []) if event.type == "message"]

    def end(self, topic):
        """The ID of a topic's end."""
        return next((event.id for event in self.by_topic.get(topic, []) if event.type == "end"), None)


class Reader:
    """A subscriber, over all starts of the hub."""

    def __init__(self, shared, name, query, wants, is_exact):
        """Where topics are emptied, it is not exact: it may be told of gaps of topics that it does not get."""
        self.is_exact = is_exact
        self.shared, self.name, self.query, self.wants = shared, name, query, wants
        self.ledger, self.totals = shared.ledger, shared.totals
        self.last = "earliest"
        self.known = {}  # The IDs of all events received, each with its number in the order of arrival.
        self.count = 0
        self.bytes = 0  # All that arrived, heartbeats, too.
        self.may_lose = False
        self.is_gap_due = False  # Events that it has received are lost, and it has not been told.
        self.may_repeat = False  # A gap has just been told: all that is held may follow.
        self.own, self.resumed = [], []

    def fail(self, what, kind):
        self.totals.fail(f"{self.name}, after {self.last}: {what}", kind)

    def open(self, hub):
        """Connects, so that the rest of the stream can be read by `work`."""
        self.connection = hub.connect()
        target = f"/topics?{self.query}"
        self.connection.sendall(
            f"GET {target} HTTP/1.0\r\nHost: localhost\r\nLast-Event-ID: {self.last}\r\n\r\n".encode()
        )

    def work(self, hub):
        """Reads until the hub is gone."""
        try:
            self.open(hub)
            with self.connection:
                self.read()
        except ConnectionError:
            pass
        except Exception as error:
            self.totals.fail(f"{self.name}: {type(error).__name__} {error}", "readers that failed")

    def read(self):
        rest, has_head = b"", False
        while piece := self.connection.recv(1 << 16):
            rest += piece
            self.bytes += len(piece)
            if not has_head:
                if b"\r\n\r\n" not in rest:
                    continue
                head, _, rest = rest.partition(b"\r\n\r\n")
                has_head = True
                if b" 200 " not in head.split(b"\r\n")[0]:
                    raise Failed(f"{head!r}")
            *blocks, rest = rest.split(b"\n\n")
            for block in blocks:
                fields = dict(line.split(": ", 1) for line in block.decode().split("\n") if ": " in line)
                self.take(fields)

    def take(self, fields):
        type = fields.get("event", "message")
        if type == "gap" and "data" in fields:
            self.told(json.loads(fields["data"]))
        elif "data" in fields:
            if self.is_gap_due:
                self.fail(f"{fields['id']} came without a gap", "losses not told")
            id, _, topic = fields["id"].partition("\t")
            if id in self.known and self.may_repeat:
                self.known.clear()
            self.may_repeat = False
            if id in self.known:
                self.fail(f"{id} came twice", "twice or out of order")
            self.ledger.note(id, type, fields["data"])
            ended = json.loads(fields["data"])["topic"] if type == "end" else ""
            if not self.wants(topics(Event(id, ended, type, fields["data"]))):
                self.fail(f"{fields}", "events of other topics")
            self.count += 1
            self.known[id] = self.count
            self.totals.count("events received")
        if "id" in fields:
            self.last = fields["id"].partition("\t")[0]

    def told(self, gap):
        if self.is_gap_due:
            self.totals.count("gaps told to readers of what was lost")
        elif self.last in self.known or self.last == "earliest":
            self.totals.count("gaps told without a loss")
            if not self.may_lose and self.is_exact:
                self.fail(f"{gap}", "gaps, though nothing is lost")
        self.is_gap_due, self.may_repeat = False, True

    def look(self, client):
        self.own = client.read(self.query)
        self.resumed = client.read(self.query, self.last)

    def verify(self, found, is_strict):
        own, gaps = self.own
        self.may_lose = not is_strict
        wanted = [event for event in found.events if self.wants(topics(event))]
        # The topic of an event that has several is the first that the reader gets.
        is_same = [event._replace(topic="") for event in own] == [event._replace(topic="") for event in wanted]
        if not is_same or (gaps and self.is_exact):
            self.fail(f"{len(own)} instead of {len(wanted)}, {gaps}", "topics that are not those of all")
        there = {event.id: index for index, event in enumerate(wanted)}
        lost = [id for id in self.known if id not in there]
        if lost and is_strict:
            self.fail(f"{len(lost)} events, such as {lost[0]}", "received and lost")
        order = sorted((id for id in self.known if id in there), key=self.known.get)
        indices = [there[id] for id in order]
        if indices != list(range(len(indices))):
            missing = sorted(set(range(max(indices) + 1)) - set(indices))
            names = [wanted[index].id for index in missing[:3]]
            self.fail(f"{len(missing)} are missing, such as {names}, or the order is another", "missed by readers")
        self.verify_resumed(wanted, len(indices), lost, is_strict)
        for id in lost:
            del self.known[id]
        self.is_gap_due = self.is_gap_due or bool(lost)
        self.totals.count("readers of something lost", bool(lost))

    def verify_resumed(self, wanted, count, lost, is_strict):
        """A long-poll after the last ID: it must bring all but the first `count`, which the reader has."""
        events, gaps = self.resumed
        if not gaps and (lost or self.is_gap_due):
            self.fail(f"no gap, though {len(lost)} events such as {lost[:1]} are lost", "losses not told")
        if gaps and not lost and not self.is_gap_due and self.last in self.known:
            self.totals.count("gaps told without a loss")
            if is_strict and self.is_exact:
                self.fail(f"{gaps}", "gaps, though nothing is lost")
        ids = [event.id for event in events]
        rest = [event.id for event in wanted[count:]]
        # After a gap, events come again.
        if ids[len(ids) - len(rest):] != rest or (not gaps and ids != rest):
            self.fail(f"{len(ids)}, such as {ids[:2]}, instead of {len(rest)}, such as {rest[:2]}", "missed by readers")


def readers(shared, are_removing):
    def reader(name, query, wants):
        return Reader(shared, name, query, wants, is_exact=not are_removing)

    return [
        reader("reader of patterns", "match=t/**&match=k/*&match=e/**", lambda of: any("/" in topic for topic in of)),
        reader("reader of t/0", "topic=t/0", lambda of: "t/0" in of),
        reader("reader of three", "topic=k/0&topic=k/1&topic=t/plain", lambda of: of & {"k/0", "k/1", "t/plain"}),
        reader("reader of k/1", "topic=k/1", lambda of: "k/1" in of),
    ]


def start(workers, hub):
    """Lets publishers and readers work, each in a thread."""
    threads = [threading.Thread(target=worker.work, args=[hub], daemon=True, name=worker.name) for worker in workers]
    for thread in threads:
        thread.start()
    return threads


def compare(hub, shared, workers, is_strict):
    """Compares what is there with what the workers know; raises Lost if a power cut comes first.

    Unless it is strict, the disk may have lost the last of what was acknowledged. Nothing is published meanwhile.
    """
    client, totals = Client(hub), shared.totals
    try:
        # In parts, so it is told of what was removed from some topics.
        events, _ = client.read("match=**")
        for one in workers:
            one.look(client)
    except (Failed, Refused) as error:
        return totals.fail(f"{type(error).__name__} {error}", "hubs that cannot be read")
    client.connection.close()
    if client.denied:
        totals.fail(client.denied, "denied events")
    found = Found(events)
    if len(found.index) != len(events):
        totals.fail(f"{len(events)} events with {len(found.index)} IDs", "IDs of two events")
    for event in events:
        shared.ledger.note(event.id, event.type, event.data)
    for one in workers:
        one.verify(found, is_strict)
    totals.count("times compared")
    totals.count("events compared", len(events))
