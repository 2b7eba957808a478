# SPDX-License-Identifier: Apache-2.0
"""The publishers and subscribers of restart.py, which go on while their hub is replaced."""

import bisect
import json
import random
import threading
import time

import crash
from crash_publishers import Ender, Keys, Numbered, Plain, Uploads
from follower import Follower


class Shared(crash.Shared):
    """What all threads share."""

    def __init__(self, hub, totals, options):
        super().__init__(hub, totals, options)
        self.restored = None  # What the last copy that was put back holds.
        self.lost = set()  # IDs that were known and not in a copy that was put back.


class Producer(Numbered):
    """A producer that remembers where its epochs began, so that it can go back."""

    def __init__(self, shared, index, topic):
        super().__init__(shared, index, topic)
        self.firsts = [0]  # Numbers of the first event of each epoch.

    def step(self):
        super().step()
        if self.epoch == len(self.firsts):
            self.firsts.append(self.first)

    def epoch_of(self, number):
        """The epoch of an event, and the number of that epoch's first event."""
        epoch = bisect.bisect(self.firsts, number) - 1
        return epoch, self.firsts[epoch]


class Uploader(Producer, Uploads):
    pass


KINDS = [Plain, Keys, Producer, Uploader]


class Subscriber(Follower):
    """A follower that must be told of a gap if it is ahead of a copy that was put back; then it gets all again."""

    def __init__(self, shared, rng=None, **what):
        self.shared = shared
        self.is_restless = rng is not None
        super().__init__(shared.hub, shared.totals, note=shared.note, rng=rng, **what)

    @property
    def is_ahead(self):
        """Whether its last event is not in the copy that was put back."""
        restored, events = self.shared.restored, self.events
        return bool(restored and events and restored.has_lost(events[-1][0]))

    def take(self, fields):
        if "data" in fields and self.is_ahead:
            if fields.get("event") == "gap":
                return self.told(fields)
            if not self.shared.restored.is_older(fields["id"]):
                self.totals.fail(f"{self.name}: {fields['id']} after {self.last!r}, which is lost", "losses not told")
        super().take(fields)

    def told(self, fields):
        gap, last = json.loads(fields["data"]), self.events[-1][0]
        if gap["requested"] != last or gap["oldest"] not in self.shared.restored.ids:
            self.totals.fail(f"{self.name} after {last}: {gap}", "gaps that are wrong")
        self.totals.count("gaps told to subscribers that were ahead")
        self.events, self.last_number, self.last = [], 0, fields["id"]


def subscribers(shared, rng=None):
    """A subscriber of each topic, and some of patterns. With a random number generator, some of them are restless."""
    return [Subscriber(shared, topic=topic, overs=1) for topic in crash.TOPICS] + [
        Subscriber(shared, pattern="**", overs=len(crash.LAST)),
        Subscriber(shared, pattern="**", overs=len(crash.LAST), rng=rng),
        Subscriber(shared, pattern="t/*", overs=len(crash.TOPICS), rng=rng),
        Subscriber(shared, pattern="end/**", overs=1),
    ]


class Load:
    def __init__(self, hub, totals, options):
        self.hub, self.totals, self.options = hub, totals, options
        self.shared = Shared(hub, totals, options)
        self.subscribers = subscribers(self.shared, random.Random(f"{options.seed}/subscribers"))
        # The one that has everything, and does not pause.
        self.witness = next(one for one in self.subscribers if one.name == "**" and not one.is_restless)
        self.publishers = [
            kind(self.shared, index, topic) for kind in KINDS for index, topic in enumerate(crash.TOPICS)
        ]
        self.ender = Ender(self.shared, 0)
        self.seconds = 0
        self.before = totals.counts["acknowledged"]
        self.go_on()

    @property
    def workers(self):
        return [*self.publishers, self.ender]

    def go_on(self):
        """Lets the publishers publish, at the beginning and after each stop."""
        self.shared.is_over.clear()
        # A thread cannot be started again, but its work can.
        self.threads = [threading.Thread(target=one.run, name=one.name, daemon=True) for one in self.workers]
        self.begin = time.monotonic()
        for thread in self.threads:
            thread.start()

    def stop(self):
        """Lets the publishers finish what they have begun; the hub stays."""
        self.shared.is_over.set()
        self.seconds += time.monotonic() - self.begin
        crash.join(self.hub, self.threads, 120, self.totals)

    @property
    def rate(self):
        """How many events were acknowledged a second."""
        return round((self.totals.counts["acknowledged"] - self.before) / self.seconds)

    def finish(self):
        """Stops everything, and compares all that was published and received with what is there."""
        self.stop()
        crash.publish_last(self.shared)
        crash.join(self.hub, self.subscribers, 60, self.totals)
        fresh = subscribers(self.shared)
        crash.join(self.hub, fresh, 60, self.totals)
        crash.compare(self.subscribers, fresh, self.publishers, [self.ender], self.totals)
        return next(one.events for one in fresh if one.name == "**")

    def abandon(self):
        """Ends what is still running after a failure."""
        self.shared.is_over.set()
        for one in self.subscribers:
            one.overs = 0
