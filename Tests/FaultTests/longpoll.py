#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares a long-poll client with a stream while events are published and topics are purged.

    Tests/FaultTests/longpoll.py --plinth PROGRAM [--seconds 30] [--seed NUMBER] [--rate 500]

Both begin at the same mark and ask for the same topics and pattern; both are interrupted now and then, the stream by
closing it and the long-poll by a pause, and resume. Each must receive every event, once and in order, but those that a
gap of its own excuses, which must have been purged. Both must be told of the same ends. The status is 1 if anything
failed.
"""

import http.client
import json
import random
import sys
import threading
import time
import urllib.request

from hub import Hub, Totals, options as parse

TOPICS = ["a", "b", "c/1", "c/2"]
QUERY = "topic=a&topic=b&match=c/*"


def call(hub, method, target, body=None):
    url = f"http://127.0.0.1:{hub.port}{target}"
    with urllib.request.urlopen(urllib.request.Request(url, data=body, method=method), timeout=60) as answer:
        text = answer.read()
        return answer, json.loads(text) if text else None


class Publisher:
    """One connection, for the rate."""

    def __init__(self, hub):
        self.connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=60)

    def call(self, method, target, body=None):
        self.connection.request(method, target, body, {"Host": "localhost"})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise OSError(f"{method} {target}: {answer.status} {text}")
        return json.loads(text)


def number(id):
    return int(id.split("\t")[0].rsplit("-", 1)[1])


class Subscriber(threading.Thread):
    def __init__(self, hub, mark, seed, totals):
        super().__init__(daemon=True)
        self.hub, self.last, self.totals = hub, mark, totals
        self.rng = random.Random(f"{seed}/{type(self).__name__}")
        self.received = []  # Numbers, topics, types and data.
        self.gaps = []  # From and to numbers.
        self.is_over = False

    def run(self):
        try:
            while not self.is_over:
                self.read()
        except Exception as error:
            self.totals.fail(f"{type(self).__name__}: {type(error).__name__} {error}")

    def gap(self, gap):
        if gap["through"] is not None:
            self.gaps.append((number(gap["requested"]), number(gap["through"])))

    def event(self, id, topic, type, data):
        if self.received and number(id) <= self.received[-1][0]:
            self.totals.fail(f"{self.__class__.__name__}: {id} after {self.received[-1]}")
        self.received.append((number(id), topic, type, data))
        self.is_over = self.is_over or data == "over"


class Stream(Subscriber):
    def read(self):
        connection = self.hub.connect()
        target = f"/topics?{QUERY}&last-event-id={self.last}"
        connection.sendall(f"GET {target} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        end = time.monotonic() + self.rng.uniform(0.5, 4)
        buffer, head = b"", True
        while time.monotonic() < end and not self.is_over:
            piece = connection.recv(1 << 16)
            if not piece:
                break
            buffer += piece
            if head:
                if b"\r\n\r\n" not in buffer:
                    continue
                buffer, head = buffer.split(b"\r\n\r\n", 1)[1], False
            *blocks, buffer = buffer.split(b"\n\n")
            for block in blocks:
                fields = dict(line.split(": ", 1) for line in block.decode().split("\n") if ": " in line)
                id, _, topic = fields.get("id", "").partition("\t")
                if fields.get("event") == "gap":
                    self.gap(json.loads(fields["data"]))
                elif "data" in fields:
                    self.event(id, topic, fields.get("event", "message"), fields["data"])
                if id:
                    self.last = id
        connection.close()
        self.totals.count("streams")
        # Away for a while, so that there is something to resume.
        time.sleep(self.rng.uniform(0, 0.5))


class LongPoll(Subscriber):
    def read(self):
        wait = self.rng.choice(["0", "1s", "10s"])
        _, answer = call(self.hub, "GET", f"/topics?{QUERY}&last-event-id={self.last}&wait={wait}")
        if answer["gap"]:
            self.gap(answer["gap"])
        for event in answer["events"]:
            self.event(event["id"], event["topic"], event["type"], event["data"])
        self.last = answer["next"]
        self.totals.count("long-polls")
        if self.rng.random() < 0.05:
            time.sleep(self.rng.uniform(0, 1))


def publish(hub, rng, rate, seconds, published, totals):
    begin = time.monotonic()
    publisher, count = Publisher(hub), 0
    ended = set()
    while (now := time.monotonic() - begin) < seconds:
        if count > now * rate:
            time.sleep(0.001)
            continue
        topic = rng.choice(TOPICS)
        if rng.random() < 0.004:
            publisher.call("DELETE", f"/topics/{topic}")
            ended.discard(topic)
            totals.count("purges")
            continue
        if topic in ended:
            continue
        count += 1
        if rng.random() < 0.002:
            answer = publisher.call("POST", f"/topics/{topic}?end", b"")
            ended.add(topic)
            published[number(answer["id"])] = (topic, "end", json.dumps({"topic": topic}).replace(" ", ""))
            totals.count("ends")
            continue
        topics = [topic]
        if rng.random() < 0.1 and (other := rng.choice(TOPICS)) not in ended | {topic}:
            topics.append(other)
        target = "/topics?" + "&".join(f"topic={one}" for one in topics)
        data = f"event {count}"
        answer = publisher.call("POST", target, data.encode())
        published[number(answer["id"])] = (topics, "message", data)
    totals.count("events a second", round(count / seconds))
    for topic in TOPICS:
        if topic in ended:
            call(hub, "DELETE", f"/topics/{topic}")
    _, answer = call(hub, "POST", "/topics/a", b"over")
    published[number(answer["id"])] = (["a"], "message", "over")
    totals.count("published", len(published))


def main():
    options = parse(__doc__, seconds=30, rate=500.0)
    totals = Totals()
    hub = Hub(options.plinth)
    try:
        answer, _ = call(hub, "HEAD", "/topics/a")
        mark = answer.headers["Last-Event-ID"]
        subscribers = [Stream(hub, mark, options.seed, totals), LongPoll(hub, mark, options.seed, totals)]
        for subscriber in subscribers:
            subscriber.start()
        published = {}
        publish(hub, random.Random(options.seed), options.rate, options.seconds, published, totals)
        for subscriber in subscribers:
            subscriber.join(60)
            if subscriber.is_alive():
                totals.fail(f"{type(subscriber).__name__} does not end")
            check(subscriber, published, totals)
    finally:
        hub.close()
    return totals.report()


def check(subscriber, published, totals):
    name = type(subscriber).__name__
    for at, topic, type_, data in subscriber.received:
        topics, expected, text = published.get(at, ([], None, None))
        if topic not in topics or type_ != expected or data != text:
            totals.fail(f"{name} received {(at, topic, type_, data)}; published was {published.get(at)}")
    received = {at for at, *_ in subscriber.received}
    missing = [at for at in published if at not in received]
    silent = [at for at in missing if not any(start < at <= through for start, through in subscriber.gaps)]
    if silent:
        totals.fail(f"{name} received neither {silent[:5]} nor a gap in their place")
    totals.count(f"{name} received", len(received))
    totals.count(f"{name} missed by its gaps", len(missing))


if __name__ == "__main__":
    sys.exit(main())
