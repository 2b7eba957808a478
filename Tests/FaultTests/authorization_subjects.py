# SPDX-License-Identifier: Apache-2.0
"""API keys, their file that changes, and what belongs to a subject, for authorization.py."""

import hashlib
import json
import time

from authorization_ends import alice, ended
from authorization_http import Exchange, ask, open_stream
from authorization_tokens import claims, match, token
from authorization_tools import wait_until

PRODUCERS = "another's producer can be neither read nor fenced; an idempotency key's scope is (subject, key)"


def run(world):
    with world.serve_secret() as server:
        belongings(world, server)
    keys(world)


def belongings(world, server):
    """Producers and idempotency keys of two subjects with the same rights and names."""
    checks, one, two = server.checks, alice(world), alice(world, "bob")
    third = token(claims("alice", [match("own/*")], [match("own/*")], iss="https://other"), world.secret)

    def produce(bearer, epoch, sequence, body=b"x", method="POST"):
        numbers = {"Producer-ID": "p", "Producer-Epoch": str(epoch), "Producer-Sequence": str(sequence)}
        return ask(server, method, "/topics/own/p", numbers, body, bearer=bearer)

    checks.answer(produce(one, 5, 0), 201, because=PRODUCERS)
    for other in (two, third):
        answer = ask(server, "HEAD", "/topics/own/p", {"Producer-ID": "p"}, bearer=other)
        checks.answer(answer, 200, because=PRODUCERS, lacks=["Producer-Epoch", "Producer-Sequence"])
        checks.answer(produce(other, 9, 1), 409, "producer-unknown", PRODUCERS)
        checks.answer(produce(other, 9, 0), 201, because=PRODUCERS)
    checks.answer(produce(one, 5, 0), 200, because=PRODUCERS)
    checks.answer(produce(one, 5, 1), 201, because=PRODUCERS)
    checks.answer(ask(server, "HEAD", "/topics/own/p", {"Producer-ID": "p"}, bearer=one), 200, because=PRODUCERS,
                  fields={"Producer-Epoch": "5", "Producer-Sequence": "1"})
    checks.answer(produce(two, 4, 0), 403, "producer-fenced", "a subject fences itself")
    first = checks.answer(ask(server, "POST", "/topics/own/k", {"Idempotency-Key": "k"}, b"first", bearer=one), 201,
                          because=PRODUCERS)
    for other, body in ((two, b"second"), (third, b"third")):
        answer = ask(server, "POST", "/topics/own/k", {"Idempotency-Key": "k"}, body, bearer=other)
        checks.answer(answer, 201, because=PRODUCERS, lacks=["Idempotent-Replayed"])
        checks.expect(answer.json.get("id") != first.json.get("id"), answer.report(), PRODUCERS)
    again = ask(server, "POST", "/topics/own/k", {"Idempotency-Key": "k"}, b"first", bearer=alice(world, lifetime=900))
    checks.answer(again, 201, because="a subject's new token has its keys", fields={"Idempotent-Replayed": "true"})
    for fields in ({"Idempotency-Key": "k"}, {"Producer-ID": "p", "Producer-Epoch": "1", "Producer-Sequence": "0"}):
        checks.expect(ask(server, "POST", "/topics/own/k", fields, b"x").status in (400, 401), "an anonymous key",
                      "Anonymous requests with … are 400.")
    # A right that has gone: a key's stored answer is behind the grant.
    less = token(claims("alice", ["own/other"], []), world.secret)
    answer = ask(server, "POST", "/topics/own/k", {"Idempotency-Key": "k"}, b"first", bearer=less)
    checks.answer(answer, 403, "forbidden", "401/403 → … → a stored key (its answer, or 422)")
    checks.answer(produce(less, 5, 1), 403, "forbidden", "401/403 → … → repeated 200")


def keys(world):
    """API keys, and the signal that reads their file again."""
    first, second, third, later, digested = (letter * 40 for letter in "ABCDE")
    rights = {"subscribe": [match("own/*")], "publish": [match("own/*")]}

    def line(key, subject, **more):
        return f"{key} {json.dumps({'subject': subject, **rights, **more})}\n"

    hashed = line("sha256:" + hashlib.sha256(digested.encode()).hexdigest(), "hashed")
    lines = [line(first, "first"), line(second, "second"), hashed, line("O" * 40, "operator", operate=True)]
    path = world.file("keys", "".join([*lines, line(third, "third", expires=int(time.time()) - 5)]))
    with world.serve_secret("--api-keys", path, "--jwt-maximum-lifetime", "1h", "--jwt-leeway", "0s") as server:
        checks, target = server.checks, "/topics/own/1?wait=0"
        server.sent |= {first, second, digested}
        because = "API keys: a key a line with its rights; sent as Bearer"
        for key in (first, second, digested):
            checks.answer(ask(server, "GET", target, bearer=key), 200, because=because)
            checks.answer(ask(server, "GET", "/topics/foreign?wait=0", bearer=key), 403, "forbidden", because)
        for key in ("Z" * 40, first[:-1], first + "A", first.lower(), hashed.split()[0], hashed.split()[0][7:], "",
                    "A"):
            answer = ask(server, "GET", target, bearer=key)
            checks.expect(answer.status == 401, answer.report(), because)
        checks.answer(ask(server, "GET", target, bearer="Z" * 40), 401, ("token-signature", "token-malformed"),
                      "…, or this is no API key")
        checks.answer(ask(server, "GET", target, bearer=third), 401, "token-expired", "an optional `expires`")
        checks.answer(ask(server, "GET", target, bearer=alice(world)), 200, because="keys and tokens side by side")
        checks.answer(ask(server, "POST", "/session", bearer=first), 400, because="API keys: At `/session` it is 400.",
                      lacks=["Set-Cookie"])
        for odd in (f"plinth={first}", f"plinth=x.{first}"):
            checks.answer(ask(server, "GET", target, cookie=odd), 401, None, "API keys: sent as Bearer")
        operator = "O" * 40
        checks.answer(ask(server, "DELETE", "/subjects/first", bearer=operator), 409, "api-key",
                      "of a subject with an API key 409")
        checks.answer(ask(server, "GET", target, bearer=first), 200, because="of a subject with an API key 409")
        text, forged = alice(world), alice(world, "first")
        checks.answer(ask(server, "GET", target, bearer=forged), 200,
                      because="a token's subject `first` is another one than the key's")
        numbers = {"Producer-ID": "p", "Producer-Epoch": "1", "Producer-Sequence": "0"}
        checks.answer(ask(server, "POST", "/topics/own/1", numbers, b"x", bearer=first), 201, because=PRODUCERS)
        checks.answer(ask(server, "HEAD", "/topics/own/1", {"Producer-ID": "p"}, bearer=forged), 200,
                      because="A subject is (source, issuer, sub)",
                      lacks=["Producer-Epoch"])

        # A line leaves, one comes, one loses rights; then the file is bad, and nothing changes.
        gone, stays, by_token = (open_stream(server, "/topics/own/1", bearer=key) for key in (first, second, text))
        with open(path, "w") as file:
            file.writelines([*lines[1:], line(later, "later")])
        server.hang_up()
        because = "a key is revoked by removing its line and SIGHUP, which ends its streams"
        checks.expect(wait_until(lambda: Exchange(server, "GET", target, bearer=later).finish().status == 200),
                      server.text[-1500:], because)
        ended(gone, because)
        checks.answer(ask(server, "GET", target, bearer=first), 401,
                      ("token-signature", "token-revoked", "token-malformed"), because)
        ask(server, "POST", "/topics/own/1", bearer=later, body=b"still here")
        for stream in (stays, by_token):
            checks.expect(stream.until(lambda one: "still here" in one.data) and not stream.is_whole, stream.report(),
                          "a key that stays keeps its streams")
        because = "a bad file at SIGHUP: the last good one holds, and the server goes on"
        before = len(server.text)
        with open(path, "a") as file:
            file.write("bad line\n")
        server.hang_up()
        checks.expect(wait_until(lambda: "keys" in server.text[before:]), server.text[before:], "a bad file is logged")
        checks.answer(ask(server, "GET", target, bearer=later), 200, because=because)
        checks.expect(not stays.is_whole, stays.report(), because)
        # Fewer rights: an open stream must not go on by the former ones.
        with open(path, "w") as file:
            file.writelines([line(second, "second", subscribe=["own/2"]), *lines[2:], line(later, "later")])
        server.hang_up()
        checks.expect(wait_until(lambda: Exchange(server, "GET", target, bearer=second).finish().status == 403),
                      server.text[-1500:], "a changed line holds")
        stays.until(lambda one: one.is_whole)
        checks.expect(stays.is_whole, stays.report(),
                      "a line that changed has left, and its streams end")
        stays.close()
        by_token.close()
