# SPDX-License-Identifier: Apache-2.0
"""What a grant does not show, and what it does not allow, for authorization.py."""

from urllib.parse import urlencode

from authorization_http import Exchange, ask, open_stream
from authorization_tokens import claims, match, token

HIDDEN = ("What may not be seen is not told: no event, no `end`, no count; "
          "an event of several topics names the first visible one.")
EXACT = "Exact topics outside the grant: 403 for the whole request, naming them."
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def publish(server, root, topics, data, query=""):
    """Publishes one event as the one who may; returns its ID."""
    target = "/topics?" + urlencode([("topic", topic) for topic in topics]) + query
    return ask(server, "POST", target, bearer=root, body=data.encode()).json["id"]


def mark(server, root):
    return ask(server, "HEAD", "/topics?match=**", bearer=root).field("Last-Event-ID")


def run(world):
    everything = [match("**")]
    root = token(claims("root", everything, everything, True), world.secret)
    with world.serve_secret("--topic-events", "4") as server:
        hidden(world, server, root)
        refused(world, server, root)
        narrow_rights(world, server, root)


def only_visible(stream, expected, server):
    """A stream has exactly these events, and no trace of foreign topics."""
    got = [(event["type"], event["data"], event["topic"]) for event in stream.events]
    server.checks.expect(got == expected, f"{stream.report()}\n    expected: {expected}", HIDDEN)
    server.checks.expect("foreign" not in stream.body, stream.report(), HIDDEN)


def hidden(world, server, root):
    checks = server.checks
    alice = token(claims("alice", ["own/1"], [match("own/*"), "shared"]), world.secret)
    start = mark(server, root)
    streams = [open_stream(server, f"/topics?{query}", bearer=alice)
               for query in ("match=**", "topic=own/1&topic=own/2&topic=shared&match=foreign/*",
                             "match=*/*&topic=shared&match=own/**")]
    form = Exchange(server, "POST", "/topics", FORM, b"match=**&topic=shared", bearer=alice)
    form.until(lambda one: "retry:" in one.body)
    streams.append(form)
    publish(server, root, ["foreign/1"], "not for alice")
    publish(server, root, ["own/1"], "one")
    publish(server, root, ["foreign/1", "own/2"], "both")
    publish(server, root, ["foreign/9", "shared"], "shared")
    publish(server, root, ["foreign/1", "foreign/2"], "not for alice")
    ask(server, "POST", "/topics/foreign/e?end", bearer=root, body=b"not for alice")
    last = publish(server, root, ["own/1"], "over")
    expected = [("message", "one", "own/1"), ("message", "both", "own/2"), ("message", "shared", "shared"),
                ("message", "over", "own/1")]
    for stream in streams:
        stream.until(lambda one: "over" in one.data)
        only_visible(stream, expected, server)
        stream.close()

    # The same, replayed.
    for query in ("match=**", "match=foreign/*&match=own/*&topic=shared"):
        for position in (start, "earliest"):
            stream = open_stream(server, f"/topics?{query}&last-event-id={position}", bearer=alice)
            stream.until(lambda one: "over" in one.data)
            only_visible(stream, expected, server)
            stream.close()

    # And by long-polls: nothing but what is visible, and no foreign event wakes one.
    answer = ask(server, "GET", f"/topics?match=**&wait=0&last-event-id={start}", bearer=alice)
    got = [(event["type"], event["data"], event["topic"]) for event in answer.json.get("events", [])]
    whole = got == expected and answer.json.get("gap") is None and answer.json.get("more") is False
    checks.expect(whole and "foreign" not in answer.body, f"{answer.report()}\n    expected: {expected}", HIDDEN)
    answer = ask(server, "GET", f"/topics?match=foreign/*&wait=0&last-event-id={start}", bearer=alice)
    checks.expect(answer.json.get("events") == [], answer.report(), "Patterns: … carries what is wanted and visible.")
    waiting = Exchange(server, "GET", f"/topics?match=**&wait=20s&last-event-id={last}", bearer=alice)
    publish(server, root, ["foreign/1"], "not for alice")
    ask(server, "POST", "/topics/foreign/f?end", bearer=root)
    ask(server, "DELETE", "/topics/foreign/f", bearer=root)
    publish(server, root, ["own/1"], "woken")
    waiting.finish()
    data = [event["data"] for event in waiting.json.get("events", [])]
    checks.expect(data == ["woken"], waiting.report(), HIDDEN)

    # An event whose wanted topic is foreign and whose visible one is not wanted.
    stream = open_stream(server, "/topics?match=foreign/*&topic=own/9", bearer=alice)
    publish(server, root, ["foreign/1", "own/1"], "neither")
    publish(server, root, ["own/9"], "over")
    stream.until(lambda one: "over" in one.data)
    only_visible(stream, [("message", "over", "own/9")], server)
    stream.close()

    gaps(server, root, alice)
    ends(world, server, root, alice)


def gaps(server, root, alice):
    """What history no longer holds of foreign topics leaves no gap."""
    checks = server.checks
    for how in ("trimmed", "purged"):
        start = mark(server, root)
        publish(server, root, ["own/1"], "kept")
        for number in range(8 if how == "trimmed" else 1):
            publish(server, root, [f"foreign/{how}"], f"{number}")
        if how == "purged":
            ask(server, "DELETE", f"/topics/foreign/{how}", bearer=root)
        publish(server, root, ["own/2"], "over")
        because = f"Live, replay, `missing` … ask the one function: no gap where a foreign topic was {how}."
        for query in ("match=**", "match=foreign/*&topic=own/1&topic=own/2", "topic=own/1&topic=own/2"):
            stream = open_stream(server, f"/topics?{query}&last-event-id={start}", bearer=alice)
            stream.until(lambda one: "over" in one.data)
            types = [event["type"] for event in stream.events]
            # Of a purged topic only the log's floor is known: then a gap may be told without need.
            if how == "purged" and query == "match=**":
                types = [type for type in types if type != "gap"]
            checks.expect(types == ["message", "message"], stream.report(), because)
            stream.close()
        answer = ask(server, "GET", f"/topics?match=**&wait=0&last-event-id={start}", bearer=alice)
        if how == "trimmed":
            checks.expect(answer.json.get("gap") is None, answer.report(), because)
        seen = open_stream(server, f"/topics?match=**&last-event-id={start}", bearer=root)
        seen.until(lambda one: "over" in one.data)
        gap = next((event["data"] for event in seen.events if event["type"] == "gap"), None)
        checks.expect(gap is not None, seen.report(), "never silently incomplete (a gap, for who may see)")
        checks.expect("foreign" not in (gap or ""), seen.report(), "Gaps: IDs only.")
        seen.close()


def ends(world, server, root, alice):
    """Ends, live and replayed, in streams, long-polls and HEAD."""
    checks = server.checks
    start = mark(server, root)
    live = open_stream(server, "/topics?match=**", bearer=alice)
    ask(server, "POST", "/topics/foreign/end?end", bearer=root, body=b"")
    ask(server, "POST", "/topics/own/end?end", bearer=root, body=b"")
    publish(server, root, ["own/1"], "over")
    replayed = open_stream(server, f"/topics?match=**&last-event-id={start}", bearer=alice)
    for stream in (live, replayed):
        stream.until(lambda one: "over" in one.data)
        types = [event["type"] for event in stream.events]
        checks.expect(types == ["end", "message"] and "foreign" not in stream.body, stream.report(), HIDDEN)
        stream.close()
    late = open_stream(server, "/topics?match=foreign/*&topic=own/8", bearer=alice)
    publish(server, root, ["own/8"], "over")
    late.until(lambda one: "over" in one.data)
    checks.expect("end" not in [event["type"] for event in late.events], late.report(), HIDDEN)
    late.close()
    checks.answer(ask(server, "HEAD", "/topics/own/end", bearer=alice), 200,
                  because="`Topic-Ended: true` if all have ended",
                  fields={"Topic-Ended": "true"})
    # A grant of one topic does not make a pattern's stream one that ends.
    exact, last = token(claims("exact", [], ["own/end"]), world.secret), mark(server, root)
    checks.answer(ask(server, "HEAD", "/topics?match=**", bearer=exact), 200, because=HIDDEN, lacks=["Topic-Ended"])
    stream = open_stream(server, f"/topics?match=**&last-event-id={last}", bearer=exact)
    checks.expect(not stream.is_whole, stream.report(), "with a pattern it never ends by itself")
    stream.close()
    answer = ask(server, "GET", f"/topics?match=**&wait=0&last-event-id={start}", bearer=exact)
    checks.expect(answer.json.get("ended") is False, answer.report(), "with a pattern it never ends by itself")
    checks.answer(ask(server, "HEAD", "/topics?match=**", bearer=alice), 200, because=HIDDEN, lacks=["Topic-Ended"])
    checks.answer(ask(server, "GET", "/topics/foreign/end?last-event-id=" + mark(server, root), bearer=alice), 403,
                  "forbidden",
                  "204 is of those who may subscribe")


def refused(world, server, root):
    checks = server.checks
    alice = token(claims("alice", ["own/1"], [match("own/*"), "shared"]), world.secret)
    before = mark(server, root)
    for method, target, body in (
        ("GET", "/topics/foreign/1", None), ("HEAD", "/topics/foreign/1", None),
        ("GET", "/topics/foreign/1?wait=0", None), ("GET", "/topics?topic=own/1&topic=foreign/1", None),
        ("GET", "/topics?topic=foreign/1&match=**", None), ("HEAD", "/topics?topic=own/1&topic=foreign/1", None),
        ("GET", "/topics?topic=foreign/1&wait=0&last-event-id=earliest", None), ("POST", "/topics/foreign/1", b"x"),
        ("POST", "/topics/own/2", b"x"), ("POST", "/topics?topic=own/1&topic=foreign/1", b"x"),
        ("POST", "/topics/foreign/1?end", b""), ("POST", "/topics/own/2?end", b""), ("DELETE", "/topics/own/1", None),
        ("PUT", "/topics/own/1", b"{}"), ("GET", "/status", None), ("DELETE", "/subjects/alice", None),
        ("DELETE", "/subjects/root", None),
    ):
        fields = {"Content-Type": "application/json"} if method == "PUT" else {}
        checks.answer(ask(server, method, target, fields, body, bearer=alice), 403,
                      None if method == "HEAD" else "forbidden", EXACT)
        anonymous = ask(server, method, target, fields, body)
        checks.answer(anonymous, 401, None if method == "HEAD" else "unauthorized",
                      "A right missing to an anonymous caller is 401 with the challenge, to a known one 403.")
    for body in (b"topic=foreign/1", b"topic=own/1&topic=foreign/1&match=**"):
        checks.answer(ask(server, "POST", "/topics", FORM, body, bearer=alice), 403, "forbidden", EXACT)
        checks.answer(ask(server, "POST", "/topics", FORM, body), 401, "unauthorized",
                      "For a form subscription: 401 → body → 403.")
    checks.expect(mark(server, root) == before, "the mark has moved after refused requests",
                  "refused requests change nothing")
    named = ask(server, "POST", "/topics?topic=own/1&topic=foreign/1", body=b"x", bearer=alice).json.get("error", "")
    checks.expect("foreign/1" in named and "own/1" not in named, named, "403 …, naming them")
    many = [f"foreign/{number}-" for number in range(25)]
    named = ask(server, "GET", "/topics?" + urlencode([("topic", topic) for topic in many]),
                bearer=alice).json.get("error", "")
    count = sum(topic in named for topic in many)
    checks.expect(count == 20 and "5" in named.rpartition("-")[2], f"{count} named: {named}",
                  "403, which names at most 20 topics and how many more")
    none = token(claims("none", plinth=None), world.secret)
    for method, target in (("GET", "/topics?match=**"), ("GET", "/topics/a"), ("POST", "/topics/a"), ("GET", "/status"),
                           ("HEAD", "/topics?match=**"), ("GET", "/topics?match=**&wait=0")):
        checks.answer(ask(server, method, target, bearer=none), 403, None if method == "HEAD" else "forbidden",
                      "no claim: 403")


def narrow_rights(world, server, root):
    """Rights that do not include each other."""
    checks = server.checks
    writer = token(claims("writer", [match("w/*")]), world.secret)
    reader = token(claims("reader", [], [match("w/*")]), world.secret)
    operator = token(claims("operator", operate=True), world.secret)
    producer = {"Producer-ID": "p", "Producer-Epoch": "3", "Producer-Sequence": "0"}
    checks.answer(ask(server, "POST", "/topics/w/1", producer, b"x", bearer=writer), 201, because="publish is granted")
    both = ["Last-Event-ID", "Topic-Ended"]
    checks.answer(ask(server, "HEAD", "/topics/w/1", bearer=writer), 403, because="HEAD needs subscribe")
    checks.answer(ask(server, "GET", "/topics/w/1", bearer=writer), 403, "forbidden", "a stream needs subscribe")
    because = ("`HEAD` with one's own `Producer-ID` needs publish or subscribe; "
               "without subscribe it has no `Last-Event-ID` and no `Topic-Ended`")
    checks.answer(ask(server, "HEAD", "/topics/w/1", {"Producer-ID": "p"}, bearer=writer), 200, because=because,
                  lacks=both,
                  fields={"Producer-Epoch": "3", "Producer-Sequence": "0"})
    checks.answer(ask(server, "HEAD", "/topics/foreign/1", {"Producer-ID": "p"}, bearer=writer), 403, because=because)
    checks.answer(ask(server, "HEAD", "/topics/w/1", {"Producer-ID": "p"}, bearer=reader), 200,
                  because="the producer is another subject's",
                  lacks=["Producer-Epoch", "Producer-Sequence"])
    checks.answer(ask(server, "POST", "/topics/w/1?end", bearer=writer), 201, because="to end needs publish")
    checks.answer(ask(server, "HEAD", "/topics/w/1", {"Producer-ID": "p"}, bearer=writer), 200, because=because,
                  lacks=both)
    late = ask(server, "POST", "/topics/w/1", body=b"late", bearer=writer)
    checks.answer(late, 409, "topic-ended", "nor has a 409 the last ID", lacks=["Last-Event-ID"])
    checks.expect("id" not in late.json or late.json["id"] is None, late.report(), "nor has a 409 the last ID")
    again = ask(server, "POST", "/topics/w/1?end", bearer=writer)
    checks.answer(again, 200, because="Ending an ended topic is 200, repeated.")
    full = token(claims("full", [match("w/*")], ["w/1"]), world.secret)
    late = checks.answer(ask(server, "POST", "/topics/w/1", body=b"late", bearer=full), 409, "topic-ended",
                         "409 with the last ID")
    checks.expect(late.field("Last-Event-ID") and late.json.get("id"), late.report(),
                  "409 with the last ID, to who may subscribe")
    because = "`operate` is purge, limits, status, revocation over the whole hub, and neither publish nor subscribe."
    for method, target, status in (("GET", "/topics/w/1", 403), ("HEAD", "/topics/w/1", 403),
                                   ("GET", "/topics?match=**", 403),
                                   ("POST", "/topics/w/1", 403), ("GET", "/status", 200),
                                   ("DELETE", "/topics/w/1", 200)):
        checks.answer(ask(server, method, target, bearer=operator), status, because=because)
    put = ask(server, "PUT", "/topics/w/2", {"Content-Type": "application/json"}, b'{"events":5}', bearer=operator)
    checks.answer(put, 201, because=because)
    for target in ("/status", "/topics/w/1"):
        method = "GET" if target == "/status" else "DELETE"
        checks.answer(ask(server, method, target, bearer=full), 403, "forbidden", "`/status` is for those who operate")
