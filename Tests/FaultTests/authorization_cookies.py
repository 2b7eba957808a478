# SPDX-License-Identifier: Apache-2.0
"""Cookies: signing in and out, over another session, and odd ones, for authorization.py."""

from authorization_http import ask, open_stream
from authorization_tokens import claims, match, token

SESSION = "`POST /session` with the token in `Authorization` sets a cookie of a server-made `sid` and the token"


def run(world):
    with world.serve_secret("--jwt-leeway", "0s") as server:
        attributes(world, server)
        sessions(world, server)
        odd_cookies(world, server)
    names(world)


def sign_in(server, text, fields=None, cookie=None, path="/session", status=200):
    """Signs in, and returns the cookie as a browser sends it, and its attributes by their lower-case names."""
    answer = ask(server, "POST", path, fields, bearer=text, cookie=cookie)
    server.checks.answer(answer, status, because=SESSION)
    pair, *attributes = (answer.field("Set-Cookie") or "").split(";")
    server.sent |= {part for part in pair.split("=", 1)[1:] if len(part) >= 30}
    parts = (attribute.strip().partition("=")[::2] for attribute in attributes)
    return pair, {name.lower(): value for name, value in parts}


def alice(world, **more):
    return token(claims("alice", [match("own/*")], [match("own/*")], **more), world.secret)


def attributes(world, server):
    checks = server.checks
    pair, found = sign_in(server, alice(world))
    because = "HttpOnly, Secure (but on loopback), SameSite=Lax, its path, its age; `plinth` without Secure"
    age = int(found.get("max-age", "0"))
    right = pair.startswith("plinth=") and "httponly" in found and "secure" not in found
    right = right and found.get("samesite", "").lower() == "lax"
    checks.expect(right and found.get("path") == "/" and "domain" not in found, f"{pair}; {found}", because)
    checks.expect(4180 <= age <= 4200, f"Max-Age {age}", "`Max-Age` is the token's rest and one hour")
    again, _ = sign_in(server, alice(world))
    checks.expect(again != pair, "two sign-ins have one cookie", "a server-made `sid`")
    _, found = sign_in(server, alice(world), {"Host": "hub.example"})
    checks.expect("secure" in found, found, "`Secure` is missing only where … `Host` is a loopback name")
    _, found = sign_in(server, alice(world), {"Host": f"localhost:{server.port}"})
    checks.expect("secure" not in found, found, "`Secure` is missing only where … `Host` is a loopback name")
    because = "too large a token: 400 with the reason"
    large = token(claims("alice", filler="x" * 3200), world.secret)
    answer = checks.answer(ask(server, "POST", "/session", bearer=large), 400,
                           because="Name, value and attributes at most 3,900 bytes (3.5 kB, else 400)",
                           lacks=["Set-Cookie"])
    checks.expect("large" in answer.body or "long" in answer.body or "bytes" in answer.body, answer.report(), because)
    sign_in(server, token(claims("alice", filler="x" * 2200), world.secret))
    for bearer, code in ((None, "unauthorized"), ("bad", "token-malformed"),
                         (alice(world, lifetime=-9), "token-expired")):
        checks.answer(ask(server, "POST", "/session", bearer=bearer), 401, code, SESSION, lacks=["Set-Cookie"])
    answer = ask(server, "GET", "/session", bearer=alice(world))
    checks.answer(answer, 200, because="GET session: who the request is from, and what it may do")
    checks.expect("alice" in answer.body and "own/*" in answer.body, answer.report(),
                  "GET session: who the request is from, and what it may do")
    answer = ask(server, "GET", "/session", cookie=pair)
    checks.expect(answer.status == 200 and "alice" in answer.body, answer.report(),
                  "GET session: who the request is from, and what it may do")


def live(server, stream, text, topic):
    """Whether an open stream still receives."""
    ask(server, "POST", f"/topics/{topic}", bearer=text, body=b"still here")
    return stream.until(lambda one: "still here" in one.data or one.is_whole) and not stream.is_whole


def sessions(world, server):
    checks, ours = server.checks, {"Origin": server.origin}
    text = alice(world)
    cookie, other = sign_in(server, text)[0], sign_in(server, text)[0]
    stream, second = open_stream(server, "/topics/own/s", cookie=cookie), open_stream(server, "/topics/own/s",
                                                                                      cookie=other)
    by_token = open_stream(server, "/topics/own/s", bearer=text)
    renewed, _ = sign_in(server, alice(world, lifetime=700), ours, cookie=cookie)
    checks.expect(live(server, stream, text, "own/s"), stream.report(),
                  "The same issuer and subject renews; another one ends the old `sid`'s streams.")
    checks.answer(ask(server, "GET", "/topics/own/s?wait=0", cookie=renewed), 200,
                  because="The same issuer and subject renews")

    # Somebody else signs in over the session.
    bob = token(claims("bob", [], [match("bob/*")]), world.secret)
    foreign = ask(server, "POST", "/session", {"Origin": "https://evil.example"}, bearer=bob, cookie=renewed)
    checks.answer(foreign, 403, "origin-foreign",
                  "the cookie and the origin rules are not looked at (but at `/session`, for its `sid`)")
    checks.expect(live(server, stream, text, "own/s"), stream.report(), "a refused sign-in ends nothing")
    replaced, _ = sign_in(server, bob, ours, cookie=renewed)
    stream.until(lambda one: one.is_whole)
    checks.expect(stream.is_whole, stream.report(), "another one ends the old `sid`'s streams")
    checks.expect("expired" not in [event["type"] for event in stream.events], stream.report(),
                  "An open stream whose grant ends gets `retry:` and no event.")
    checks.answer(ask(server, "GET", "/topics/own/s", cookie=renewed), 401, "token-revoked",
                  "An ended `sid` is remembered … and is 401")
    checks.answer(ask(server, "GET", "/topics/bob/1?wait=0", cookie=replaced), 200,
                  because="the new subject has its own session")
    checks.answer(ask(server, "GET", "/topics/own/s?wait=0", cookie=replaced), 403, "forbidden",
                  "the new subject has its own rights")
    checks.expect(live(server, second, text, "own/s"), second.report(),
                  "one `sid` ends, not the subject's other sessions")

    # Signing out.
    out = ask(server, "DELETE", "/session", ours, cookie=other)
    checks.answer(out, 200, because="`DELETE` ends them too, and says that the token itself stays valid")
    gone = out.field("Set-Cookie") or ""
    checks.expect(gone.startswith("plinth=") and "max-age=0" in gone.lower(), out.report(),
                  "a sign-out takes the cookie away")
    checks.expect("token" in out.body, out.report(), "`DELETE` … says that the token itself stays valid")
    second.until(lambda one: one.is_whole)
    checks.expect(second.is_whole and second.body.count("retry:") == 2, second.report(),
                  "An open stream whose grant ends gets a jittered `retry:` and no event.")
    for method, target in (("GET", "/topics/own/s"), ("GET", "/topics/own/s?wait=0"), ("HEAD", "/topics/own/s"),
                           ("POST", "/topics/own/s")):
        checks.answer(ask(server, method, target, ours, cookie=other), 401,
                      None if method == "HEAD" else "token-revoked", "An ended `sid` is 401")
    checks.answer(ask(server, "DELETE", "/session", ours, cookie=other), (200, 401),
                  because="a second sign-out does no harm")
    checks.expect(live(server, by_token, text, "own/s"), by_token.report(), "the token itself stays valid")
    checks.answer(ask(server, "DELETE", "/session", ours), (200, 400, 401), because="there is nothing to sign out of")
    for stream in (stream, second, by_token):
        stream.close()


def odd_cookies(world, server):
    checks, text = server.checks, alice(world)
    cookie, other = sign_in(server, text)[0], sign_in(server, token(claims("bob"), world.secret))[0]
    value = cookie.partition("=")[2]
    target = "/topics/own/1?wait=0"
    two = "two of the name are 401"
    for odd in (f"{cookie}; {cookie}", f"{cookie}; {other}", f"{other}; {cookie}", f"{cookie}; plinth=",
                f"plinth=; {cookie}", f"plinth=x; {cookie}"):
        checks.answer(ask(server, "GET", target, cookie=odd), 401, None, two)
    checks.answer(ask(server, "GET", target, {"Cookie": [cookie, other]}), 401, None, two)
    for good in (f"a=b; {cookie}", f"{cookie}; a=b", f"xplinth=1; {cookie}; PLINTH=2"):
        checks.answer(ask(server, "GET", target, cookie=good), 200, because="other cookies are not ours")
    for odd in ("plinth=", "plinth=x", f"plinth={text}", f"plinth={value[:-4]}", f"plinth={value}x",
                f"plinth={value[4:]}", f"plinth={value * 2}", "plinth"):
        checks.answer(ask(server, "GET", target, cookie=odd), 401, None,
                      "a cookie of a server-made `sid` and the token")
    for odd in (f"session={value}", f"PLINTH={value}", f"__Host-plinth={value}", f"plinth_={value}"):
        checks.answer(ask(server, "GET", target, cookie=odd), 401, "unauthorized",
                      "`plinth` without Secure: other names are no credential")
    forged = cookie.replace(text, token(claims("alice", [], [match("**")]), type(world.secret)(b"f" * 32)))
    checks.expect(forged != cookie, cookie, SESSION)
    checks.answer(ask(server, "GET", target, cookie=forged), 401, "token-signature", "the cookie's token is verified")


def names(world):
    because = "`--cookie NAME`, else `__Host-plinth` (`__Secure-plinth` under a base path, `plinth` without Secure)"
    for options, name, path, secure in (
        (("--cookie", "mine"), "mine", "/", False), (("--base-path", "/hub"), "plinth", "/hub", False),
        (("--public-origin", "https://hub.example"), "__Host-plinth", "/", True),
        (("--public-origin", "https://hub.example", "--base-path", "/hub"), "__Secure-plinth", "/hub", True),
        (("--public-origin", "https://hub.example", "--cookie", "mine"), "mine", "/", True),
    ):
        base = "/hub" if path == "/hub" else ""
        with world.serve_secret(*options) as server:
            pair, found = sign_in(server, alice(world), path=f"{base}/session")
            right = pair.startswith(f"{name}=") and ("secure" in found) == secure
            right = right and found.get("path", "").rstrip("/") == path.rstrip("/")
            server.checks.expect(right and "httponly" in found, f"{options}: {pair[:30]}…; {found}", because)
            server.checks.answer(ask(server, "GET", f"{base}/topics/own/1?wait=0", cookie=pair), 200, because=because)
