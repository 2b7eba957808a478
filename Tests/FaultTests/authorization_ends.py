# SPDX-License-Identifier: Apache-2.0
"""What ends a grant while requests are open: expiry; and the helpers of other ends, for authorization.py."""

from authorization_http import Exchange, ask, open_stream
from authorization_tokens import claims, match, token
from authorization_tools import wait_until

ROUNDS = 5
"""How often streams are ended just before an event is published."""

STREAM = {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked", "Content-Length": None}


def run(world):
    with world.serve_secret("--jwt-leeway", "0s", "--jwt-maximum-lifetime", "1h") as server:
        expiry(world, server)
        lifetimes(world, server)
        at_once(world, server)


def root(world, **more):
    return token(claims("root", [match("**")], [match("**")], True, **more), world.secret)


def alice(world, subject="alice", **more):
    return token(claims(subject, [match("own/*")], [match("own/*")], **more), world.secret)


def ended(stream, because):
    """Checks that a stream ends as it should: a reconnection time, no event, and its framing's end."""
    stream.until(lambda one: one.is_whole or one.at_end)
    types = [event["type"] for event in stream.events]
    right = stream.is_whole and stream.body.count("retry:") == 2 and "expired" not in types
    stream.server.checks.expect(right, stream.report(), f"{because} (`retry:`, no event, the end)")
    stream.close()


def chunk(text):
    return b"%x\r\n%s\r\n" % (len(text), text)


def at_once(world, server):
    """Streams have ended when the answer says so: an event that is published right behind it reaches none of them."""
    checks, forever = server.checks, root(world)
    body = b"after the answer"
    head = f"POST /topics/own/1 HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {forever}\r\n"
    publishing = head.encode() + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    for number in range(ROUNDS):
        text = alice(world, f"leaver{number}")
        cookie = ask(server, "POST", "/session", bearer=text).field("Set-Cookie").partition(";")[0]
        for target, more in (("/session", {"cookie": cookie}), (f"/subjects/leaver{number}", {"bearer": text})):
            streams = [open_stream(server, "/topics/own/1", **more) for _ in range(20)]
            more = more if target == "/session" else {"bearer": forever}
            ending = Exchange(server, "DELETE", target, {"Origin": server.origin}, **more)
            ending.send(publishing)
            ending.until(lambda one: one.raw.count(b"HTTP/1.1 2") == 2)
            checks.expect(ending.raw.count(b"HTTP/1.1 2") == 2, ending.report(), "both requests are answered")
            because = f"`DELETE {target.partition('/leaver')[0]}`: 200: … its streams have ended"
            for stream in streams:
                stream.until(lambda one: one.is_whole)
            late = [stream for stream in streams if body.decode() in stream.data or not stream.is_whole]
            report = late[0].report() if late else ""
            checks.expect(not late, f"{report}\n    an event published after the 200 reached {len(late)} streams",
                          because)



def expiry(world, server):
    checks = server.checks
    text = alice(world, lifetime=3)
    stream = open_stream(server, "/topics/own/1", bearer=text)
    pattern = open_stream(server, "/topics?match=**", bearer=text)
    upload = Exchange(server, "POST", "/topics/own/up", STREAM, bearer=text)
    upload.send(chunk(b"data: one\n\n"))
    silent = Exchange(server, "POST", "/topics/own/silent", STREAM, bearer=text)
    taken = ask(server, "GET", "/topics/own/up?wait=2s&last-event-id=earliest", bearer=root(world))
    checks.expect([event["data"] for event in taken.json.get("events", [])] == ["one"], taken.report(),
                  "an upload's events are taken as they come")
    waits = [Exchange(server, "GET", "/topics/own/w?wait=20s", bearer=text) for _ in range(2)]
    because = "At the grant's expiry a stream ends properly"
    ended(stream, because)
    ended(pattern, because)
    wait_until(lambda: Exchange(server, "GET", "/topics/own/1?wait=0", bearer=text).finish().status == 401)
    because = "An upload or `wait` whose grant ended: 401 with the report; what was taken stays."
    for one in (upload, silent):
        one.send(chunk(b"data: two\n\n") + b"0\r\n\r\n")
        checks.answer(one, 401, "token-expired", because)
    checks.expect(upload.json.get("count") == 1 and upload.json.get("id"), upload.report(), because)
    ask(server, "POST", "/topics/own/w", bearer=root(world), body=b"not for an expired grant")
    for wait in waits:
        checks.answer(wait, 401, "token-expired", because)
        checks.expect("not for" not in wait.body, wait.report(),
                      "each return of `wait` asks again whether the grant still stands")
    kept = ask(server, "GET", "/topics?topic=own/up&topic=own/silent&wait=0&last-event-id=earliest", bearer=root(world))
    checks.expect([event["data"] for event in kept.json.get("events", [])] == ["one"], kept.report(), because)
    for method, target in (("GET", "/topics/own/1"), ("POST", "/topics/own/1"), ("HEAD", "/topics/own/1"),
                           ("GET", "/session"), ("POST", "/session")):
        checks.answer(ask(server, method, target, bearer=text), 401, None if method == "HEAD" else "token-expired",
                      "expiry is looked at at every use")


def lifetimes(world, server):
    checks, because = server.checks, "with a maximum lifetime also `exp` − `iat` above it"
    for lifetime, status, code in ((3600, 200, None), (3700, 401, "token-lifetime"), (10**9, 401, "token-lifetime")):
        checks.answer(ask(server, "GET", "/topics/own/1?wait=0", bearer=alice(world, lifetime=lifetime)), status, code,
                      because)
    # Without `iat` a lifetime is unknown: such a token could outlive the revocation of its subject.
    timeless = alice(world, iat=None)
    checks.answer(ask(server, "GET", "/topics/own/1?wait=0", bearer=timeless), 401, "token-lifetime", because)
