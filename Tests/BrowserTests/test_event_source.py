# SPDX-License-Identifier: Apache-2.0
"""Compares PlinthClient with Chromium's EventSource on the same servers and streams.

docs/decisions.md lists the known differences; in these tests the two must agree.
"""

import base64
import collections
import json
import os
import random
import socket
import subprocess
import threading
import time
import urllib.parse

from cases import BrowserCase, browser

STREAM = "text/event-stream"
TYPES = ["message", "a", "b", "é", "x y", "data", "0"]

# Opens an event source and records its events until it is closed for good or the time is up. With `once`, closes it at
# the first error.
RUNNER = """
(url, types, milliseconds, once) => new Promise((resolve) => {
    const seen = [];
    const source = new EventSource(url);
    const finish = () => { source.close(); resolve(seen); };
    setTimeout(finish, milliseconds);
    for (const type of types) {
        source.addEventListener(type, (event) => seen.push(["event", event.type, event.data, event.lastEventId]));
    }
    source.addEventListener("open", () => seen.push(["open"]));
    source.addEventListener("error", () => {
        seen.push(["error", source.readyState === EventSource.CLOSED ? "closed" : "connecting"]);
        if (once || source.readyState === EventSource.CLOSED) finish();
    });
})
"""


def response(body=b"", type=STREAM, status="200 OK", fields=(), version="1.1"):
    """A response that ends with the connection."""
    if isinstance(body, str):
        body = body.encode()
    head = [f"HTTP/{version} {status}"] + ([f"Content-Type: {type}"] if type is not None else []) + list(fields)
    return ("\r\n".join(head + ["Connection: close"]) + "\r\n\r\n").encode() + body


def redirect(status, location):
    return response(status=status, type=None, fields=[f"Location: {location}"] if location is not None else [])


def chunked(*chunks, end=True):
    body = b"".join(f"{len(c):x}\r\n".encode() + c + b"\r\n" for c in (chunk.encode() for chunk in chunks))
    return response(body + (b"0\r\n\r\n" if end else b""), fields=["Transfer-Encoding: chunked"])


# A pause before an abrupt end of the connection: Chromium delivers data just before such an end only sometimes.
PAUSE = object()

HELLO = "retry: 20\nid: 1\ndata: hello\n\n"

# The responses to successive connections; any further connection receives a 204, which ends the event source.
SCENARIOS = {
    "a stream that ends": [response(HELLO)],
    "three streams, resumed": [response(HELLO), response("id: ü2\ndata: b\n\n"), response("data: c\n\nid\n\n")],
    "an id of its own block": [response("retry: 20\nid: 7\n\n")],
    "an id with a NUL": [response("retry: 20\nid: 1\ndata: a\n\nid: 2\0\ndata: b\n\n")],
    "an id that is empty": [response("retry: 20\nid: 1\ndata: a\n\nid:\ndata: b\n\n")],
    "an id without its blank line": [response("retry: 20\nid: 1\ndata: a\n\nid: 2\ndata: b\n")],
    "an id with spaces": [response("retry: 20\nid:  a b \ndata: a\n\n")],
    "no body": [response("")],
    "no event": [response("retry: 20\n\n: comment\n\n")],
    "HTTP/1.0": [response(HELLO, version="1.0")],
    "chunks": [chunked("retry: 20\ndata: a\n", "\ndata: b\n\n")],
    "chunks that are cut off": [[chunked("retry: 20\ndata: a\n\n", "data: b\n\n", end=False), PAUSE]],
    "a length": [response(HELLO, fields=[f"Content-Length: {len(HELLO)}"])],
    "a length that is not reached": [[response(HELLO, fields=["Content-Length: 1000"]), PAUSE]],
    "1xx before it": [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + response(HELLO)],
    "a mark at the start": [response(b"\xef\xbb\xbf" + HELLO.encode())],
    "two marks at the start": [response(b"\xef\xbb\xbf\xef\xbb\xbfretry: 20\n" + HELLO.encode())],
    "retry that is no number": [response("retry: 20\nretry: 9x\nretry: -1\nretry: 1.5\ndata: a\n\n")],
    "a redirect, and another": [redirect("302 Found", "r1"), redirect("307 Temporary Redirect", "r2"), response(HELLO)],
    "a redirect with a query": [redirect("301 Moved Permanently", "?x=1#fragment"), response(HELLO)],
    "a redirect to 204": [redirect("302 Found", "r1")],
    "a redirect to 404": [redirect("302 Found", "r1"), response(status="404 Not Found", type="text/html")],
    "a redirect without Location": [redirect("302 Found", None)],
    "304": [response(status="304 Not Modified", type=None)],
    "300 with Location": [response(status="300 Multiple Choices", fields=["Location: r1"])],
}
for code in ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"]:
    SCENARIOS[f"redirected by {code}, and again"] = [redirect(code, "/elsewhere@"), response(HELLO), response(HELLO)]
for code in ["201 Created", "202 Accepted", "205 Reset Content", "206 Partial Content", "400 Bad Request", "401 Unauthorized",
             "403 Forbidden", "404 Not Found", "410 Gone", "429 Too Many Requests", "500 Internal Server Error",
             "502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout"]:
    SCENARIOS[f"status {code}"] = [response(HELLO, status=code)]
for type in [f"{STREAM};charset=utf-8", STREAM.upper(), f"{STREAM}; charset=UTF-8; x=y", f"{STREAM};charset=windows-1252",
             f'{STREAM};charset="utf-8"', f"{STREAM} ; x", f"{STREAM};", "text/plain", "text/event-streams", "text/event",
             "text/event-stream/x", "", None]:
    SCENARIOS[f"Content-Type {type!r}"] = [response(HELLO, type=type)]


class ScriptedServer:
    """Serves each connection the next response of the script that is named in the path."""

    def __init__(self, page=b"<!doctype html><title>EventSource</title>"):
        self.page = page
        self.scripts = {}
        self.requests = collections.defaultdict(list)
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, name):
        return f"http://127.0.0.1:{self.port}/{name}/"

    def kill(self):
        self.socket.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            connection.settimeout(20)
            head = b""
            try:
                while b"\r\n\r\n" not in head:
                    data = connection.recv(65536)
                    if not data:
                        return
                    head += data
                for piece in self._answer(head):
                    if piece is PAUSE:
                        time.sleep(0.5)
                    else:
                        connection.sendall(piece)
                connection.shutdown(socket.SHUT_WR)
                # Avoids a reset, which would discard unread data.
                while connection.recv(65536):
                    pass
            except OSError:
                return

    def _answer(self, head):
        lines = head.decode("latin-1").split("\r\n")
        target = lines[0].split(" ")[1]
        if target == "/":
            return [response(self.page, type="text/html")]
        name = target.split("/")[1]
        for mark in ("elsewhere@",):
            if name.startswith(mark):
                name = name[len(mark):]
        if name not in self.scripts:
            return [response(status="404 Not Found", type="text/plain")]
        ids = [line.split(":", 1)[1].strip() for line in lines if line.lower().startswith("last-event-id:")]
        self.requests[name].append((target.replace(name, "*"), ids))
        script = self.scripts[name]
        answer = script.pop(0) if script else response(status="204 No Content", type=None)
        return answer if isinstance(answer, list) else [answer]

    def script(self, name, answers):
        # Adds the script's name to a redirect target outside its path.
        self.scripts[name] = [
            [
                part if part is PAUSE else part.replace(b"/elsewhere@", b"/elsewhere@" + name.encode())
                for part in (answer if isinstance(answer, list) else [answer])
            ]
            for answer in answers
        ]


def probe(name):
    """The path of a program in the examples' build folder."""
    path = os.path.join(os.environ["EXAMPLES_BIN"], name)
    if not os.path.exists(path):
        raise AssertionError(f"{path} is missing: swift build --product {name}")
    return path


def watch(url, seconds, once=False):
    """The events that PlinthClient sees."""
    process = subprocess.Popen([probe("event-source-probe"), url, str(seconds)], stdout=subprocess.PIPE, text=True)
    seen = []
    for line in process.stdout:
        item = json.loads(line)
        if item["k"] == "event":
            seen.append(["event", item["type"], item["data"], item["lastEventId"]])
        else:
            seen.append([item["k"]] + ([item["state"]] if "state" in item else []))
        if item["k"] == "error" and (once or item["state"] == "closed"):
            break
    process.kill()
    process.wait()
    process.stdout.close()
    return seen


def parsed(streams):
    """Parses streams given in pieces and returns the events of each."""
    lines = [
        json.dumps({"id": number, "chunks": [base64.b64encode(piece).decode() for piece in pieces]})
        for number, pieces in enumerate(streams)
    ]
    result = subprocess.run(
        [probe("event-parser-probe")], input="\n".join(lines) + "\n", capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in result.stdout.split("\n") if line]


class EventSourceBesideChromium(BrowserCase):
    def setUp(self):
        self.server = self.start(ScriptedServer())

    def chromium(self, page, url, milliseconds, once=False):
        call = f"({RUNNER})({json.dumps(url)}, {json.dumps(TYPES)}, {milliseconds}, {json.dumps(once)})"
        return page.evaluate(call)

    def test_connections_statuses_types_and_redirects(self):
        page = self.open(f"http://127.0.0.1:{self.server.port}/")
        differences = []
        for number, (name, answers) in enumerate(SCENARIOS.items()):
            self.server.script(f"c{number}", answers)
            self.server.script(f"p{number}", answers)
            theirs = self.chromium(page, self.server.url(f"c{number}"), 8000)
            ours = watch(self.server.url(f"p{number}"), 8)
            asked = [self.server.requests[f"{who}{number}"] for who in "cp"]
            if theirs != ours or asked[0] != asked[1]:
                differences.append(f"{name}:\n  Chromium {theirs}\n    asked {asked[0]}\n  Plinth {ours}\n    asked {asked[1]}")
        self.note(f"{len(SCENARIOS)} scenarios, {len(differences)} differ")
        self.assertEqual(differences, [], "\n".join(differences))

    def test_streams_of_random_bytes(self):
        seed = 20261121
        choice = random.Random(seed)
        streams = [stream(choice) for _ in range(300)]
        page = self.open(f"http://127.0.0.1:{self.server.port}/")
        differences = []
        answers = parsed(streams)
        for number, pieces in enumerate(streams):
            name = f"s{number}"
            self.server.script(name, [[response(b"")] + pieces])
            theirs = [item[1:] for item in self.chromium(page, self.server.url(name), 8000, once=True) if item[0] == "event"]
            ours = [[e["type"], e["data"], e["lastEventId"]] for e in answers[number]["events"] if e["type"] in TYPES]
            if theirs != ours:
                differences.append(f"{b''.join(pieces)!r}:\n  Chromium {theirs}\n  Plinth {ours}")
            if number % 10 == 0:
                self.server.script(name, [[response(b"")] + pieces])
                seen = [item[1:] for item in watch(self.server.url(name), 8, once=True) if item[0] == "event"]
                if [item for item in seen if item[0] in TYPES] != ours:
                    differences.append(f"{b''.join(pieces)!r}:\n  event-source-probe {seen}\n  event-parser-probe {ours}")
        events = sum(len(answer["events"]) for answer in answers)
        self.note(f"{len(streams)} streams with {events} events, seed {seed}, {len(differences)} differ")
        self.assertEqual(differences, [], "\n".join(differences[:10]))


def stream(choice):
    """A random stream of parser-relevant tokens, split at random positions."""
    tokens = [
        b"data", b"data:", b"data: ", b"data:  ", b"id", b"id:", b"id: ", b"event", b"event:", b"event: ", b"retry: 20",
        b"retry:", b":", b": c", b"\n", b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n", b"a", b"b", b"message", b"0", b" ",
        "é".encode(), "x y".encode(), b"\0", b"\t", b"Data: x", b" data: x", b"data :x", b"unknown: y", b"\xef\xbb\xbf",
        b"\xff", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98\x80", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"\xc2\x85", b"\x0b", b"\x0c",
        b"12", b"7",
    ]
    weights = [6 if t.startswith((b"data", b"\n", b"\r")) else 2 for t in tokens]
    body = b"".join(choice.choices(tokens, weights, k=choice.randrange(1, 60)))
    if choice.random() < 0.7:
        body += b"\n\n"
    # Chromium, unlike the standard, takes a line break right after the byte order mark as part of the next line.
    if body.startswith((b"\xef\xbb\xbf\r", b"\xef\xbb\xbf\n")):
        body = body[3:]
    pieces = []
    while body:
        size = choice.choice([1, 2, 3, 7, len(body)])
        pieces.append(body[:size])
        body = body[size:]
    return pieces
