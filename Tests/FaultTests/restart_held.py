# SPDX-License-Identifier: Apache-2.0
"""What a copy of a history holds and knows, as a hub of its own says; restart.py compares it with what it should."""

import collections
import os
import shutil

from client import Client
from crash import brief
from crash_publishers import Connection, Ender, Failed, Keys, Numbered
from hub import Hub, free_port

BESIDE = "beside.sqlite"


class Held:
    """The events of a copy, in their order."""

    def __init__(self, events):
        self.events, self.ids = events, {event[0] for event in events}
        self.by_topic = collections.defaultdict(list)
        for event in events:
            self.by_topic[event[1]].append(event)
        self.epochs = set()  # All that there were when it was put back.

    def numbers(self, publisher):
        """IDs of a publisher's events, by their numbers."""
        log, start = self.by_topic[publisher.topic], f"{publisher.name} "
        return {int(data.split(" ", 2)[1]): id for id, _, _, data in log if data.startswith(start)}

    def is_older(self, id):
        """Whether an ID was given before the copy was put back."""
        return epoch(id) in self.epochs

    def has_lost(self, id):
        return self.is_older(id) and id not in self.ids


def epoch(id):
    return id.rsplit("-", 1)[0]


class Acknowledged:
    """What was acknowledged at a moment, while publishers go on."""

    def __init__(self, load):
        self.published = [(one, dict(one.acknowledged)) for one in load.publishers]
        self.ended = dict(load.ender.ended)


def inspect(load, folder, file, acknowledged, rng):
    """Starts a hub with a copy of a file and its log, and checks that it has what was acknowledged before."""
    beside = os.path.join(folder, BESIDE)
    for end in ("", "-wal"):
        if os.path.exists(os.path.join(folder, file + end)):
            shutil.copy(os.path.join(folder, file + end), beside + end)
    hub = Hub(load.hub.program, free_port(), [*load.hub.options[:-1], beside])
    try:
        client = Client(hub, patience=60)
        events, gaps = client.read("match=**")
        client.connection.close()
        if gaps:
            load.totals.fail(f"a copy of {file} tells {gaps} from earliest", "copies")
        held = Held([load.shared.note(*event) for event in events])
        check(acknowledged, held, load.totals)
        ask(load, hub, held, acknowledged, rng)
        if (status := hub.close()) != 0:
            load.totals.fail(f"the hub of a copy ended with {status} after SIGTERM")
    finally:
        hub.process.kill()
    for name in os.listdir(folder):
        if name.startswith(BESIDE):
            os.remove(os.path.join(folder, name))
    load.totals.count("events in copies", len(events))
    return held


def check(acknowledged, held, totals):
    for publisher, ids in acknowledged.published:
        there = held.numbers(publisher)
        if lost := [at for at in ids if at not in there]:
            totals.fail(f"{publisher.name}: {len(lost)} of {len(ids)}, such as number {lost[0]}, {ids[lost[0]]}",
                        "not in the copy though acknowledged before")
        compare_ids(publisher, ids, there, totals)
    for topic, (end, data) in acknowledged.ended.items():
        log = held.by_topic[topic]
        if [one[3] for one in log[:-1]] != data or [one[0] for one in log[-1:]] != [end]:
            totals.fail(f"{topic}, ended with {end}: {[brief(one) for one in log]}", "ended topics in the copy")
    totals.count("times that a copy was compared")


def compare_ids(publisher, ids, there, totals):
    for at, id in ids.items():
        if id is not None and there.get(at, id) != id:
            totals.fail(f"{publisher.name}: number {at} was acknowledged as {id} and is {there[at]}",
                        "other IDs in the copy")


def ask(load, hub, held, acknowledged, rng):
    """Sends a copy's hub what it must recognise, and what it must not."""
    shared = type(load.shared)(hub, load.totals, load.options)
    for publisher in load.publishers:
        try:
            recognise(publisher, type(publisher)(shared, publisher.index, publisher.topic), held, rng)
        except Failed as error:
            load.totals.fail(f"{publisher.name}: {error}", "repetitions sent to the copy")
    ender = Ender(shared, 0)
    ender.ended = acknowledged.ended
    try:
        for topic in rng.sample(sorted(ender.ended), min(10, len(ender.ended))):
            ender.look(topic)
    except Failed as error:
        load.totals.fail(str(error), "topics ended in the copy")
    connection = Connection(hub)
    for number in range(3):
        # It has the same number as an event of the other hub, so it must have another epoch.
        data = f"beside {number} {rng.random()}"
        status, _, answer = connection.request("POST", "/topics/beside", {}, data.encode())
        if status != 201:
            load.totals.fail(f"the copy's hub answers {status} {answer}", "copies")
        else:
            load.shared.note(answer["id"], "beside", "message", data)
    connection.close()


def recognise(publisher, twin, held, rng):
    """Sends again what is in the copy, as a twin of a publisher, which goes on meanwhile."""
    there = held.numbers(publisher)
    if not there:
        return
    last = max(there)
    if isinstance(publisher, Keys):
        for number in {last, rng.choice(list(there))}:
            id, is_replayed, _ = twin.send(number)
            if not is_replayed or id != there[number]:
                raise Failed(f"number {number}, {there[number]}, was not recognised; it was given {id}")
    elif isinstance(publisher, Numbered):
        twin.epoch, twin.first = publisher.epoch_of(last)
        for number in {last, rng.randint(twin.first, last)}:
            status, _, answer, _ = twin.send(number)
            if status != 200 or answer["id"] != there[number] and number == last:
                raise Failed(f"number {number}, {there[number]}, was not recognised: {status} {answer}")
        if twin.epoch > 0:
            twin.fenced()
    twin.connection.close()
