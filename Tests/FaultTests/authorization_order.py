# SPDX-License-Identifier: Apache-2.0
"""Requests with two faults, and which one answers, for authorization.py."""

from authorization_http import Exchange, ask, open_stream
from authorization_tokens import Secret, claims, match, token
from authorization_topics import FORM


def run(world):
    everything = [match("**")]
    root = token(claims("root", everything, everything, True), world.secret)
    with world.serve_secret() as server:
        order_of_checks(world, server, root)
        one_connection(world, server)
    limits(world)
    flooded(world)


def order_of_checks(world, server, root):
    """Requests with two faults: which one answers."""
    checks = server.checks
    because = ("syntax of target, topics, selectors and headers (400, 411, 415) → 401/403 → limits → permit → "
               "the body (400, 413) → …")
    alice = token(claims("alice", ["own/1", "own/ended"], [match("own/*"), "own/ended"]), world.secret)
    large = b"x" * ((1 << 20) + 1)
    ask(server, "POST", "/topics/own/ended?end", bearer=root)
    ask(server, "POST", "/topics/foreign/ended?end", bearer=root)
    json = {"Content-Type": "application/json"}
    stream = {"Content-Type": "text/event-stream"}
    unknown = {"Producer-ID": "new", "Producer-Epoch": "0", "Producer-Sequence": "7"}
    for bearer, method, target, fields, body, status, code in (
        (None, "POST", "/topics/a%00", {}, b"x", 400, "bad-topic"),
        ("bad", "POST", "/topics/a%00", {}, b"x", 400, "bad-topic"),
        (alice, "POST", "/topics/a%00", {}, b"x", 400, "bad-topic"),
        (None, "GET", "/topics/a?wait=61s", {}, None, 400, "bad-field"),
        (None, "GET", "/topics", {}, None, 400, "bad-selector"),
        (None, "GET", "/topics?match=a*", {}, None, 400, "bad-selector"),
        (None, "POST", "/topics?match=a", {}, b"x", 400, "bad-selector"),
        (None, "POST", "/topics/a?type=end", {}, b"x", 400, "type-reserved"),
        (None, "POST", "/topics/a?retry=x", {}, b"x", 400, "bad-field"),
        (None, "POST", "/topics/a?end=false", {}, b"", 400, "bad-field"),
        (None, "POST", "/topics/a", {"Content-Length": None}, None, 411, "length-required"),
        (alice, "POST", "/topics/foreign", {"Content-Length": None}, None, 411, "length-required"),
        (None, "PUT", "/topics/a", {"Content-Type": "text/plain"}, b"{}", 415, "media-type"),
        (alice, "PUT", "/topics/a", {"Content-Type": "text/plain"}, b"{}", 415, "media-type"),
        (None, "POST", "/topics", json, b"{}", 415, "media-type"),
        (None, "POST", "/topics/a", {"Producer-ID": "p"}, b"x", 400, "bad-field"),
        (alice, "POST", "/topics/foreign", {"Producer-ID": "p"}, b"x", 400, "bad-field"),
        (None, "GET", "/status?top=x", {}, None, 400, "bad-field"),
        (None, "POST", "/topics/a", {}, large, 401, "unauthorized"),
        (alice, "POST", "/topics/foreign", {}, large, 403, "forbidden"),
        (alice, "POST", "/topics/own/1", {}, large, 413, "too-large"),
        (alice, "POST", "/topics/foreign", stream, b"event: gap\ndata: x\n\n", 403, "forbidden"),
        (alice, "POST", "/topics/foreign/ended", {}, b"x", 403, "forbidden"),
        (None, "POST", "/topics/own/ended", {}, b"x", 401, "unauthorized"),
        (alice, "POST", "/topics/own/ended", {}, b"x", 409, "topic-ended"),
        (alice, "POST", "/topics/own/ended", {}, large, 413, "too-large"),
        (alice, "POST", "/topics/own/1", unknown, large, 413, "too-large"),
        (alice, "POST", "/topics/foreign", unknown, b"x", 403, "forbidden"),
        (alice, "PUT", "/topics/own/1", json, b"no json", 403, "forbidden"),
        (root, "PUT", "/topics/own/1", json, b"no json", 400, "bad-field"),
        (None, "PUT", "/topics/own/1", json, b"no json", 401, "unauthorized"),
        (None, "POST", "/topics", FORM, b"topic=%00", 401, "unauthorized"),
        ("bad", "POST", "/topics", FORM, b"topic=%00", 401, "token-malformed"),
        (alice, "POST", "/topics", FORM, b"topic=foreign&topic=a%00", 400, ("bad-topic", "bad-selector")),
        (alice, "POST", "/topics", FORM, b"topic=foreign&" + b"x" * 70_000, 413, "too-large"),
        (None, "GET", "/nowhere", {}, None, 404, "not-found"),
        (None, "PATCH", "/topics/a", {}, b"x", 405, "method-not-allowed"),
    ):
        checks.answer(ask(server, method, target, fields, body, bearer=bearer), status, code, because)


def one_connection(world, server):
    """A credential is its request's, not its connection's."""
    head = f"GET /topics/own/1?wait=0 HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
    alice, bob = (token(claims(name, [], [name + "/1"]), world.secret) for name in ("own", "other"))
    pipelined = Exchange(server, "GET", "/topics/own/1?wait=0", bearer=alice)
    for more in ("", f"Authorization: Bearer {bob}\r\n", f"Authorization: Bearer {alice}\r\n", "Cookie: plinth=x\r\n",
                 ""):
        pipelined.send(f"{head}{more}\r\n".encode())
    pipelined.until(lambda one: one.raw.count(b"HTTP/1.1 ") == 6)
    statuses = [int(piece[:3]) for piece in pipelined.raw.split(b"HTTP/1.1 ")[1:]]
    server.checks.expect(statuses == [200, 401, 403, 200, 401, 401], f"{statuses}: {pipelined.raw!r}",
                         "A request with a credential is judged by it alone")
    pipelined.close()


def limits(world):
    """Limits come behind the grant, and strangers never take a permit."""
    reader = token(claims("reader", [], ["a"]), world.secret)
    with world.serve_secret("--maximum-streams", "1") as server:
        checks = server.checks
        strangers = [Exchange(server, "GET", "/topics/a") for _ in range(3)]
        strangers += [Exchange(server, "GET", "/topics/b", bearer=reader) for _ in range(3)]
        for stranger in strangers:
            stranger.finish()
        stream = open_stream(server, "/topics/a", bearer=reader)
        checks.expect(not stream.is_whole, stream.report(), "Strangers never take a permit.")
        because = "→ 401/403 → limits (429; a stream instead 200, `retry:`, the end)"
        checks.answer(ask(server, "GET", "/topics/a"), 401, "unauthorized", because)
        checks.answer(ask(server, "GET", "/topics/b", bearer=reader), 403, "forbidden", because)
        checks.answer(ask(server, "GET", "/topics/b?wait=1s", bearer=reader), 403, "forbidden", because)
        checks.answer(ask(server, "GET", "/topics/a?wait=1s", bearer=reader), 503, "streams-limit",
                      "At the limit `?wait` is 503")
        full = ask(server, "GET", "/topics/a", bearer=reader)
        checks.answer(full, 200, because=because)
        checks.expect(full.until(lambda one: one.is_whole) and "retry:" in full.body, full.report(), because)
        stream.close()


def flooded(world):
    """One address that sends forged tokens until it is limited."""
    verified, fresh = (token(claims(name, [], ["a"]), world.secret) for name in ("verified", "fresh"))
    forged = token(claims("forged", [], ["a"]), Secret(b"f" * 32))
    because = "Failed verifications are limited for each address before the signature is looked at."
    target, source = "/topics/a?wait=0", "127.2.0.1"
    with world.serve_secret() as server:
        checks = server.checks
        checks.answer(ask(server, "GET", target, bearer=verified, source=source), 200,
                      because="verified tokens are cached")
        answers = (ask(server, "GET", target, bearer=forged, source=source) for _ in range(2000))
        refused = next((answer for answer in answers if answer.status != 401), None)
        if not checks.expect(refused, "2,000 forged tokens of one address were verified", because):
            return
        checks.answer(refused, 429, "rate-limit", because)
        checks.expect(refused.field("Retry-After"), refused.report(), "429 has `Retry-After`")
        # More of them, so that the rest of this is quicker than the limit's recovery.
        for _ in range(20):
            ask(server, "GET", target, bearer=forged, source=source)
        checks.answer(ask(server, "GET", target, bearer=verified, source=source), 200,
                      because="verified tokens are cached")
        checks.answer(ask(server, "GET", target, source=source), 401, "unauthorized",
                      "without a credential nothing is verified")
        for bearer in (forged, fresh):
            stream = ask(server, "GET", "/topics/a", bearer=bearer, source=source)
            right = stream.status == 200 and stream.until(lambda one: one.is_whole) and "retry:" in stream.body
            checks.expect(right, stream.report(), "limits (429; a stream instead 200, `retry:`, the end)")
        checks.answer(ask(server, "GET", target, bearer=fresh), 200,
                      because="… for each address: others are not limited")
