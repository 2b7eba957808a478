# SPDX-License-Identifier: Apache-2.0
"""What the publishers of restart.py do after a copy was put back: they go on after the last event that it holds."""

from crash_publishers import Connection, Numbered, Plain
from restart_held import compare_ids


def rewind(load, held, index):
    connection = Connection(load.hub)
    for publisher in load.publishers:
        there = held.numbers(publisher)
        if isinstance(publisher, Numbered):
            ask(publisher, connection, there, load.totals)
        compare_ids(publisher, publisher.acknowledged, there, load.totals)
        publisher.acknowledged = {at: id for at, id in publisher.acknowledged.items() if at in there}
        if not isinstance(publisher, Plain):
            send_again(publisher, there, load.totals)
    rewind_ender(load, held, index, connection)
    connection.close()


def send_again(publisher, there, totals):
    """Lets a publisher begin with the first event that is lost, under the same key or number."""
    if sorted(there) != list(range(len(there))):
        totals.fail(f"{publisher.name}: there are holes in {sorted(there)[:1000]}", "copies with holes")
    totals.count("events sent again after a copy was put back", publisher.next - len(there))
    publisher.next = len(there)
    if isinstance(publisher, Numbered):
        publisher.epoch, publisher.first = publisher.epoch_of(publisher.next)
        del publisher.firsts[publisher.epoch + 1:]


def ask(publisher, connection, there, totals):
    """A producer, which does not know yet that a copy was put back, is told which number that knows."""
    known = publisher.epoch_of(max(there)) if there else None
    wanted = {"producer-epoch": str(known[0]), "producer-sequence": str(max(there) - known[1])} if known else {}
    _, found, _ = connection.request("HEAD", publisher.target, {"Producer-ID": publisher.name})
    found = {name: value for name, value in found.items() if name.startswith("producer-")}
    if found != wanted:
        totals.fail(f"{publisher.name}: {found} instead of {wanted}", "producers told another number")
    is_known = known is not None and known[0] == publisher.epoch
    expected = len(there) - known[1] if is_known else 0
    sequence = publisher.next - publisher.first
    if sequence == expected:
        # Nothing is lost that it would miss.
        return
    status, _, answer = connection.request("POST", publisher.target, publisher.fields(sequence), b"too early")
    if status != 409 or answer.get("expected") != expected or answer.get("known") != (known is not None):
        totals.fail(f"{publisher.name}: {status} {answer}; {expected} would be next", "producers told another number")
    totals.count("producers told the number that the copy knows")


def rewind_ender(load, held, index, connection):
    """Topics whose end is lost are open again."""
    ender = load.ender
    lost = [topic for topic, (end, _) in ender.ended.items() if end not in held.ids]
    for topic in lost[:3]:
        status, _, answer = connection.request("POST", f"/topics/{topic}", {}, b"open again")
        if status != 201:
            load.totals.fail(f"{topic}, whose end is lost: {status} {answer}", "topics that are not open again")
    for topic in lost:
        del ender.ended[topic]
    # Its next topic may be there in part, and so may what it has published there.
    ender.name = f"{ender.KIND}/{index + 1}"
    load.totals.count("ends lost with a copy put back", len(lost))
