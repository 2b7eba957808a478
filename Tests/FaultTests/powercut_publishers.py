# SPDX-License-Identifier: Apache-2.0
"""The publishers of powercut.py. Each goes on over many starts of the hub, and knows what must be there then.

The data of an event are its topics, its publisher, and its number, so that they are never those of another. After a
start, `look` asks the hub, and `verify` compares with what is known. If the disk may have lost something that was
acknowledged, `verify` takes what is there as the new beginning.
"""

import json
import random
import threading
import time

from client import Client, Failed, Lost, Refused


class Shared:
    """What all threads of a history's life share."""

    def __init__(self, ledger, totals, seed):
        self.ledger, self.totals, self.seed = ledger, totals, seed
        self.is_over = threading.Event()  # Of this round.
        self.may_refuse = False  # In this round the disk may fail, or the hub end.
        self.is_bulky = False  # Large events let the hub copy its log into the database often.


class Publisher:
    def __init__(self, shared, name):
        self.shared, self.name, self.ledger, self.totals = shared, name, shared.ledger, shared.totals
        self.rng = random.Random(f"{shared.seed}/{name}")
        self.client = None

    def work(self, hub):
        """Publishes until the hub is gone or the round over."""
        self.client = Client(hub)
        try:
            while not self.shared.is_over.is_set():
                try:
                    self.step()
                except Refused as refusal:
                    self.refused(refusal)
                    time.sleep(0.02)
        except Lost:
            pass
        except Exception as error:
            self.totals.fail(f"{self.name}: {type(error).__name__} {error}", "publishers that failed")
        self.client.connection.close()

    def refused(self, refusal):
        self.totals.count(f"refusals: {refusal.code}")
        if not self.shared.may_refuse:
            raise Failed(f"503 {refusal}, though the disk is sound")

    def fill(self):
        """The rest of an event's data. A few are larger than a page of the file, or many."""
        if self.shared.is_bulky and self.rng.random() < 0.6:
            return "x" * self.rng.randint(4000, 20_000)
        return "x" * self.rng.choice([0, 10, 50, 100, self.rng.randint(0, 9000) if self.rng.random() < 0.1 else 20])

    def fail(self, what, kind):
        self.totals.fail(f"{self.name}: {what}", kind)

    def look(self, client):
        """Asks the hub, after a start; may be interrupted by a power cut."""

    def verify(self, found, is_strict):
        """Compares with what is there. Unless it is strict, the disk may have lost what was acknowledged."""


class Item:
    """An event, its ID if it was acknowledged, and how often it was sent since it was known to be absent."""

    def __init__(self, data, topics=(), key=None):
        self.data, self.topics, self.key = data, topics, key
        self.id, self.sent = None, 0


class Items:
    """The events of one publisher, acknowledged in order, and what the disk kept of them."""

    def __init__(self, publisher):
        self.publisher = publisher
        self.acknowledged, self.open, self.never = [], [], []

    def verify(self, found, is_strict):
        """Returns what was acknowledged and is lost."""
        publisher, kept, lost = self.publisher, [], []
        for item in self.acknowledged:
            ids = found.by_data.get(item.data, [])
            if ids == [item.id]:
                kept.append(item)
                if lost and not is_strict:
                    publisher.fail(f"{item.data[:60]} is there, and {lost[-1].data[:60]} before it is not", "holes")
            elif ids:
                publisher.fail(f"{item.data[:60]} was acknowledged as {item.id}, and is {ids}", "twice or another ID")
            else:
                lost.append(item)
                if is_strict:
                    publisher.fail(f"{item.data[:60]}, {item.id}", "lost though acknowledged")
        for item in self.open:
            ids = found.by_data.get(item.data, [])
            if len(ids) > 1:
                publisher.fail(f"{item.data[:60]} is there {len(ids)} times", "twice or another ID")
            if ids:
                item.id = ids[0]
                kept.append(item)
                publisher.totals.count("unanswered and there")
            else:
                self.never.append(item)
        for item in self.never:
            if item.data in found.by_data:
                publisher.fail(f"{item.data[:60]}, which was not taken", "events that should not be there")
        # Later ones are lost before earlier ones.
        self.acknowledged, self.open = sorted(kept, key=lambda item: found.index.get(item.id, 0)), []
        publisher.totals.count("acknowledged and lost, as allowed", len(lost))
        return lost


class Plain(Publisher):
    """Publishes to a topic, without any means to recognise a repetition."""

    TOPIC = "t/plain"

    def __init__(self, shared, name):
        super().__init__(shared, name)
        self.items, self.count = Items(self), 0

    def step(self):
        item = Item(f"{self.TOPIC} {self.name} {self.count} {self.fill()}")
        self.count += 1
        try:
            status, _, answer = self.client.post(f"/topics/{self.TOPIC}", item.data)
        except Refused as refusal:
            # Only of a refusal without doubt it must never be there.
            (self.items.never if refusal.code == "not-taken" else self.items.open).append(item)
            raise
        except Lost:
            self.items.open.append(item)
            raise
        if status != 201:
            raise Failed(f"{status} {answer}")
        item.id = answer["id"]
        self.ledger.note(item.id, "message", item.data)
        self.items.acknowledged.append(item)
        self.totals.count("acknowledged")

    def verify(self, found, is_strict):
        self.items.verify(found, is_strict)


class Keys(Publisher):
    """Publishes to one or two topics, with a key for each event, until it is answered."""

    TOPICS = ["k/0", "k/1"]

    def __init__(self, shared, name):
        super().__init__(shared, name)
        self.items, self.count, self.item, self.lost = Items(self), 0, None, []

    def step(self):
        if self.item is None:
            if self.items.acknowledged and self.rng.random() < 0.15:
                return self.again(self.rng.choice(self.items.acknowledged[-30:]))
            self.item = self.lost.pop() if self.lost else self.new()
        item = self.item
        item.sent += 1
        id, is_replayed = self.send(item)
        if is_replayed and item.sent == 1:
            # The publisher would believe that it is there.
            self.fail(f"{item.data[:60]} is not there, and answered as {id}", "answers of what is not there")
        item.id = id
        self.ledger.note(id, "message", item.data)
        self.items.acknowledged.append(item)
        self.item = None
        self.totals.count("acknowledged")

    def new(self):
        topics = self.rng.choice([self.TOPICS[:1], self.TOPICS[1:], self.TOPICS])
        key = f"{self.shared.seed} {self.name} {self.count}"
        self.count += 1
        return Item(f"{','.join(topics)} {self.name} {self.count} {self.fill()}", topics, key)

    def send(self, item):
        """The ID that is answered, and whether it is answered again."""
        query = "&".join(f"topic={topic}" for topic in item.topics)
        status, found, answer = self.client.post(f"/topics?{query}", item.data, {"Idempotency-Key": item.key})
        if status != 201:
            raise Failed(f"{item.data[:60]}: {status} {answer}")
        return answer["id"], "idempotent-replayed" in found

    def again(self, item):
        id, is_replayed = self.send(item)
        if id != item.id or not is_replayed:
            self.fail(f"{item.data[:60]} was {item.id}, and now is {id}, {is_replayed}", "keys taken twice")
        self.totals.count("keys sent again")

    def verify(self, found, is_strict):
        for item in self.lost + [self.item] * (self.item is not None):
            ids = found.by_data.get(item.data, [])
            if len(ids) > 1:
                self.fail(f"{item.data[:60]} is there {len(ids)} times", "twice or another ID")
            if not ids:
                item.sent = 0
        lost = self.items.verify(found, is_strict)
        for item in lost:
            item.sent = 0
        # Some of them are published again.
        self.lost += lost[-3:]


class Producer(Publisher):
    """Numbers its events, sends one or more at a time, and sends again what has no answer.

    The data also have the number of the attempt, so that an event that was lost and is sent again is another.
    """

    TOPICS = 2

    def __init__(self, shared, index):
        super().__init__(shared, f"producer{index}")
        self.topic = f"t/{index % self.TOPICS}"
        self.target = f"/topics/{self.topic}"
        self.epoch, self.taken = 0, 0
        self.attempts = []  # How often each event of this epoch was sent.
        self.held = None  # How many of this epoch are there, if it is less than was acknowledged.
        self.done = {}  # How many events each earlier epoch has; all were acknowledged.
        self.known = {}  # The data of those whose attempt is known, by epoch and number.
        self.sent = set()  # All data that may be there.
        self.state = None

    def step(self):
        if self.taken == len(self.attempts) > 0 and self.held is None and self.rng.random() < 0.03:
            self.done[self.epoch] = self.taken
            self.epoch, self.taken, self.attempts = self.epoch + self.rng.randint(1, 3), 0, []
        self.attempts += [0] * self.rng.choice([1, 1, 1, 3, 10])
        start = max(0, self.taken - self.rng.choice([0, 0, 0, 0, 2]))
        self.send(start, self.rng.randint(self.taken + 1, len(self.attempts)))

    def send(self, start, end):
        batch = []
        for number in range(start, end):
            batch.append(f"{self.topic} {self.name} {self.epoch} {number} {self.attempts[number]} {self.fill()}")
            self.attempts[number] += 1
        self.sent.update(batch)
        fields = {"Producer-ID": self.name, "Producer-Epoch": self.epoch, "Producer-Sequence": start}
        try:
            if len(batch) == 1:
                status, _, answer = self.client.post(self.target, batch[0], fields)
            else:
                fields["Content-Type"] = "text/event-stream"
                body = "".join(f"data: {data}\n\n" for data in batch)
                status, _, answer = self.client.post(self.target, body, fields)
        except Refused as refusal:
            # An upload may have been taken in part.
            self.taken = max(self.taken, start + refusal.answer.get("count", 0) + refusal.answer.get("repeated", 0))
            raise
        if status == 409 and self.held is not None and answer["expected"] == self.held < start:
            self.totals.count("holes told after a loss")
            self.taken, self.held = self.held, None
            return
        if status not in (200, 201) or answer["count"] + answer["repeated"] != len(batch):
            where = f"{len(batch)} from {self.epoch} {start}, {self.taken} taken, {self.held} held"
            raise Failed(f"{where}: {status} {answer}")
        if self.held is not None and start > self.held:
            self.fail(f"{start} is taken, though only {self.held} are there", "holes")
        self.held = None
        for number in range(end - answer["count"], end):
            self.known[self.epoch, number] = batch[number - start]
        if answer["count"] == len(batch):
            self.ledger.note(answer["id"], "message", batch[-1])
        self.taken = max(self.taken, end)
        self.totals.count("acknowledged", answer["count"])
        self.totals.count("repeated", answer["repeated"])

    def look(self, client):
        self.state = client.head(self.target, {"Producer-ID": self.name})

    def verify(self, found, is_strict):
        there, last, known_now = {}, None, {}
        for event in found.by_topic.get(self.topic, []):
            topic, name, *rest = event.data.split(" ", 5)
            if name != self.name:
                continue
            epoch, number = int(rest[0]), int(rest[1])
            if event.data not in self.sent:
                self.fail(f"{event.data[:60]}", "events that nobody published")
            if number != (last[1] + 1 if last and last[0] == epoch else 0) or (last and epoch < last[0]):
                self.fail(f"{epoch} {number} after {last}", "twice, out of order, or holes")
            known = self.known.get((epoch, number), event.data)
            if is_strict and known != event.data:
                self.fail(f"{known[:60]} was acknowledged, and is {event.data[:60]}", "twice or another ID")
            known_now[epoch, number] = event.data
            last = (epoch, number)
            there[epoch] = number + 1
        state = tuple(int(self.state.get(name, -1)) for name in ("producer-epoch", "producer-sequence"))
        if state != (last or (-1, -1)):
            self.fail(f"its state is {state}, its last event {last}", "producers whose state is another")
        self.known = known_now
        self.compare_counts(there, is_strict)

    def compare_counts(self, there, is_strict):
        wanted = [*self.done.items(), (self.epoch, self.taken if self.held is None else self.held)]
        is_lost = False
        for epoch, count in wanted:
            now = there.get(epoch, 0)
            if now < count and is_strict:
                self.fail(f"{count - now} from {epoch} {now} on", "lost though acknowledged")
            if is_lost and now:
                self.fail(f"{epoch} has {now}, though earlier ones are lost", "holes")
            is_lost = is_lost or now < count
            if now < count:
                self.totals.count("acknowledged and lost, as allowed", count - now)
        self.done = {epoch: there[epoch] for epoch in self.done if there.get(epoch)}
        now = there.get(self.epoch, 0)
        self.held = now if now < self.taken else None


class Ender(Publisher):
    """Ends one topic after another. Everything has a key, so that it is there once, and the topic complete."""

    def __init__(self, shared, name):
        super().__init__(shared, name)
        self.count = 0
        self.ended = {}  # Of each topic, all data, and the end's ID.
        self.states = {}
        self.begin()

    def begin(self):
        self.topic = f"e/{self.count}"
        self.count += 1
        self.length = self.rng.randint(0, 4)
        self.data, self.ids = [f"{self.topic} {self.name} {number} {self.fill()}" for number in range(self.length)], []

    def step(self):
        time.sleep(0.005)
        number = len(self.ids)
        is_end = number == self.length
        status, found, answer = self.client.post(
            f"/topics/{self.topic}{'?end' if is_end else ''}", "" if is_end else self.data[number],
            {"Idempotency-Key": f"{self.shared.seed} {self.topic} {number}"},
        )
        if status != 201:
            raise Failed(f"{self.topic} {number}: {status} {answer}")
        end = json.dumps({"topic": self.topic}, separators=(",", ":"))
        self.ledger.note(answer["id"], *(("end", end) if is_end else ("message", self.data[number])))
        if is_end:
            self.ended[self.topic] = (self.data, answer["id"])
            self.totals.count("topics ended")
            self.begin()
        else:
            self.ids.append(answer["id"])
            self.totals.count("acknowledged")

    def look(self, client):
        topics = list(self.ended)
        some = topics[-3:] + self.rng.sample(topics, min(2, len(topics))) + [self.topic]
        self.states = {topic: "topic-ended" in client.head(f"/topics/{topic}") for topic in some}

    def verify(self, found, is_strict):
        for topic, is_ended in self.states.items():
            if is_ended != (found.end(topic) is not None):
                self.fail(f"{topic} is ended: {is_ended}; its end is {found.end(topic)}", "ends that do not fit")
        for topic, (data, id) in list(self.ended.items()):
            there = found.data(topic)
            if found.end(topic) == id:
                if there != data:
                    self.fail(f"{topic}: {len(there)} of {len(data)} events", "ended topics that are not complete")
                if found.by_topic[topic][-1].type != "end":
                    self.fail(f"{topic}: {found.by_topic[topic][-1]}", "events after an end")
                continue
            if is_strict or found.end(topic) is not None:
                self.fail(f"{topic} ended with {id}; its end is {found.end(topic)}", "ends lost")
            if there != data[:len(there)]:
                self.fail(f"{topic}: {there}", "holes")
            self.totals.count("ends lost, as allowed")
            del self.ended[topic]
        self.verify_open(found, is_strict)

    def verify_open(self, found, is_strict):
        """The topic that is not ended as far as this knows, of which one more may have been taken."""
        there, count = found.data(self.topic), len(self.ids)
        is_complete = there == self.data[:len(there)] and count <= len(there) <= count + 1
        if is_complete and (found.end(self.topic) is None or len(there) == self.length):
            return
        if is_strict or there != self.data[:len(there)] or found.end(self.topic) is not None:
            self.fail(f"{self.topic}: {len(there)} of {count}, end {found.end(self.topic)}", "lost though acknowledged")
        self.begin()


class Purger(Plain):
    """Publishes some events, and removes them."""

    TOPIC = "purged"

    def __init__(self, shared, name):
        super().__init__(shared, name)
        self.is_purging = False

    def step(self):
        time.sleep(0.005)
        if self.is_purging or len(self.items.acknowledged) > self.rng.randint(3, 60):
            self.is_purging = True
            status, _, answer = self.client.call("DELETE", f"/topics/{self.TOPIC}")
            if status != 200 or answer["removed"] < 0:
                raise Failed(f"{status} {answer}")
            self.is_purging = False
            self.items.never += self.items.acknowledged + self.items.open
            self.items.acknowledged, self.items.open = [], []
            self.totals.count("purges")
        else:
            super().step()

    def verify(self, found, is_strict):
        there = found.data(self.TOPIC)
        if self.is_purging and not there:
            self.items.never += self.items.acknowledged + self.items.open
            self.items.acknowledged, self.items.open, self.is_purging = [], [], False
        if not is_strict:
            # A purge may be lost, too: then what was removed is there again, and in order.
            back = [item for item in self.items.never if item.data in found.by_data]
            self.items.never = [item for item in self.items.never if item.data not in found.by_data]
            for item in back:
                item.id = found.by_data[item.data][0]
            self.items.acknowledged = back + self.items.acknowledged
        self.items.verify(found, is_strict)
        numbers = [int(data.split(" ")[2]) for data in there]
        if numbers != sorted(set(numbers)):
            self.fail(f"{numbers}", "twice or out of order")


class Limited(Publisher):
    """Publishes to a topic that keeps only its last events."""

    TOPIC, LIMIT = "limited", 5

    def __init__(self, shared, name):
        super().__init__(shared, name)
        self.count, self.last, self.is_limited = 0, -1, False

    def step(self):
        time.sleep(0.003)
        if not self.is_limited:
            body = json.dumps({"events": self.LIMIT}).encode()
            self.client.call("PUT", f"/topics/{self.TOPIC}", body, {"Content-Type": "application/json"})
            self.is_limited = True
        data = f"{self.TOPIC} {self.name} {self.count} {self.fill()}"
        self.count += 1
        status, _, answer = self.client.post(f"/topics/{self.TOPIC}", data)
        if status != 201:
            raise Failed(f"{status} {answer}")
        self.ledger.note(answer["id"], "message", data)
        self.last = self.count - 1
        self.totals.count("acknowledged")

    def verify(self, found, is_strict):
        numbers = [int(data.split(" ")[2]) for data in found.data(self.TOPIC)]
        if numbers != sorted(set(numbers)):
            self.fail(f"{numbers}", "twice or out of order")
        if is_strict:
            if self.is_limited and len(numbers) > self.LIMIT:
                self.fail(f"{numbers}", "limits lost")
            if self.last >= 0 and self.last not in numbers and self.count - self.last < self.LIMIT:
                self.fail(f"{self.last} is not among {numbers}", "lost though acknowledged")
        # Set again, as it may be lost.
        self.last, self.is_limited = max(numbers, default=-1), is_strict and self.is_limited


def publishers(shared, are_removing):
    """All publishers, perhaps with those that make the hub remove events."""
    removing = [Purger(shared, "purger"), Limited(shared, "limited")] if are_removing else []
    return [Producer(shared, index) for index in range(3)] + [
        Keys(shared, "keys0"), Keys(shared, "keys1"), Plain(shared, "plain"), Ender(shared, "ender"),
    ] + removing
