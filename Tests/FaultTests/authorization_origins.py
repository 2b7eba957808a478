# SPDX-License-Identifier: Apache-2.0
"""Anonymous requests, the fence of loopback, and CORS, for authorization.py."""

from authorization_http import Exchange, ask
from authorization_tokens import claims, token

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
FENCE = "there it answers only hosts that name it, and refuses unsafe methods from foreign origins"
ANONYMOUS = "`--allow-anonymous` …; to operate needs a grant, except on loopback without any option"


def run(world):
    with world.serve(grants=False) as server:
        fence(server, operates=True)
    anonymous(world)
    mixed(world)
    cors(world)
    cors_without_authorizer(world)


def fence(server, operates=False, publishes=True):
    """What a page in a browser on this machine, or a name that leads here, may do."""
    checks, port = server.checks, server.port
    for host in ("evil.example", f"evil.example:{port}", f"127.0.0.1.evil.example:{port}",
                 f"localhost.evil.example:{port}", "10.0.0.1", "0.0.0.0.1"):
        for method, target, body in (("GET", "/topics/a?wait=0", None), ("GET", "/topics/a", None),
                                     ("POST", "/topics/a", b"x"), ("HEAD", "/topics/a", None),
                                     ("GET", "/status", None)):
            answer = ask(server, method, target, {"Host": host}, body)
            checks.answer(answer, 421, None if method == "HEAD" else "host-foreign", FENCE)
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"hub.localhost:{port}", f"[::1]:{port}", "localhost",
                 f"LOCALHOST:{port}"):
        checks.answer(ask(server, "GET", "/topics/a?wait=0", {"Host": host}), 200, because=FENCE)
    ours = {"Origin": server.origin}
    if publishes:
        checks.answer(ask(server, "POST", "/topics/a", body=b"x"), 201, because="a program on the machine publishes")
        checks.answer(ask(server, "POST", "/topics/a", ours, b"x"), 201, because="a page of ours publishes")
    for origin in ("https://evil.example", "null", f"http://127.0.0.1:{port + 1}", f"{server.origin}.evil.example"):
        for method, target, fields, body in (("POST", "/topics/a", {}, b"x"), ("POST", "/topics/a?end", {}, b""),
                                             ("DELETE", "/topics/a", {}, None),
                                             ("PUT", "/topics/a", JSON, b"{}"), ("POST", "/topics", FORM, b"topic=a")):
            checks.answer(ask(server, method, target, {**fields, "Origin": origin}, body), 403, "origin-foreign", FENCE)
    checks.answer(ask(server, "POST", "/topics/a", {"Sec-Fetch-Site": "cross-site"}, b"x"), 403, "origin-foreign",
                  FENCE)
    if operates:
        for method, target, fields, body, status in (("GET", "/status", {}, None, 200),
                                                     ("PUT", "/topics/a", JSON, b'{"events":5}', 201),
                                                     ("DELETE", "/topics/a", {}, None, 200)):
            checks.answer(ask(server, method, target, fields, body), status,
                          because="to operate needs a grant, except on loopback without any option")


def anonymous(world):
    for right in ("publish", "subscribe", "all"):
        with world.serve("--allow-anonymous", right) as server:
            checks = server.checks
            publishes, subscribes = right != "subscribe", right != "publish"
            for method, target, body, granted in (
                ("POST", "/topics/a", b"x", publishes), ("POST", "/topics?topic=a&topic=b", b"x", publishes),
                ("POST", "/topics/e?end", b"", publishes), ("GET", "/topics/a", None, subscribes),
                ("GET", "/topics?match=**", None, subscribes), ("HEAD", "/topics/a", None, subscribes),
                ("GET", "/topics/a?wait=0", None, subscribes), ("GET", "/status", None, False),
                ("DELETE", "/topics/a", None, False), ("DELETE", "/subjects/a", None, False),
                ("POST", "/session", None, False),
            ):
                answer = ask(server, method, target, body=body)
                if granted:
                    checks.answer(answer, (200, 201), because=ANONYMOUS)
                elif target == "/session":
                    checks.answer(answer, (401, 404, 405),
                                  because="an anonymous request has no token to keep in a cookie")
                else:
                    checks.answer(answer, 401, None if method == "HEAD" else "unauthorized", ANONYMOUS)
            checks.answer(ask(server, "PUT", "/topics/a", JSON, b"{}"), 401, "unauthorized", ANONYMOUS)
            if subscribes:
                checks.answer(ask(server, "POST", "/topics", FORM, b"topic=a"), 200, because=ANONYMOUS)
            with_key = "Anonymous requests with `Idempotency-Key` or `Producer-*` are 400."
            producer = {"Producer-ID": "p", "Producer-Epoch": "0", "Producer-Sequence": "0"}
            if publishes:
                for fields in ({"Idempotency-Key": "k"}, producer):
                    checks.answer(ask(server, "POST", "/topics/a", fields, b"x"), 400, "bad-field", with_key)
            if right == "all":
                checks.answer(ask(server, "HEAD", "/topics/a", {"Producer-ID": "p"}), 400, because=with_key)
            fence_of_anonymous(server, publishes, subscribes)


def fence_of_anonymous(server, publishes, subscribes):
    checks = server.checks
    because = ("Wherever an anonymous request has a right on a loopback listener, the fence of `Host` and `Origin` "
               "holds for requests without credentials.")
    if subscribes:
        checks.answer(ask(server, "GET", "/topics/a", {"Host": "evil.example"}), 421, "host-foreign", because)
        checks.answer(ask(server, "GET", "/topics/a?wait=0", {"Host": "evil.example"}), 421, "host-foreign", because)
    if publishes:
        checks.answer(ask(server, "POST", "/topics/a", {"Host": "evil.example"}, b"x"), 421, "host-foreign", because)
        for fields in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
            checks.answer(ask(server, "POST", "/topics/a", fields, b"x"), 403, "origin-foreign", because)
        checks.answer(ask(server, "POST", "/topics/a", {"Origin": server.origin}, b"x"), 201, because=because)


def mixed(world):
    """Tokens, and rights without one."""
    alice = token(claims("alice", ["a"], ["own"]), world.secret)
    judged = "A request with a credential is judged by it alone"
    with world.serve_secret("--allow-anonymous", "subscribe", "--allow-host", "hub.internal") as server:
        checks = server.checks
        checks.answer(ask(server, "GET", "/topics/a?wait=0"), 200, because=ANONYMOUS)
        checks.answer(ask(server, "POST", "/topics/a", body=b"x"), 401, "unauthorized", ANONYMOUS)
        checks.answer(ask(server, "GET", "/topics/a?wait=0", bearer=alice), 403, "forbidden", judged)
        checks.answer(ask(server, "GET", "/topics/a?wait=0", bearer="bad"), 401, "token-malformed", judged)
        checks.answer(ask(server, "GET", "/topics/a?wait=0", cookie="plinth=bad"), 401, "token-malformed", judged)
        checks.answer(ask(server, "POST", "/topics/a", body=b"x", bearer=alice), 201, because=judged)
        holds = "the fence of `Host` and `Origin` holds for requests without credentials"
        checks.answer(ask(server, "GET", "/topics/a?wait=0", {"Host": "evil.example"}), 421, "host-foreign", holds)
        checks.answer(ask(server, "GET", "/topics/a?wait=0", {"Host": "hub.internal"}), 200,
                      because="`--allow-host` adds host names")
        evil = {"Host": "evil.example", "Origin": "https://evil.example"}
        checks.answer(ask(server, "POST", "/topics/a", evil, b"x", bearer=alice), 201, because=holds)
    with world.serve_secret("--allow-anonymous", "publish") as server:
        server.checks.answer(ask(server, "POST", "/topics/a", body=b"x"), 201, because=ANONYMOUS)
        server.checks.answer(ask(server, "POST", "/topics/b", body=b"x", bearer=alice), 403, "forbidden", judged)
        server.checks.answer(ask(server, "GET", "/topics/a?wait=0"), 401, "unauthorized", ANONYMOUS)
        server.checks.answer(ask(server, "POST", "/topics/a", {"Origin": "https://evil.example"}, b"x"), 403,
                             "origin-foreign", holds)


EXPOSED = ["last-event-id", "topic-ended", "producer-epoch", "producer-sequence", "producer-expected-sequence",
           "retry-after", "idempotent-replayed"]
TAKEN = ["authorization", "last-event-id", "cache-control", "content-type", "idempotency-key", "producer-id",
         "producer-epoch", "producer-sequence"]
CORS = ("CORS by allow-list (`--allow-origin`), never `*` nor a reflected origin with credentials; "
        "CORS headers are on every answer, 401 and 403 too")


def listed(answer, name):
    return [part.strip().lower() for part in (answer.field(name) or "").split(",")]


def shares(answer, origin):
    """Checks that an answer may be read by pages of an origin, or by none."""
    checks = answer.server.checks
    checks.expect("origin" in listed(answer, "Vary"), answer.report(),
                  "`Vary: Origin`: an answer to one origin is not one to another")
    got = answer.fields("Access-Control-Allow-Origin"), answer.field("Access-Control-Allow-Credentials")
    if origin is None:
        checks.expect(got == ([], None), f"{answer.report()}\n    expected: no CORS", CORS)
        return
    checks.expect(got == ([origin], "true"), f"{answer.report()}\n    expected: {origin}, true", CORS)
    if answer.method != "OPTIONS":
        missing = set(EXPOSED) - set(listed(answer, "Access-Control-Expose-Headers"))
        checks.expect(not missing, f"{answer.report()}\n    missing: {missing}",
                      "exposes `Last-Event-ID`, `Topic-Ended`, `Producer-*`, `Retry-After`, `Idempotent-Replayed`")


def cors(world):
    alice = token(claims("alice", ["a"], ["a"]), world.secret)
    app, second = "https://app.example", "http://localhost:3000"
    with world.serve_secret("--allow-origin", app, "--allow-origin", second) as server:
        checks = server.checks
        for origin in (app, second):
            for method in ("POST", "GET", "DELETE", "PUT"):
                for target in ("/topics/a", "/topics?topic=a", "/session" if method != "PUT" else "/topics/b"):
                    asked = {"Origin": origin, "Access-Control-Request-Method": method,
                             "Access-Control-Request-Headers": "authorization,content-type,producer-id"}
                    answer = Exchange(server, "OPTIONS", target, asked).finish()
                    checks.expect(answer.status in (200, 204), answer.report(), "a preflight needs no credentials")
                    shares(answer, origin)
                    checks.expect(method.lower() in listed(answer, "Access-Control-Allow-Methods"), answer.report(),
                                  "a preflight says what may follow")
                    missing = set(TAKEN) - set(listed(answer, "Access-Control-Allow-Headers"))
                    because = "allows `Authorization`, `Last-Event-ID`, …, `Idempotency-Key`, `Producer-*`"
                    checks.expect(not missing, f"{answer.report()}\n    missing: {missing}", because)
        foreign = ["https://evil.example", "null", "https://app.example.evil", "https://app.example:8443",
                   "http://app.example", "https://xapp.example",
                   "https://app.example/", "https://app.example@evil.example", "https://x.app.example", "*",
                   "http://localhost:3001"]
        for origin in foreign:
            asked = {"Origin": origin, "Access-Control-Request-Method": "POST",
                     "Access-Control-Request-Headers": "authorization"}
            answer = Exchange(server, "OPTIONS", "/topics/a", asked).finish()
            checks.expect(answer.field("Access-Control-Allow-Origin") is None, answer.report(), CORS)
            answer = ask(server, "GET", "/topics/a?wait=0", {"Origin": origin}, bearer=alice)
            checks.expect(answer.field("Access-Control-Allow-Origin") is None and answer.status in (200, 400),
                          answer.report(), CORS)
        for origin in (app, None):
            fields = {"Origin": app} if origin else {}
            for method, target, body, bearer, status in (
                ("GET", "/topics/a?wait=0", None, alice, 200), ("HEAD", "/topics/a", None, alice, 200),
                ("POST", "/topics/a", b"x", alice, 201), ("GET", "/topics/a?wait=0", None, None, 401),
                ("GET", "/topics/a", None, "bad", 401), ("GET", "/topics/b", None, alice, 403),
                ("POST", "/topics/b", b"x", alice, 403), ("GET", "/status", None, None, 401),
                ("GET", "/topics/a", None, None, 401), ("POST", "/topics/a%00", b"x", None, 400),
                ("DELETE", "/topics/a", None, alice, 403), ("POST", "/session", None, alice, 200),
            ):
                answer = checks.answer(ask(server, method, target, fields, body, bearer=bearer), status, because=CORS)
                shares(answer, origin)
            for method, target in (("GET", "/nowhere"), ("PATCH", "/topics/a")):
                answer = Exchange(server, method, target, fields).finish()
                checks.expect(answer.field("Access-Control-Allow-Origin") == origin, answer.report(), CORS)
            stream = Exchange(server, "GET", "/topics/a", fields, bearer=alice)
            stream.until(lambda one: "retry:" in one.body)
            shares(stream, origin)
            stream.close()


def cors_without_authorizer(world):
    because = "Without an authorizer its methods are GET and HEAD."
    with world.serve("--allow-origin", "https://app.example", grants=False) as server:
        checks = server.checks
        asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "GET",
                 "Access-Control-Request-Headers": "last-event-id"}
        answer = Exchange(server, "OPTIONS", "/topics/a", asked).finish()
        methods = set(listed(answer, "Access-Control-Allow-Methods"))
        checks.expect(methods <= {"get", "head"} and "get" in methods, answer.report(), because)
        for method in ("POST", "DELETE", "PUT"):
            answer = Exchange(server, "OPTIONS", "/topics/a",
                              {**asked, "Access-Control-Request-Method": method}).finish()
            checks.expect(method.lower() not in listed(answer, "Access-Control-Allow-Methods"), answer.report(),
                          because)
        answer = ask(server, "GET", "/topics/a?wait=0", {"Origin": "https://app.example"})
        checks.expect(answer.status == 200 and answer.field("Access-Control-Allow-Origin") == "https://app.example",
                      answer.report(), CORS)
        answer = ask(server, "POST", "/topics/a", {"Origin": "https://app.example"}, b"x")
        checks.answer(answer, 403, "origin-foreign", FENCE)
        fence(server, operates=False)
