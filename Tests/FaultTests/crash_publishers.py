# SPDX-License-Identifier: Apache-2.0
"""The publishers of crash.py. Each keeps what the hub has acknowledged, and sends again what it has not."""

import json
import random
import socket
import threading
import time

from follower import Stream


class Lost(Exception):
    """No answer came, or none that tells: the hub may have taken what was sent, or not."""


class Failed(Exception):
    """The hub did something wrong."""


def text(name, number):
    """The data of an event. A few are larger than a page of a file."""
    return f"{name} {number} " + "x" * (20_000 if number % 500 == 499 else number * 37 % 120)


class Connection:
    """A connection that is kept alive, and opened again after it broke."""

    PATIENCE = 60  # Seconds.

    def __init__(self, hub):
        self.hub, self.socket = hub, None

    def open(self):
        """Connects, if it is not connected; waits for a hub that is away."""
        end = time.monotonic() + self.PATIENCE
        while self.socket is None:
            try:
                self.socket = self.hub.connect()
            except OSError:
                if time.monotonic() > end:
                    raise Failed(f"the hub did not come back within {self.PATIENCE} s")
                time.sleep(0.01)

    def close(self):
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    @staticmethod
    def head(method, target, fields, **more):
        lines = [f"{method} {target} HTTP/1.1", "Host: localhost"]
        lines += [f"{name}: {value}" for name, value in {**fields, **more}.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError as error:
            self.close()
            raise Lost() from error

    def request(self, method, target, fields, body=b""):
        """Returns status, fields and JSON; raises Lost."""
        self.open()
        self.send(self.head(method, target, fields, **{"Content-Length": len(body)}) + body)
        return self.answer(method)

    def upload(self, target, fields, events, rng, pace=None, leaves=False):
        """Streams events, in chunks that may end within one, and perhaps leaves."""
        self.open()
        more = {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"}
        self.send(self.head("POST", target, fields, **more))
        left = rng.randint(0, len(events)) if leaves else None
        for index, data in enumerate(events):
            if index == left:
                break
            event = f"data: {data}\n\n".encode()
            at = rng.choice([len(event), rng.randint(1, len(event))])
            for piece in (event[:at], event[at:]):
                if piece:
                    self.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            if pace:
                pace()
        if leaves:
            self.close()
            raise Lost()
        self.send(b"0\r\n\r\n")
        return self.answer("POST")

    def leave(self, rng, method, target, fields, body):
        """Sends a request, or a part of it, and goes away."""
        self.open()
        data = self.head(method, target, fields, **{"Content-Length": len(body)}) + body
        try:
            self.send(data[:rng.choice([len(data), rng.randint(0, len(data))])])
        except Lost:
            pass
        self.close()

    def answer(self, method):
        answer = b""
        try:
            while b"\r\n\r\n" not in answer:
                answer += self.read()
            head, _, body = answer.partition(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            length = 0 if method == "HEAD" else int(fields.get("content-length", 0))
            while len(body) < length:
                body += self.read()
        except socket.timeout:
            raise Failed(f"no answer within a minute, to {method}")
        except OSError as error:
            self.close()
            raise Lost() from error
        if fields.get("connection") == "close":
            self.close()
        return int(first.split(" ")[1]), fields, json.loads(body) if body else None

    def read(self):
        piece = self.socket.recv(1 << 16)
        if not piece:
            raise ConnectionError("closed")
        return piece


class Publisher(threading.Thread):
    """Publishes events with numbers of its own, each to one topic, until the run is over."""

    KIND = ""

    def __init__(self, shared, index, topic):
        super().__init__(daemon=True)
        self.shared, self.hub, self.totals, self.topic = shared, shared.hub, shared.totals, topic
        self.index = index
        self.name = f"{self.KIND}/{index}"
        self.target = f"/topics/{topic}"
        self.rng = random.Random(f"{shared.seed}/{self.name}")
        self.connection = Connection(shared.hub)
        self.due = time.monotonic()
        self.next = 0  # Number of the next event.
        self.acknowledged = {}  # IDs by number; None if the answer did not name it.

    def run(self):
        try:
            while not self.shared.is_over.is_set():
                self.step()
            self.finish()
        except Lost:
            self.totals.fail(f"{self.name}: no answer though it was asked without a kill")
        except Exception as error:
            self.totals.fail(f"{self.name}: {type(error).__name__} {error}", "publishers that gave up")
        self.connection.close()

    def finish(self):
        pass

    def pace(self):
        now = time.monotonic()
        self.due = max(self.due, now - 0.2) + self.shared.interval
        if self.due > now:
            time.sleep(self.due - now)

    def text(self, number):
        return text(self.name, number)

    def acknowledge(self, number, id):
        self.acknowledged[number] = id
        if id is not None:
            self.shared.note(id, self.topic, "message", self.text(number))
        self.totals.count("acknowledged")

    def check(self, status, answer):
        """Whether it is an answer that decides; raises Lost if it says that it does not know."""
        if status != 503:
            return True
        self.totals.count(f"answers {answer['code']}")
        if answer["code"] == "outcome-unknown":
            raise Lost()
        if answer["code"] != "not-taken":
            raise Failed(f"{status} {answer}")
        time.sleep(0.1)
        return False

    def post(self, target, fields, body):
        """Publishes, again while the hub says that it has not taken it, for a minute; raises Lost."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            status, found, answer = self.connection.request("POST", target, fields, body)
            if self.check(status, answer):
                return status, found, answer
        raise Failed("for a minute the hub has taken nothing")

    def insist(self, target, fields, body):
        """Publishes until there is an answer. Returns also whether that may be a repetition."""
        is_repeated = False
        if self.rng.random() < 0.01:
            self.connection.leave(self.rng, "POST", target, fields, body)
            is_repeated = True
            self.totals.count("left before the answer")
        while True:
            try:
                return (*self.post(target, fields, body), is_repeated)
            except Lost:
                is_repeated = True
                self.totals.count("resent after lost answers")


class Plain(Publisher):
    """Cannot be recognised: what had no answer may be there or not, and is followed by an event of another number."""

    KIND = "plain"

    def __init__(self, shared, index, topic):
        super().__init__(shared, index, topic)
        self.uploads = []  # First numbers, and those after the last. What is there of one must be its beginning.

    def step(self):
        if self.rng.random() < 0.02:
            return self.upload()
        self.pace()
        self.next += 1
        try:
            status, _, answer = self.post(self.target, {}, self.text(self.next - 1).encode())
        except Lost:
            return self.totals.count("resent after lost answers")
        if status != 201:
            raise Failed(f"{status} {answer}")
        self.acknowledge(self.next - 1, answer["id"])

    def upload(self):
        first, self.next = self.next, self.next + self.rng.randint(1, 20)
        self.uploads.append((first, self.next))
        events = [self.text(number) for number in range(first, self.next)]
        try:
            status, _, answer = self.connection.upload(self.target, {}, events, self.rng, self.pace)
        except Lost:
            return self.totals.count("resent after lost answers")
        taken = range(first, first + answer["count"])
        for number in taken:
            self.acknowledge(number, answer["id"] if number == taken[-1] else None)
        try:
            decides = self.check(status, answer)
        except Lost:
            return
        if decides and (status != 201 or answer["count"] != len(events)):
            raise Failed(f"{status} {answer} for {len(events)} events")


class Keys(Publisher):
    """Each event has a key, and is sent under it until it is answered."""

    KIND = "key"

    def step(self):
        self.pace()
        number, self.next = self.next, self.next + 1
        id, is_replayed, is_repeated = self.send(number)
        if is_replayed and not is_repeated:
            raise Failed(f"number {number} was taken for a repetition and is none")
        self.acknowledge(number, id)
        if self.rng.random() < 0.02:
            old = self.rng.randrange(self.next)
            id, is_replayed, _ = self.send(old)
            if not is_replayed or id != self.acknowledged[old]:
                raise Failed(f"number {old}, {self.acknowledged[old]}, was not recognised; it was given {id}")

    def send(self, number):
        data = self.text(number)
        key = f"{self.shared.seed} {self.name} {number}"
        status, found, answer, is_repeated = self.insist(self.target, {"Idempotency-Key": key}, data.encode())
        if status != 201:
            raise Failed(f"{status} {answer} for number {number}")
        is_replayed = "idempotent-replayed" in found
        self.totals.count("recognised repetitions", is_replayed)
        return answer["id"], is_replayed, is_repeated


class Numbered(Publisher):
    """A producer: each event is sent under its number until it is answered. Now and then it begins a new epoch."""

    KIND = "producer"

    def __init__(self, shared, index, topic):
        super().__init__(shared, index, topic)
        self.epoch, self.first = 0, 0  # The first event of the epoch has the number 0 there.

    def fields(self, sequence, epoch=None):
        return {
            "Producer-ID": self.name, "Producer-Epoch": self.epoch if epoch is None else epoch,
            "Producer-Sequence": sequence,
        }

    def step(self):
        self.pace()
        number, self.next = self.next, self.next + 1
        status, _, answer, is_repeated = self.send(number)
        if status == 200 and not is_repeated:
            raise Failed(f"number {number} was taken for a repetition and is none: {answer}")
        self.acknowledge(number, answer["id"])
        choice = self.rng.random()
        if choice < 0.02:
            status, _, answer, _ = self.send(self.rng.randint(self.first, number))
            if status != 200:
                raise Failed(f"a repetition was not recognised: {status} {answer}")
        elif choice < 0.03 and self.epoch > 0:
            self.fenced()
        elif choice < 0.035:
            self.epoch, self.first = self.epoch + 1, self.next

    def send(self, number):
        fields = self.fields(number - self.first)
        status, found, answer, is_repeated = self.insist(self.target, fields, self.text(number).encode())
        if status not in (200, 201) or (answer["count"], answer["repeated"]) != ((1, 0) if status == 201 else (0, 1)):
            raise Failed(f"{status} {answer} for number {number - self.first} of epoch {self.epoch}")
        self.totals.count("recognised repetitions", status == 200)
        return status, found, answer, is_repeated

    def fenced(self):
        """Publishes under the epoch before."""
        try:
            status, found, answer = self.post(self.target, self.fields(0, self.epoch - 1), b"fenced")
        except Lost:
            return
        if status != 403 or answer["code"] != "producer-fenced" or int(found["producer-epoch"]) != self.epoch:
            raise Failed(f"epoch {self.epoch - 1} was not refused, though {self.epoch} has begun: {status} {answer}")
        self.totals.count("fences told")


class Uploads(Numbered):
    """A producer that streams: after a lost answer it sends the whole stream again, or what the hub has not."""

    KIND = "upload"

    def step(self):
        first, self.next = self.next, self.next + self.rng.randint(1, 40)
        start, pace, last_id = first, self.pace, None
        while start < self.next:
            events = [self.text(number) for number in range(start, self.next)]
            leaves = pace is not None and self.rng.random() < 0.03
            try:
                status, _, answer = self.connection.upload(
                    self.target, self.fields(start), events, self.rng, pace, leaves
                )
                if not self.check(status, answer):
                    # Of an upload that a shutdown ends, the first events may be taken.
                    pace = None
                    continue
            except Lost:
                self.totals.count("left before the answer" if leaves else "resent after lost answers")
                pace = None
                if self.rng.random() < 0.5:
                    start = max(start, self.ask(first))
                continue
            if status not in (200, 201) or answer["count"] + answer["repeated"] != len(events):
                raise Failed(f"{status} {answer} for {len(events)} events from {start}")
            if answer["repeated"] and pace:
                raise Failed(f"{answer} from {start}: none of them is a repetition")
            self.totals.count("recognised repetitions", answer["repeated"])
            start, last_id = self.next, answer["id"]
        for number in range(first, self.next):
            self.acknowledge(number, last_id if number == self.next - 1 else None)

    def ask(self, first):
        """The number after the last that the hub says it has."""
        while True:
            try:
                status, found, _ = self.connection.request("HEAD", self.target, {"Producer-ID": self.name})
                break
            except Lost:
                continue
        self.totals.count("asked for the last number")
        last = int(found.get("producer-sequence", -1))
        if status != 200 or not first - 1 <= last < self.next:
            raise Failed(f"the last number is said to be {last}; {first} were acknowledged, and {self.next} exist")
        return last + 1


class Ender(Publisher):
    """Publishes a few events to a topic of its own and ends it, and so on; looks at some again after each restart."""

    KIND = "ender"

    def __init__(self, shared, index):
        super().__init__(shared, index, None)
        self.ended = {}  # By topic: its end's ID, and its data in order.
        self.looked = shared.hub.starts

    def step(self):
        self.topic = f"end/{self.name}/{len(self.ended)}"
        self.target = f"/topics/{self.topic}"
        way = self.rng.choice(["producer", "key", "bare"])
        data = []
        for sequence in range(self.rng.randint(0, 6)):
            time.sleep(0.01)
            self.publish(way, sequence, data, "")
        self.publish(way, len(data), data, "?end")
        if self.looked != self.hub.starts:
            self.looked = self.hub.starts
            topics = list(self.ended)
            # Some of the last were ended just before the kill.
            for topic in topics[-5:] + self.rng.sample(topics, min(4, len(topics))):
                self.look(topic)

    def publish(self, way, sequence, data, query):
        """Publishes an event or ends the topic, or both, and insists on it."""
        if way == "producer":
            fields = {"Producer-ID": self.name, "Producer-Epoch": 0, "Producer-Sequence": sequence}
        elif way == "key" or not query:
            fields = {"Idempotency-Key": f"{self.shared.seed} {self.topic} {sequence}"}
        else:
            fields = {}
        bodies = [self.text(self.next)]
        if query and (way == "bare" or self.rng.random() < 0.5):
            bodies = []
        status, found, answer, is_repeated = self.insist(self.target + query, fields, "".join(bodies).encode())
        repeated = status == 200 or "idempotent-replayed" in found
        if status not in (200, 201) or repeated and not is_repeated:
            raise Failed(f"{self.topic}{query} by {way}: {status} {answer}")
        self.totals.count("recognised repetitions", repeated)
        self.next += len(bodies)
        data += bodies
        self.totals.count("acknowledged", len(bodies) + bool(query))
        if query:
            self.ended[self.topic] = (answer["id"], data)
            end = json.dumps({"topic": self.topic}, separators=(",", ":"))
            self.shared.note(answer["id"], self.topic, "end", end)
            self.totals.count("ended topics")

    def look(self, topic):
        """Checks that a topic is still ended, and holds what it should."""
        end, data = self.ended[topic]
        received, last = [], None
        with self.shared.no_kill:
            # The connection may have been broken by a kill before.
            self.connection.close()
            status, _, answer = self.post(f"/topics/{topic}", {}, b"late")
            if status != 409 or answer["code"] != "topic-ended" or answer["id"] != end:
                raise Failed(f"{topic} has ended with {end}, and answers {status} {answer}")
            with Stream(self.hub, f"/topics/{topic}", end) as stream:
                if stream.status != 204:
                    raise Failed(f"{topic} after its end {end}: {stream.status}")
            with Stream(self.hub, f"/topics/{topic}", "earliest") as stream:
                for fields in stream.blocks(seconds=20):
                    if last is not None:
                        raise Failed(f"{topic}: {fields} after its end")
                    if fields.get("event") == "end":
                        last = fields["id"]
                    elif "data" in fields:
                        received.append(fields["data"])
        if (received, last) != (data, end):
            received, wanted = ([one[:30] for one in several] for several in (received, data))
            raise Failed(f"{topic}: {received} {last} instead of {wanted} {end}")
        self.totals.count("looks at ended topics")

    def finish(self):
        for topic in self.ended:
            self.look(topic)
