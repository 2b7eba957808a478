# SPDX-License-Identifier: Apache-2.0
"""Topics and subjects that only look alike, for authorization.py."""

from authorization_http import Exchange, ask, open_stream
from authorization_tokens import claims, match, token
from authorization_topics import FORM, HIDDEN, mark, publish

BYTES = "Topics are byte strings, percent-decoded exactly once, never normalised, compared by bytes."


def run(world):
    everything = [match("**")]
    root = token(claims("root", everything, everything, True), world.secret)
    with world.serve_secret() as server:
        look_alikes(world, server, root)
        wildcard_names(world, server, root)
    base_path(world)


def look_alikes(world, server, root):
    """Names that a careless comparison takes for a granted one. None of these may publish or read another topic."""
    checks = server.checks
    composed, decomposed = "caf%C3%A9", "cafe%CC%81"
    exact = ["l/b", "sp ace", "pl+us", "caf\u00e9", "esc%2Fd"]
    one = token(claims("one", exact, exact), world.secret)
    for target, status in (
        ("l/b", 201), ("l%2Fb", 201), ("l%2fb", 201), ("%6c/b", 201), ("l%252Fb", 403), ("l%252fb", 403), ("L/b", 403),
        ("l/B", 403), ("l/b/", 403), ("l//b", 403), ("/l/b", (403, 404)), ("l/./b", 403), ("./l/b", 403),
        ("l/x/../b", 403), ("l/b/.", 403), ("l/b/..", 403), ("x/../l/b", 403), ("l%2F..%2Fl%2Fb", 403),
        ("l/%2e%2e/l/b", 403), ("l/b%20", 403), ("%20l/b", 403), ("l/b%00", 400), ("l%2Fb%0A", 400), ("l%C0%AFb", 400),
        ("l/b%", 400), ("l/b%zz", 400), ("l/b;x=1", 403), ("l%5Cb", 403), ("l\\b", (400, 403)), ("l%EF%BC%8Fb", 403),
        ("l/%D0%AC", 403), ("l%E2%80%8B/b", 403), ("sp%20ace", 201), ("sp+ace", 403), ("pl+us", 201), ("pl%2Bus", 201),
        ("pl%20us", 403), (composed, 201), (composed.lower(), 201), (decomposed, 403), ("caf%C3%89", 403),
        ("esc%252Fd", 201), ("esc%2Fd", 403), ("esc/d", 403), ("", (400, 404)), ("*", 400),
    ):
        answer = Exchange(server, "POST", f"/topics/{target}", body=b"x", bearer=one)
        checks.answer(answer, status, because=BYTES)
        expected = 200 if status == 201 else status
        checks.answer(Exchange(server, "GET", f"/topics/{target}?wait=0", bearer=one), expected, because=BYTES)
    # What was taken stands under the granted name.
    for query, count in (("topic=l/b", 4), ("topic=l%2Fb", 4), (f"topic={composed}", 2), ("topic=pl%2Bus", 2)):
        answer = ask(server, "GET", f"/topics?{query}&wait=0&last-event-id=earliest", bearer=root)
        checks.expect(len(answer.json.get("events", [])) == count, answer.report(), BYTES)

    # A plus in a query and in a form may mean a plus or a blank, but one thing for the check and for the topic.
    for method, target, fields, body in (("POST", "/topics?topic=pl+us", {}, b"x"),
                                         ("GET", "/topics?topic=pl+us&wait=0", {}, None),
                                         ("POST", "/topics?wait=0", FORM, b"topic=pl+us&last-event-id=earliest")):
        statuses = []
        for name in ("pl+us", "pl us"):
            statuses.append(ask(server, method, target, fields, body,
                                bearer=token(claims(f"<{name}>", [name], [name]), world.secret)).status)
        granted = [status < 300 for status in statuses]
        checks.expect(sorted(granted) == [False, True], f"{method} {target}: {statuses} with `pl+us`, `pl us`", BYTES)

    # A canonically equivalent grant is no grant, also as a pattern.
    other = token(claims("other", ["cafe\u0301", match("cafe\u0301/*")], [match("cafe\u0301/*"), "cafe\u0301"]),
                  world.secret)
    for target, status in ((composed, 403), (decomposed, 201), (f"{composed}/1", 403), (f"{decomposed}/1", 201)):
        checks.answer(ask(server, "POST", f"/topics/{target}", body=b"x", bearer=other), status, because=BYTES)
    stream = open_stream(server, "/topics?match=**", bearer=other)
    for topic in ("caf\u00e9", "caf\u00e9/1", "cafe\u0301/1"):
        publish(server, root, [topic], topic)
    stream.until(lambda one: "cafe\u0301/1" in one.data)
    checks.expect(stream.data == ["cafe\u0301/1"], stream.report(), BYTES)
    stream.close()

    # Other ways to name a topic.
    start = mark(server, root)
    host = f"http://127.0.0.1:{server.port}"
    for target, fields in (
        (f"{host}/topics/forbidden", {}), ("/topics/forbidden", {"X-Original-URL": "/topics/l/b"}),
        ("/topics/forbidden", {"X-Rewrite-URL": "/topics/l/b"}), ("/topics/l/b/../../forbidden", {}),
        ("//topics/forbidden", {}), ("/topics/l/b?topic=forbidden", {}), ("/topics?topic=l/b&topic=forbidden", {}),
        ("/topics?topic=l/b&TOPIC=forbidden", {}), ("/topics?topic=forbidden&topic=l/b", {}),
        ("/topics/l/b#/../forbidden", {}),
    ):
        Exchange(server, "POST", target, fields, b"x", bearer=one).finish().close()
    Exchange(server, "POST", "/topics/l/b", {"X-HTTP-Method-Override": "DELETE", "X-HTTP-Method": "DELETE"}, b"kept",
             bearer=one).finish()
    answer = ask(server, "GET", f"/topics?match=**&wait=0&last-event-id={start}", bearer=root)
    topics = {event["topic"] for event in answer.json.get("events", [])}
    checks.expect(topics <= {"l/b"} and "kept" in answer.body, answer.report(), BYTES)
    publish(server, root, ["forbidden"], "not for one")
    for target in ("/topics/l/b?topic=forbidden", "/topics/l/b?match=**", "/topics?topic=l/b&match=forbidden"):
        joined = "&" if "?" in target else "?"
        answer = Exchange(server, "GET", f"{target}{joined}wait=0&last-event-id=earliest", bearer=one).finish()
        checks.expect("not for one" not in answer.body, answer.report(), HIDDEN)


def wildcard_names(world, server, root):
    """A name is never a pattern by its characters."""
    checks = server.checks
    because = "a string is an exact topic and `{\"match\": …}` a pattern: an issuer grants no pattern by accident"
    star = token(claims("*", ["s/*", "**"], ["s/*", "**"]), world.secret)
    for target, status in (("s/1", 403), ("s/*", 201), ("s/%2A", 201), ("a", 403), ("**", 201)):
        checks.answer(ask(server, "POST", f"/topics/{target}", body=b"x", bearer=star), status, because=because)
    publish(server, root, ["s/1"], "hidden")
    answer = ask(server, "GET", "/topics?match=**&wait=0&last-event-id=earliest", bearer=star)
    names = {event["topic"] for event in answer.json.get("events", [])}
    checks.expect(names == {"s/*", "**"}, answer.report(), because)
    pattern = token(claims("pattern", [match("own/*"), match("deep/**")], [match("own/*")]), world.secret)
    for target, status in (
        ("own/x", 201), ("own%2Fx", 201), ("own/x/y", 403), ("own/x%2Fy", 403), ("own/x%2fy", 403),
        ("own%2Fx%2Fy", 403), ("own", 403), ("own/", 201), ("ownx/y", 403), ("OWN/x", 403), ("own/..%2Fforeign", 403),
        ("own/../foreign", 403), ("own/*", 201), ("deep/a/b", 201), ("deep/../foreign/x", 201), ("deep", 403),
        ("deep%2F..%2Fforeign%2Fx", 201),
    ):
        checks.answer(ask(server, "POST", f"/topics/{target}", body=b"climbed", bearer=pattern), status, because=BYTES)
    answer = ask(server, "GET", "/topics?topic=foreign/x&topic=foreign&wait=0&last-event-id=earliest", bearer=root)
    checks.expect("climbed" not in answer.body, answer.report(), "dot segments are bytes of the name")
    nobody = token(claims("*", [], []), world.secret)
    checks.answer(ask(server, "POST", "/topics/a", body=b"x", bearer=nobody), 403, "forbidden",
                  "a subject named `*` has no right by it")
    for rights in (["*"], [match("a*")], [match("**/a")], [""], ["a\nb"], ["x" * 1025], [match("")], [{"match": ["a"]}],
                   [{}], [None], [7]):
        odd = token(claims("odd", rights), world.secret)
        checks.answer(ask(server, "GET", "/topics/a?wait=0", bearer=odd), 401, "token-claim",
                      "Rights that cannot be read: 401 `token-claim`")


def base_path(world):
    alice = token(claims("alice", ["own"], ["own"]), world.secret)
    with world.serve_secret("--base-path", "/hub") as server:
        for target, status in (("/hub/topics/own", 201), ("/hub/topics/foreign", 403), ("/topics/own", 404),
                               ("/hub/../hub/topics/foreign", (403, 404)),
                               ("/hub/topics/../topics/own", 403), ("/hub%2Ftopics/own", 404),
                               ("/HUB/topics/own", 404)):
            answer = Exchange(server, "POST", target, body=b"x", bearer=alice)
            server.checks.answer(answer, status, because="one function decides for every front and every operation")
