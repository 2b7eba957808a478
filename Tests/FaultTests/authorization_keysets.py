# SPDX-License-Identifier: Apache-2.0
"""Key sets at an `https` URL that redirects, is down, slow, too large or not trusted, for authorization.py."""

import http.server
import json
import ssl
import threading
import time

from authorization_http import Exchange, ask, open_stream
from authorization_tokens import KeyPair, claims, match, token
from authorization_tools import wait_until

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SOURCE = ("https (`--jwks-ca FILE`), no redirects, 256 KiB, 5 s, one fetch in 60 s whatever is asked, "
          "a failure opens nothing")
UNAVAILABLE = ("While the set may be out of date for a `kid`: a stream gets 200, `retry:`, the end, "
               "all else 503 `keys-unavailable`")
DRIPS = 12
"""Seconds that a key set takes whose bytes come one by one."""

COMES_UP = 80
"""Seconds within which a server has its keys whose source has come up: one fetch in 60 s, and time for it."""


class Source:
    """A server of key sets, over TLS; what it answers is one of the methods below."""

    def __init__(self, certificate, answer, content=b""):
        self.answer, self.content, self.requests = answer, content, []
        self.is_over = threading.Event()
        source = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                source.requests.append((self.path, dict(self.headers)))
                getattr(source, source.answer)(self)

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # Such as a client that does not trust the certificate.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}/keys.json"

    def reply(self, handler, status, content, **fields):
        try:
            handler.send_response(status)
            for name, value in {"Content-Type": "application/jwk-set+json", "Content-Length": str(len(content)),
                                **fields}.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(content)
        except OSError:
            pass  # A client that had enough.

    def serves(self, handler):
        self.reply(handler, 200, self.content)

    def fails(self, handler):
        self.reply(handler, 503, b"down")

    def redirects(self, handler):
        if handler.path == "/elsewhere":
            return self.serves(handler)
        self.reply(handler, 302, b"", Location="/elsewhere")

    def is_too_large(self, handler):
        self.reply(handler, 200, self.content[:-1] + b" " * (256 * 1024) + b"}")

    def is_slow(self, handler):
        self.is_over.wait(30)

    def drips(self, handler):
        try:
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(self.content)))
            handler.end_headers()
            for at in range(len(self.content)):
                handler.wfile.write(self.content[at:at + 1])
                if self.is_over.wait(DRIPS / len(self.content)):
                    return
        except OSError:
            pass

    def close(self):
        self.is_over.set()
        self.server.shutdown()
        self.server.server_close()


def good(key, **more):
    return token(claims("alice", ["own/1"], [match("own/*")], iss="i", aud="a"), key, **more)


def serve(world, source, *options, ca=True):
    trusted = ("--jwks-ca", world.certificate[0]) if ca else ()
    return world.serve("--jwks", source.url, "--jwt-issuer", "i", "--jwt-audience", "a", *trusted, *options)


def key_set(key):
    return json.dumps({"keys": [key.jwk(kid="r1")]}).encode()


def run(world):
    key = KeyPair(world.folder, "RS256")
    good_source(world, key)
    for answer in ("redirects", "is_too_large", "is_slow", "drips"):
        bad_source(world, key, answer)
    bad_source(world, key, "serves", content=json.dumps({"keys": [key.jwk(kid="r1"),
                                                                  KeyPair(world.folder,
                                                                          "RS256").jwk(kid="r1")]}).encode())
    bad_source(world, key, "serves", content=b"no set")
    bad_source(world, key, "serves", ca=False)


def good_source(world, key):
    source = Source(world.certificate, "serves", key_set(key))
    try:
        with serve(world, source) as server:
            checks, text = server.checks, good(key, kid="r1")
            wait_until(lambda: source.requests)
            checks.answer(ask(server, "GET", "/topics/own/1?wait=0", bearer=text), 200, because=SOURCE)
            stream = open_stream(server, "/topics/own/1", bearer=text)
            fetches = len(source.requests)
            other = KeyPair(world.folder, "RS256")
            for number in range(20):
                strange = good(other, kid=f"new{number}", jku=source.url.replace("keys.json", "evil.json"))
                answer = ask(server, "GET", "/topics/own/1?wait=0", bearer=strange)
                right = (answer.status, answer.json.get("code")) in ((401, "token-key"), (503, "keys-unavailable"))
                checks.expect(right, answer.report(),
                              "an unknown `kid` is refused, or the set may be out of date for it")
            checks.expect(len(source.requests) <= fetches + 1, source.requests, "one fetch in 60 s whatever is asked")
            checks.expect(all(path == "/keys.json" for path, _ in source.requests), source.requests,
                          "a token's `jku` is never followed")
            checks.expect(all("Authorization" not in fields and "Cookie" not in fields for _,
                              fields in source.requests), source.requests, "a fetch has no credential")
            checks.answer(ask(server, "GET", "/topics/own/1?wait=0", bearer=text), 200,
                          because="a flood of unknown `kid`s changes nothing for others")
            checks.expect(not stream.is_whole, stream.report(), SOURCE)
            source.answer = "fails"
            checks.answer(ask(server, "POST", "/topics/own/1", bearer=good(key, kid="r1"), body=b"x"), 201,
                          because="over failures the last set holds for 24 h")
            checks.expect(stream.until(lambda one: one.data == ["x"]), stream.report(),
                          "over failures the last set holds for 24 h")
            stream.close()
    finally:
        source.close()


def unavailable(server, text):
    """Checks that without keys nothing opens, and browsers come back."""
    checks = server.checks
    for target in ("/topics/own/1", "/topics?match=**", "/topics/foreign"):
        stream = ask(server, "GET", target, bearer=text)
        stream.until(lambda one: one.is_whole)
        right = stream.status == 200 and stream.is_stream and "retry:" in stream.body and not stream.events
        right = right and stream.is_whole
        checks.expect(right, stream.report(), UNAVAILABLE)
    for method, target, fields, body in (("GET", "/topics/own/1?wait=0", {}, None), ("HEAD", "/topics/own/1", {}, None),
                                         ("POST", "/topics/own/1", {}, b"x"),
                                         ("GET", "/status", {}, None), ("POST", "/session", {}, None),
                                         ("DELETE", "/topics/own/1", {}, None)):
        answer = ask(server, method, target, fields, body, bearer=text)
        checks.answer(answer, 503, None if method == "HEAD" else "keys-unavailable", UNAVAILABLE)
        checks.expect(answer.field("Retry-After"), answer.report(), "503 `keys-unavailable`, `Retry-After`")
    checks.answer(ask(server, "GET", "/topics/own/1"), 401, "unauthorized", "without a credential no key is needed")
    checks.answer(ask(server, "GET", "/topics/own/1", bearer="bad"), 401, "token-malformed",
                  "what is no token needs no key")
    checks.answer(ask(server, "GET", "/topics/a%00", bearer=text), 400, "bad-topic", "syntax comes first")


def bad_source(world, key, answer, content=None, ca=True):
    source = Source(world.certificate, answer, content or key_set(key))
    try:
        began = time.monotonic()
        with serve(world, source, ca=ca) as server:
            unavailable(server, good(key, kid="r1"))
            took = time.monotonic() - began
            server.checks.expect(took < 25, f"{answer}: {took:.0f} s for 12 requests",
                                 "5 s for a fetch, one fetch in 60 s")
            most = 0 if not ca else 2
            server.checks.expect(len(source.requests) <= most, f"{answer}: {source.requests}",
                                 "one fetch in 60 s whatever is asked, no redirects")
    finally:
        source.close()


def comes_up(world):
    """A source that is down when the server starts, and comes up."""
    key = KeyPair(world.folder, "RS256")
    source = Source(world.certificate, "fails", key_set(key))
    try:
        with serve(world, source) as server:
            text = good(key, kid="r1")
            unavailable(server, text)
            source.answer = "serves"
            because = "`--jwks` whose source is down at the start, and comes up: within 60 s the next fetch"
            target = "/topics/own/1?wait=0"
            came = wait_until(lambda: Exchange(server, "GET", target, bearer=text).finish().status == 200, COMES_UP,
                              0.5)
            what = f"still 503 after {COMES_UP} s; fetches: {len(source.requests)}; {server.text[-1500:]}"
            server.checks.expect(came, what, because)
    finally:
        source.close()
