# SPDX-License-Identifier: Apache-2.0
"""Which pages' requests a cookie authorizes, and cookies that have expired, for authorization.py."""

import time

from authorization_cookies import alice, sign_in
from authorization_http import Exchange, ask, open_stream
from authorization_tokens import claims, match, token
from authorization_tools import wait_until

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
OURS = "Unsafe methods by cookie need an `Origin` that is ours."
READING = ("A GET or HEAD by cookie is refused if it has an `Origin` that is neither ours nor allowed, or "
           "`Sec-Fetch-Site: cross-site` without an allowed `Origin`")


def run(world):
    with world.serve_secret("--jwt-leeway", "0s") as server:
        pages(world, server)
        expired(world, server)
    configured_origins(world)
    tls(world)


def pages(world, server):
    """Which page's requests a cookie authorizes."""
    checks, cookie = server.checks, sign_in(server, alice(world))[0]
    ours, host = server.origin, f"127.0.0.1:{server.port}"
    foreign = ["https://evil.example", "null", f"http://localhost:{server.port}", "http://127.0.0.1",
               "http://127.0.0.1:1", f"http://{host}.evil.example",
               f"http://{host}@evil.example", f"http://evil.example/{host}", f"http://evil.example#{host}",
               f"http://x.{host}", f"http://{host}0", "", "evil",
               f"http://[::1]:{server.port}", f"{ours} https://evil.example", f"http://127.0.0.1%3a{server.port}",
               f"http:/{host}", f"//{host}"]
    json = {"Content-Type": "application/json"}
    for method, target, fields, body, granted in (
        ("POST", "/topics/own/1", {}, b"x", 201), ("POST", "/topics", FORM, b"topic=own/1", 200),
        ("POST", "/topics?wait=0", FORM, b"topic=own/1", 200),
        ("POST", "/topics/own/e?end", {}, b"", (200, 201)),
        ("DELETE", "/topics/own/1", {}, None, 403), ("PUT", "/topics/own/1", json, b"{}", 403),
        ("DELETE", "/subjects/alice", {}, None, 403),
    ):
        code = None if granted != 403 else "forbidden"
        checks.answer(ask(server, method, target, {**fields, "Origin": ours}, body, cookie=cookie), granted, code, OURS)
        other = ours.replace("http:", "https:")
        checks.answer(ask(server, method, target, {**fields, "Origin": other}, body, cookie=cookie), granted, code,
                      "the scheme is not compared")
        # Which of the two refusals comes first is left open.
        codes = ("origin-foreign",) if granted != 403 else ("origin-foreign", "forbidden")
        checks.answer(ask(server, method, target, fields, body, cookie=cookie), 403, codes, OURS)
        checks.answer(ask(server, method, target, {**fields, "Sec-Fetch-Site": "same-origin"}, body, cookie=cookie),
                      403, codes, OURS)
        for origin in foreign if target == "/topics/own/1" and method == "POST" else foreign[:3]:
            answer = ask(server, method, target, {**fields, "Origin": origin}, body, cookie=cookie)
            right = answer.status == 400 or answer.status == 403 and answer.json.get("code") in codes
            checks.expect(right, f"{answer.report()}\n    expected: 403 {codes}", OURS)
        for spoof in ("X-Forwarded-Host", "X-Forwarded-Server", "X-Original-Host"):
            checks.answer(ask(server, method, target, {**fields, "Origin": "http://evil.example",
                                                       spoof: "evil.example"}, body, cookie=cookie), 403, codes,
                          "a *trusted* proxy's host and proto")
        forwarded = {"Forwarded": "host=evil.example;proto=http", "Origin": "http://evil.example"}
        checks.answer(ask(server, method, target, {**fields, **forwarded}, body, cookie=cookie), 403, codes,
                      "a *trusted* proxy's host and proto")
        twice = ask(server, method, target, {**fields, "Origin": [ours, "https://evil.example"]}, body, cookie=cookie)
        checks.expect(twice.status in (400, 403), twice.report(), OURS)
    for method, target in (("GET", "/topics/own/1"), ("HEAD", "/topics/own/1"), ("GET", "/topics/own/1?wait=0"),
                           ("GET", "/topics?match=**")):
        code = None if method == "HEAD" else "origin-foreign"
        for fields in ({}, {"Origin": ours}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "same-site"},
                       {"Sec-Fetch-Site": "none"},
                       {"Origin": ours, "Sec-Fetch-Site": "same-origin"}):
            checks.answer(ask(server, method, target, fields, cookie=cookie), 200, because=READING)
        for fields in ([{"Origin": origin} for origin in foreign if origin] +
                       [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example",
                                                           "Sec-Fetch-Site": "same-site"}]):
            answer = ask(server, method, target, fields, cookie=cookie)
            right = answer.status == 400 or answer.status == 403 and (code is None or answer.json.get("code") == code)
            checks.expect(right, f"{answer.report()}\n    expected: 403 {code}", READING)
    judged = "with `Authorization` the cookie and the origin rules are not looked at"
    evil = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    checks.answer(ask(server, "POST", "/topics/own/1", evil, b"x", bearer=alice(world), cookie=cookie), 201,
                  because=judged)
    checks.answer(ask(server, "POST", "/topics/own/1", {"Origin": ours}, b"x", bearer="bad", cookie=cookie), 401,
                  "token-malformed", judged)
    checks.answer(ask(server, "GET", "/topics/own/1?wait=0", evil, cookie=cookie + "x"), 401, None,
                  "Refusals are 403 `origin-foreign`, after the token.")
    checks.answer(ask(server, "POST", "/topics/a%00", evil, b"x", cookie=cookie), 400, "bad-topic",
                  "syntax (400) → 401/403")
    for origin in ("https://evil.example", "null"):
        answer = ask(server, "POST", "/session", {"Origin": origin}, bearer=alice(world))
        checks.answer(answer, 403, "origin-foreign",
                      "`POST /session` of an allowed origin is taken: of another one it is not", lacks=["Set-Cookie"])
    sign_in(server, alice(world), {"Origin": ours})
    for fields in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        checks.answer(ask(server, "DELETE", "/session", fields, cookie=cookie), 403, "origin-foreign", OURS)
    checks.answer(ask(server, "GET", "/topics/own/1?wait=0", cookie=cookie), 200,
                  because="a refused sign-out ends nothing")


def expired(world, server):
    checks, ours = server.checks, {"Origin": server.origin}
    short = alice(world, lifetime=3)
    cookie, _ = sign_in(server, short)
    stream = open_stream(server, "/topics/own/1", cookie=cookie)
    ask(server, "POST", "/topics/own/1", bearer=alice(world), body=b"before")
    stream.until(lambda one: one.is_whole)
    because = "An open stream whose grant ends gets a jittered `retry:` and no event."
    checks.expect(stream.is_whole and stream.body.count("retry:") == 2 and stream.data == ["before"], stream.report(),
                  because)
    wait_until(lambda: Exchange(server, "GET", "/topics/own/1?wait=0", cookie=cookie).finish().status == 401)

    def as_browser(target, value):
        answer = ask(server, "GET", target, cookie=value)
        answer.until(lambda one: one.is_whole)
        types = [event["type"] for event in answer.events]
        right = answer.status == 200 and types == ["expired"] and "retry:" in answer.body and answer.events[0]["data"]
        right = right and answer.is_whole
        checks.expect(right, answer.report(),
                      "An expired cookie on a GET of a stream …: 200, `retry:`, an event `expired`, the end")

    for target in ("/topics/own/1", "/topics/own/1?last-event-id=earliest", "/topics?match=**",
                   "/topics?topic=own/1&topic=own/2"):
        as_browser(target, cookie)
    others = "all else 401; `wait`, `HEAD` and forms with an expired cookie are 401"
    for method, target, fields, body in (
        ("GET", "/topics/own/1?wait=0", {}, None), ("HEAD", "/topics/own/1", {}, None),
        ("POST", "/topics", FORM, b"topic=own/1"),
        ("POST", "/topics/own/1", {}, b"x"), ("POST", "/topics/own/1?end", {}, b""), ("GET", "/status", {}, None),
        ("DELETE", "/topics/own/1", {}, None),
    ):
        code = None if method == "HEAD" else "token-expired"
        checks.answer(ask(server, method, target, {**ours, **fields}, body, cookie=cookie), 401, code, others)
    checks.answer(ask(server, "GET", "/topics/own/1", bearer=short), 401, "token-expired",
                  "an expired *cookie*, not an expired token")
    good = "\"Otherwise good\" is all checks but `exp`, 403 included"
    checks.answer(ask(server, "GET", "/topics/foreign", cookie=cookie), 403, "forbidden", good)
    checks.answer(ask(server, "GET", "/topics/own/1", {"Origin": "https://evil.example"}, cookie=cookie), 403,
                  "origin-foreign", good)
    checks.answer(ask(server, "GET", "/topics/own/1", {"Sec-Fetch-Site": "cross-site"}, cookie=cookie), 403,
                  "origin-foreign", good)
    checks.answer(ask(server, "GET", "/topics/own%00", cookie=cookie), 400, "bad-topic", good)

    def old(age, key=None, **more):
        return cookie.replace(short, token(claims("alice", [], [match("own/*")],
                                                  **{"lifetime": -age, "iat": int(time.time()) - 8000, **more}),
                                                  key or world.secret))

    as_browser("/topics/own/1", old(600))
    as_browser("/topics/own/1", old(3500))
    hour = "within an hour and otherwise good"
    checks.answer(ask(server, "GET", "/topics/own/1", cookie=old(3700)), 401, "token-expired", hour)
    checks.answer(ask(server, "GET", "/topics/own/1", cookie=old(600, type(world.secret)(b"f" * 32))), 401,
                  "token-signature", hour)
    checks.answer(ask(server, "GET", "/topics/own/1", cookie=old(600, nbf=int(time.time()) + 900)), 401, None, hour)
    checks.answer(ask(server, "GET", "/topics/own/1", cookie=old(600, plinth=None)), 403, "forbidden", hour)
    # A session that has ended, and an expired cookie of it.
    text = alice(world, lifetime=300)
    signed_out, _ = sign_in(server, text)
    ask(server, "DELETE", "/session", ours, cookie=signed_out)
    stale = signed_out.replace(text, alice(world, lifetime=-600, iat=int(time.time()) - 8000))
    for value in (signed_out, stale):
        checks.answer(ask(server, "GET", "/topics/own/1", cookie=value), 401, "token-revoked",
                      "An ended `sid` is remembered until its token's expiry and an hour, and is 401")
    # Signing in again renews.
    renewed, _ = sign_in(server, alice(world), ours, cookie=cookie)
    checks.answer(ask(server, "GET", "/topics/own/1?wait=0", cookie=renewed), 200,
                  because="the browser returns with its renewed cookie")
    # A sign-out with an expired cookie, and an API key where a token is needed, are elsewhere or no failure.
    checks.answer(ask(server, "DELETE", "/session", ours, cookie=cookie), (200, 401),
                  because="a sign-out of an expired session is no failure")


def configured_origins(world):
    text = alice(world)
    options = ("--public-origin", "https://hub.example", "--public-origin", "https://second.example", "--allow-origin",
               "https://app.example")
    with world.serve_secret(*options) as server:
        checks, cookie = server.checks, sign_in(server, text)[0]
        only = "With a `--public-origin` only those are ours, with and without an authorizer"
        for origin, status in (("https://hub.example", 201), ("https://second.example", 201), (server.origin, 403),
                               ("http://hub.example", 403),
                               ("https://hub.example:8443", 403), ("https://x.hub.example", 403), ("null", 403)):
            answer = ask(server, "POST", "/topics/own/1", {"Origin": origin}, b"x", cookie=cookie)
            checks.answer(answer, status, None if status == 201 else "origin-foreign", only)
        reads = "`--allow-origin` reads; an origin that is to publish by cookie is given as `--public-origin` too"
        allowed = {"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"}
        checks.answer(ask(server, "GET", "/topics/own/1?wait=0", allowed, cookie=cookie), 200, because=reads)
        checks.answer(ask(server, "HEAD", "/topics/own/1", allowed, cookie=cookie), 200, because=reads)
        checks.answer(ask(server, "GET", "/topics/own/1", allowed, cookie=cookie), 200, because=reads)
        checks.answer(ask(server, "POST", "/topics/own/1", allowed, b"x", cookie=cookie), 403, "origin-foreign", reads)
        checks.answer(ask(server, "POST", "/topics", {**allowed, **FORM}, b"topic=own/1", cookie=cookie), 403,
                      "origin-foreign", OURS)
        checks.answer(ask(server, "DELETE", "/session", allowed, cookie=cookie), 403, "origin-foreign", OURS)
        sign_in(server, text, allowed)
        sign_in(server, text, {"Origin": "https://hub.example"})
        for origin in (server.origin, "https://evil.example", "null"):
            answer = ask(server, "POST", "/session", {"Origin": origin}, bearer=text)
            checks.answer(answer, 403, "origin-foreign", "`POST /session` of an allowed origin is taken",
                          lacks=["Set-Cookie"])


def tls(world):
    certificate, key = world.certificate
    with world.serve_secret("--tls-certificate", certificate, "--tls-key", key, tls=True) as server:
        checks, (cookie, found) = server.checks, sign_in(server, alice(world))
        checks.expect(cookie.startswith("__Host-plinth=") and "secure" in found and found.get("path") == "/",
                      f"{cookie[:30]}…; {found}", "else `__Host-plinth`")
        http = "Where the connection is TLS, … an `http:` origin is not ours."
        for origin, status in ((server.origin, 201), (server.origin.replace("https", "http"), 403)):
            answer = ask(server, "POST", "/topics/own/1", {"Origin": origin}, b"x", cookie=cookie)
            checks.answer(answer, status, None if status == 201 else "origin-foreign", http)
        stream = open_stream(server, "/topics/own/1", cookie=cookie)
        checks.answer(ask(server, "DELETE", "/session", {"Origin": server.origin}, cookie=cookie), 200,
                      because="`DELETE` ends them too")
        stream.until(lambda one: one.is_whole)
        checks.expect(stream.is_whole, stream.report(), "`DELETE` ends its streams, over TLS too")
        stream.close()
