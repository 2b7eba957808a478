# SPDX-License-Identifier: Apache-2.0
"""Starts a hub on a file of its own in which something was changed, for disk.py.

It may refuse to start, and must then name the file. Or it serves: then each event that is delivered must be as it was
published, in its order; whoever would need an event that is no longer there must be told of a gap, or get an error; and
a new event must get an ID of its own. It must never crash or hang.

A reader that begins with the oldest event is not told of what is missing, as it has asked for what is there; such holes
are counted.
"""

import collections
import contextlib
import json
import pathlib
import time

import pages
import wreck
from client import Client, Event, Failed, Lost, Refused
from shim import Died, Disk, HistoryHub

FILES = ["hub.sqlite", "hub.sqlite-wal"]
TOPICS, EVENTS = 300, 4000
PATIENCE = 20  # Seconds.
REFUSED = 5  # Reads of one hub; then no more are tried.


class Published:
    """The files of a hub that has ended or was killed, and what was published."""

    def __init__(self, options, rng, disk, is_killed):
        wreck.write(disk.directory, {})
        disk.reset()
        path = disk.directory / "hub.sqlite"
        hub = HistoryHub(options.plinth, path, disk)
        self.removed = {}  # By ID. If the end of the log is lost, so is the removal.
        try:
            client = Client(hub)
            data = self.publish(client, rng)
            self.events, _ = client.read("match=**")
        finally:
            if is_killed:
                hub.kill()
            elif hub.close() != 0:
                raise Failed(f"the hub ended with {hub.process.returncode}: {hub.said()}")
        if [event.data for event in self.events if event.type == "message"] != data:
            raise Failed(f"{len(self.events)} events, of {len(data)} that were published")
        self.by_id = {event.id: (index, event) for index, event in enumerate(self.events)}
        for event in self.events:
            self.removed.pop(event.id, None)
        self.topics = collections.defaultdict(list)
        for event in self.events:
            self.topics[event.topic].append(event)
        contents = wreck.Wreck.contents(disk.directory)
        self.files = [contents.get(name, (0, b""))[1] for name in FILES]
        self.places = pages.places(*self.files)
        # To look up whose page is damaged.
        self.path = disk.scratch / f"published-{is_killed}.sqlite"
        self.path.write_bytes(self.files[0])

    def publish(self, client, rng):
        """Publishes to all topics in turns, and ends and removes some of them; returns what is there then."""
        there, numbers = [], collections.Counter()
        for number in range(EVENTS):
            topic = f"topic/{rng.randrange(TOPICS)}"
            size = rng.choice([0, 10, 100, 100, 300]) if rng.random() < 0.97 else rng.randint(3000, 20_000)
            text = "".join(rng.choice("abcdefgh") for _ in range(min(size, 300)))
            data = f"{topic} {number} {text * (size // 300 or 1)}"
            fields = {}
            if number % 10 == 0:
                fields = {"Idempotency-Key": f"key {number}"}
            elif number % 10 == 1:
                fields = {"Producer-ID": "producer", "Producer-Epoch": 0, "Producer-Sequence": numbers[topic]}
                numbers[topic] += 1
            status, _, answer = client.post(f"/topics/{topic}", data, fields)
            if status != 201:
                raise Failed(f"{status} {answer}")
            there.append(data)
            self.removed[answer["id"]] = Event(answer["id"], topic, "message", data)
            if number in (EVENTS // 2, EVENTS - 1):
                # Their pages become free ones.
                gone = {f"topic/{index}" for index in range(0, TOPICS, 3 if number < EVENTS - 1 else 10)}
                for one in gone:
                    client.call("DELETE", f"/topics/{one}")
                there = [data for data in there if data.split(" ")[0] not in gone]
        for index in range(1, TOPICS, 7):
            client.post(f"/topics/topic/{index}?end", "")
        return there


class Trial:
    """A start on one damaged file."""

    def __init__(self, options, published, totals, disk):
        self.options, self.published, self.totals, self.disk = options, published, totals, disk
        self.client = None
        self.refused = 0  # Reads, each of which takes the hub a second.

    def run(self, what):
        try:
            path = self.disk.directory / FILES[0]
            hub = HistoryHub(self.options.plinth, path, self.disk, options=["--heartbeat", "100ms"], timeout=PATIENCE)
        except Died as died:
            self.totals.count("refused starts")
            if died.status <= 0 or FILES[0] not in died.output or "Fatal error" in died.output:
                raise Failed(f"a refusal that does not help: {died}") from died
            return died.output.strip().split("\n")[-1]
        try:
            self.client = Client(hub, PATIENCE)
            self.read()
            self.publish(hub)
            if self.client.denied:
                self.totals.fail(f"{what}: {self.client.denied}", "denied events")
            status = hub.close()
        except Lost as lost:
            hub.process.wait(PATIENCE)
            raise Failed(f"it ended with {hub.process.returncode}: {hub.said()}") from lost
        except Exception as error:
            raise Failed(f"{type(error).__name__} {error}; {hub.said()}") from error
        finally:
            hub.kill()
        if status != 0:
            raise Failed(f"it ended with {status}: {hub.said()}")
        self.totals.count("starts that serve")
        return hub.said().strip().split("\n")[-1][:200]

    def ask(self, query, after):
        """What is after an ID, checked; None if that is refused, or if too much was."""
        if self.refused >= REFUSED:
            return None
        try:
            events, gaps = self.client.read(query, after)
        except Refused as refusal:
            self.refused += 1
            self.totals.count(f"reads refused: {refusal.code}")
            return None
        last = -1
        found = [event for event in events if event != self.published.removed.get(event.id)]
        self.totals.count("removed events that are there again", len(events) - len(found))
        for event in found:
            index, published = self.published.by_id.get(event.id, (-1, None))
            if event != published:
                raise Failed(f"{query} after {after}: {brief(event)} was published as {brief(published)}")
            if index <= last:
                raise Failed(f"{query} after {after}: {event.id} is out of order")
            last = index
        return found, gaps

    def read(self):
        """Reads everything, and each topic; then resumes as readers do that would need what is lost."""
        asked = {"match=**": self.published.events}
        asked.update((f"topic={topic}", events) for topic, events in self.published.topics.items())
        answers = {query: self.ask(query, "earliest") for query in asked}
        self.totals.count("files of which not all could be read", self.refused > 0)
        seen = [self.published.by_id[event.id][0] for found in answers.values() if found for event in found[0]]
        for query, found in answers.items():
            if found is not None:
                self.compare(query, asked[query], found, max(seen, default=-1))

    def compare(self, query, events, found, last):
        there = {event.id for event in found[0]}
        if extra := there - {event.id for event in events}:
            raise Failed(f"{query}: {sorted(extra)[:3]} are of other topics")
        missing = [event for event in events if event.id not in there]
        if not missing:
            return
        self.totals.count("topics with lost events" if query != "match=**" else "files with lost events")
        if not found[1] and events[-1].id in there and there:
            first = next(index for index, event in enumerate(events) if event.id in there)
            if any(event.id not in there for event in events[first:]):
                self.totals.count("holes that a reader from earliest is not told of")
        within = [event for event in missing if self.published.by_id[event.id][0] < last]
        if within and (index := self.published.by_id[within[0].id][0]) > 0:
            # It has everything up to the first that is missing.
            self.resume(query, self.published.events[index - 1], within)
        if not within:
            # Of the end, nothing may be left that tells of it, but for those who received it.
            self.resume(query, missing[-1], missing[-1:])

    def resume(self, query, last, missing):
        found = self.ask(query, last.id)
        if found is not None and not found[1]:
            there = {event.id for event in found[0]}
            if lost := [event for event in missing if event.id not in there]:
                raise Failed(f"{query} after {last.id}: {len(lost)} such as {brief(lost[0])} are lost, and no gap")
        self.totals.count("readers told of a loss")

    def publish(self, hub):
        """A new event has a new ID, and comes to a subscriber that reads all from the beginning."""
        try:
            status, _, answer = self.client.post("/topics/new", "new")
        except Refused as refusal:
            return self.totals.count(f"publishing refused: {refusal.code}")
        if status != 201:
            raise Failed(f"publishing: {status} {answer}")
        if answer["id"] in self.published.by_id or answer["id"] in self.published.removed:
            raise Failed(f"{answer['id']} is given again")
        if not self.refused:
            self.follow(hub, answer["id"])

    def follow(self, hub, new):
        with contextlib.closing(hub.connect()) as connection:
            connection.settimeout(PATIENCE)
            connection.sendall(b"GET /topics?match=**&last-event-id=earliest HTTP/1.0\r\nHost: localhost\r\n\r\n")
            rest, end = b"", time.monotonic() + PATIENCE
            while True:
                piece = connection.recv(1 << 16)
                if not piece or time.monotonic() > end:
                    raise Failed(f"the stream of everything ended, or did not bring {new} within {PATIENCE} s")
                *blocks, rest = (rest + piece).split(b"\n\n")
                for block in blocks:
                    fields = dict(line.split(": ", 1) for line in block.decode().split("\n") if ": " in line)
                    if fields.get("event") == "gap" and json.loads(fields["data"])["through"] == new:
                        # It was written where much is damaged.
                        return self.totals.count("new events that a gap stands for")
                    if "data" not in fields or fields.get("event") == "gap":
                        continue
                    id, _, topic = fields["id"].partition("\t")
                    if id == new:
                        return
                    event = Event(id, topic, fields.get("event", "message"), fields["data"])
                    if event not in (self.published.by_id.get(id, (0, None))[1], self.published.removed.get(id)):
                        raise Failed(f"the stream of everything: {brief(event)}")


def brief(event):
    return str(event)[:150]


def run(options, totals, rng):
    disk = Disk()  # Without faults; it only saves the time of real syncs.
    try:
        published = [Published(options, rng, disk, is_killed) for is_killed in (False, True)]
        for name, one in zip(("ended", "killed"), published):
            kinds = ", ".join(f"{len(places)} x {kind}" for kind, places in sorted(one.places.items()))
            print(f"{name}: {kinds}", flush=True)
            # A sound file must be served, or all is refused and nothing tested.
            attempt(options, one, totals, disk, one.files, "nothing")
        if totals.counts["starts that serve"] != len(published):
            return totals.fail("a file that is not damaged is not served", "damaged files")
        for _ in range(options.trials):
            one = rng.choice(published)
            kind = rng.choice(sorted(one.places))
            place = rng.choice(one.places[kind])
            damaged, what = pages.damage(rng, one.files, place, kind)
            if place[0] == 0:
                what += f", of {pages.owner(one.path, place[1], pages.page_size(one.files[0]))}"
            attempt(options, one, totals, disk, damaged, what)
    finally:
        disk.close()


def attempt(options, published, totals, disk, files, what):
    contents = {name: content for name, content, was in zip(FILES, files, published.files) if was}
    wreck.write(disk.directory, {})
    wreck.write(disk.directory, contents)
    disk.reset()
    totals.count("damaged files")
    try:
        said = Trial(options, published, totals, disk).run(what)
    except Failed as error:
        totals.fail(f"{what}: {error}", "damaged files")
        said = "failed"
        if options.keep:
            target = pathlib.Path(options.keep) / f"damaged-{options.seed}-{len(totals.failures)}"
            target.mkdir(parents=True, exist_ok=True)
            wreck.write(target, contents)
            print(f"kept {target}", flush=True)
    if options.verbose:
        print(f"{what}: {said}", flush=True)
