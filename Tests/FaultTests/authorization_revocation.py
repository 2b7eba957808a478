# SPDX-License-Identifier: Apache-2.0
"""Subjects that are revoked while their requests are open, for authorization.py."""

import os
import time

from authorization_ends import STREAM, alice, chunk, ended, root
from authorization_http import PATIENCE, Exchange, ask, open_stream
from authorization_tokens import claims, match, token
from authorization_tools import wait_until


def run(world):
    revocation(world)
    restarts(world)


def said_time(answer):
    """The time from which new tokens hold, as the answer to a revocation says it: a number, or a date."""
    for value in answer.json.values():
        if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value - time.time()) < 600:
            return value
        if isinstance(value, str) and value[:4].isdigit() and "T" in value:
            return value
    return None


def renew(world, server, subject, **more):
    """A token that was issued late enough after a revocation."""
    found = []

    def try_one():
        text = alice(world, subject, **more)
        found[:] = [text]
        return Exchange(server, "GET", "/topics/own/1?wait=0", bearer=text).finish().status == 200

    server.checks.expect(wait_until(try_one), f"no new token of {subject} holds within {PATIENCE} s",
                         "its answer says from when new tokens hold")
    return found[0]


def revocation(world):
    forever = root(world)
    with world.serve_secret("--jwt-leeway", "0s", "--jwt-maximum-lifetime", "1h") as server:
        checks = server.checks
        refuses = "`DELETE /subjects/{subject}` …; its streams end"
        text, other, timeless = alice(world), alice(world, "bob"), alice(world, iat=None)
        issuers = {issuer: token(claims("carol", [], [match("own/*")], iss=issuer), world.secret)
                   for issuer in ("https://x", "https://y")}
        streams = [open_stream(server, target, bearer=text) for target in ("/topics/own/1", "/topics?match=**")]
        kept = open_stream(server, "/topics/own/1", bearer=other)
        cookie = ask(server, "POST", "/session", bearer=text).field("Set-Cookie").partition(";")[0]
        streams.append(open_stream(server, "/topics/own/1", cookie=cookie))
        wait = Exchange(server, "GET", "/topics/own/w?wait=20s", bearer=text)
        upload = Exchange(server, "POST", "/topics/own/up", STREAM, bearer=text)
        upload.send(chunk(b"data: before\n\n"))
        ask(server, "GET", "/topics/own/up?wait=2s&last-event-id=earliest", bearer=forever)
        for bearer in (None, text):
            status, code = (403, "forbidden") if bearer else (401, "unauthorized")
            checks.answer(ask(server, "DELETE", "/subjects/alice", bearer=bearer), status, code,
                          "revocation needs `operate`")
        answer = checks.answer(ask(server, "DELETE", "/subjects/alice", bearer=forever), 200, because=refuses)
        checks.expect(said_time(answer) is not None, answer.report(), "its answer says from when new tokens hold")
        checks.expect(answer.json.get("untilRestart") is True, answer.report(),
                      "with memory history the answer says that it lasts until the restart")
        for stream in streams:
            ended(stream, refuses)
        for one, target in ((text, "/topics/own/1"), (text, "/topics/own/1?wait=0"),
                            (text, "/session")):
            checks.answer(ask(server, "GET", target, bearer=one), 401, "token-revoked", refuses)
        checks.answer(ask(server, "GET", "/topics/own/1", cookie=cookie), 401, "token-revoked", refuses)
        checks.answer(ask(server, "POST", "/session", bearer=text), 401, "token-revoked", refuses)
        upload.send(chunk(b"data: after\n\n") + b"0\r\n\r\n")
        checks.answer(upload, 401, "token-revoked",
                      "Each append of a long upload … asks again whether the grant still stands.")
        ask(server, "POST", "/topics/own/w", bearer=forever, body=b"not for a revoked grant")
        checks.answer(wait, 401, "token-revoked", "each return of `wait` asks again whether the grant still stands")
        taken = ask(server, "GET", "/topics/own/up?wait=0&last-event-id=earliest", bearer=forever)
        checks.expect([event["data"] for event in taken.json.get("events", [])] == ["before"], taken.report(),
                      "what was taken stays")
        stale = cookie.replace(text, alice(world, lifetime=-600, iat=int(time.time()) - 3000))
        checks.answer(ask(server, "GET", "/topics/own/1", cookie=stale), 401, "token-revoked",
                      "\"Otherwise good\" is all checks but `exp`")
        new = renew(world, server, "alice")
        checks.answer(ask(server, "GET", "/topics/own/1?wait=0", bearer=text), 401, "token-revoked",
                      "refuses `iat` ≤ its time + leeway")
        checks.answer(ask(server, "GET", "/topics/own/1?wait=0", bearer=timeless), 401,
                      ("token-revoked", "token-lifetime"),
                      "tokens without `iat` are refused once their subject is revoked")
        ask(server, "POST", "/topics/own/1", bearer=new, body=b"bob reads on")
        checks.expect(kept.until(lambda one: "bob reads on" in one.data), kept.report(),
                      "a revocation is of its subject alone")
        kept.close()

        # One issuer's, then all of that name.
        checks.answer(ask(server, "DELETE", "/subjects/carol?issuer=https://x", bearer=forever), 200,
                      because="`?issuer=` one")
        checks.answer(ask(server, "GET", "/topics/own/1?wait=0", bearer=issuers["https://x"]), 401, "token-revoked",
                      "`?issuer=` one")
        checks.answer(ask(server, "GET", "/topics/own/1?wait=0", bearer=issuers["https://y"]), 200,
                      because="`?issuer=` one")
        checks.answer(ask(server, "DELETE", "/subjects/carol", bearer=forever), 200, because="means all of that name")
        checks.answer(ask(server, "GET", "/topics/own/1?wait=0", bearer=issuers["https://y"]), 401, "token-revoked",
                      "means all of that name")

        # Names: decoded once, bytes, never patterns.
        because = "`DELETE /subjects/{sub}` (rest of the path, decoded once) means all of that name"
        by_name = {name: alice(world, name) for name in ("*", "**", "a/b", "a%2Fb", "caf\u00e9", "cafe\u0301", "a+b",
                                                         "a b", "Alice", "a", "x/", "x")}
        for path, names in (("*", ["*"]), ("a%252Fb", ["a%2Fb"]), ("a/b", ["a/b"]), ("caf%C3%A9", ["caf\u00e9"]),
                            ("a+b", ["a+b"]), ("x/", ["x/"])):
            checks.answer(ask(server, "DELETE", f"/subjects/{path}", bearer=forever), 200, because=because)
            for name, text in list(by_name.items()):
                gone = name in names
                answer = ask(server, "GET", "/topics/own/1?wait=0", bearer=text)
                checks.answer(answer, 401 if gone else 200, "token-revoked" if gone else None,
                              f"{because}; this was {path}, the token's is {name}")
                if gone:
                    del by_name[name]
        checks.answer(ask(server, "DELETE", "/subjects/a%2Fb", bearer=forever), 200, because=because)
        for path in ("", "a%", "a%zz", "x" * 256):
            answer = ask(server, "DELETE", f"/subjects/{path}", bearer=forever)
            checks.expect(answer.status in (400, 404), answer.report(), "`sub` is required, 1 to 255 bytes")
    with world.serve_secret() as server:
        because = "without `--jwt-maximum-lifetime` it is 409 `revocation-off`"
        server.checks.answer(ask(server, "DELETE", "/subjects/alice", bearer=root(world)), 409, "revocation-off",
                             because)
        server.checks.answer(ask(server, "GET", "/topics/own/1?wait=0", bearer=alice(world)), 200, because=because)
        server.checks.answer(ask(server, "DELETE", "/subjects/alice", bearer=alice(world)), 403, "forbidden",
                             "401/403 come first")


def restarts(world):
    """A revocation outlives a restart with a history in a file, and none without."""
    options = ("--jwt-leeway", "0s", "--jwt-maximum-lifetime", "1h")
    text, other, forever = alice(world), alice(world, "bob"), root(world)
    for history, status in ((("--history", os.path.join(world.folder, "hub.sqlite")), 401), ((), 200)):
        with world.serve_secret(*options, *history) as server:
            answer = server.checks.answer(ask(server, "DELETE", "/subjects/alice", bearer=forever), 200,
                                          because="`DELETE /subjects/{subject}`")
            if history:
                server.checks.expect(answer.json.get("untilRestart") is False, answer.report(),
                                     "with *memory* history the answer says that it lasts until the restart")
            cookie = ask(server, "POST", "/session", bearer=other).field("Set-Cookie").partition(";")[0]
            server.checks.answer(ask(server, "GET", "/topics/own/1?wait=0", bearer=text), 401, "token-revoked",
                                 "`DELETE /subjects/{subject}`")
        with world.serve_secret(*options, *history) as server:
            checks, because = server.checks, "`RevocationStore`: memory, SQLite's table"
            checks.answer(ask(server, "GET", "/topics/own/1?wait=0", bearer=text), status,
                          "token-revoked" if history else None, because)
            checks.answer(ask(server, "GET", "/topics/own/1?wait=0", bearer=other), 200,
                          because="a revocation is of its subject alone")
            checks.answer(ask(server, "GET", "/topics/own/1?wait=0", cookie=cookie), 200,
                          because="after a restart an unknown one is taken")
            renew(world, server, "alice")
