# SPDX-License-Identifier: Apache-2.0
"""Requests over raw sockets, and what is true of every answer, for authorization.py."""

import itertools
import json
import os
import re
import socket
import ssl
import time

PATIENCE = 10
"""Seconds within which an answer, the start of a server, or the end of a stream must have come."""

SOURCES = itertools.count(1)
"""Each connection comes from a loopback address of its own, so that limits of an address do not mix up the checks."""

TLS = ssl.create_default_context()
TLS.check_hostname, TLS.verify_mode = False, ssl.CERT_NONE

VARY = "All that a grant decided is `no-store` with `Vary: Origin, Cookie, Authorization`."


class Exchange:
    """One request on a connection of its own, and what has come of its answer.

    Fields are a dictionary, whose values may be lists of several fields. A field of None takes away one that is sent
    otherwise: `Host`, and the length of a body.
    """

    def __init__(self, server, method, target, fields=None, body=None, bearer=None, cookie=None, source=None):
        self.server, self.method = server, method
        given = {"Host": f"127.0.0.1:{server.port}"}
        if body is not None or method in ("POST", "PUT"):
            given["Content-Length"] = str(len(body or b""))
        if bearer is not None:
            given["Authorization"] = f"Bearer {bearer}"
        if cookie is not None:
            given["Cookie"] = cookie
        given.update(fields or {})
        lines = [f"{method} {target} HTTP/1.1"]
        for name, values in given.items():
            for value in values if isinstance(values, list) else [values]:
                if value is not None:
                    lines.append(f"{name}: {value}")
        self.request = "\n".join(line[:300] for line in lines)
        self.credentials = {part for name in ("Authorization", "Cookie") for part in self._credentials(given.get(name))}
        server.sent |= self.credentials
        if source is None:
            number = next(SOURCES)
            source = f"127.1.{number // 250 % 250}.{number % 250 + 1}"
        self.socket = socket.create_connection(("127.0.0.1", server.port), PATIENCE, (source, 0))
        if server.tls:
            self.socket = TLS.wrap_socket(self.socket)
        self.raw, self.at_end = b"", False
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b""))

    @staticmethod
    def _credentials(value):
        text = value if isinstance(value, str) else ""
        return {part for part in re.split(r"[ =;,]+", text) if len(part) >= 30}

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass  # Refused early: the answer says why.

    # What has come

    def read(self, seconds):
        """Takes what comes next; False at the end, or if nothing comes in time."""
        if self.at_end:
            return False
        self.socket.settimeout(max(0.001, seconds))
        try:
            piece = self.socket.recv(1 << 16)
        except socket.timeout:
            return False
        except OSError:
            piece = b""
        self.raw += piece
        self.at_end = not piece
        return bool(piece)

    def until(self, holds, seconds=PATIENCE):
        """Reads until a condition holds; returns whether it does."""
        end = time.monotonic() + seconds
        while not (found := holds(self)):
            left = end - time.monotonic()
            if left <= 0 or not self.read(left):
                return bool(holds(self))
        return bool(found)

    def finish(self):
        """Reads the whole answer. A stream that does not end by itself is left after its beginning."""
        self.until(lambda one: one.is_whole or (one.is_stream and one.status == 200), PATIENCE)
        if not self.is_whole:
            self.until(lambda one: one.is_whole, 0.3)
        if self.is_whole:
            self.close()
        return self

    def close(self):
        self.at_end = True
        self.socket.close()

    @property
    def has_head(self):
        return b"\r\n\r\n" in self.raw

    @property
    def _lines(self):
        return self.raw.partition(b"\r\n\r\n")[0].decode(errors="replace").split("\r\n")

    @property
    def status(self):
        found = re.match(r"HTTP/1\.[01] (\d+)", self._lines[0])
        return int(found.group(1)) if found and self.has_head else None

    def fields(self, name):
        pairs = (line.partition(":") for line in self._lines[1:])
        return [value.strip() for one, _, value in pairs if one.lower() == name.lower()]

    def field(self, name):
        """A field's value; several are joined by commas."""
        found = self.fields(name)
        return ", ".join(found) if found else None

    @property
    def is_stream(self):
        return self.has_head and (self.field("Content-Type") or "").startswith("text/event-stream")

    @property
    def _content(self):
        """The body so far, and whether it is whole."""
        if not self.has_head:
            return b"", False
        rest = self.raw.partition(b"\r\n\r\n")[2]
        if self.method == "HEAD" or self.status in (204, 304):
            return b"", True
        if "chunked" not in (self.field("Transfer-Encoding") or ""):
            length = self.field("Content-Length")
            if not length or not length.isdigit():
                return rest, self.at_end
            return rest[:int(length)], len(rest) >= int(length)
        body = b""
        while True:
            line, separator, rest = rest.partition(b"\r\n")
            size = int(line, 16) if separator else None
            if size is None or size and len(rest) < size + 2:
                return body + (rest[:size] if size else b""), False
            if size == 0:
                return body, True
            body, rest = body + rest[:size], rest[size + 2:]

    @property
    def body(self):
        return self._content[0].decode(errors="replace")

    @property
    def is_whole(self):
        """Whether the answer has ended as its framing says; a cut connection is no end."""
        return self._content[1]

    @property
    def json(self):
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def events(self):
        """The events of a stream: type, data, ID and the topic that the ID names."""
        found = []
        for block in self.body.split("\n\n")[:-1]:
            pairs = [line.partition(":")[::2] for line in block.split("\n")]
            values = {name: value.removeprefix(" ") for name, value in pairs if name}
            if "data" in values:
                id, _, topic = values.get("id", "").partition("\t")
                found.append({"type": values.get("event", "message"), "data": values["data"], "id": id, "topic": topic})
        return found

    @property
    def data(self):
        return [event["data"] for event in self.events]

    def report(self):
        answer = "\n".join(self._lines) if self.has_head else repr(self.raw)
        end = "" if self.is_whole else " (no end)"
        options = " ".join(os.path.basename(option) for option in self.server.options)
        parts = [f"server {options}", f"sent: {self.request}", f"came: {answer}", f"{self.body[:600]}{end}"]
        return "\n".join(parts).replace("\n", "\n      ")


def ask(server, method, target, *arguments, **more):
    """Sends a request, reads its answer, and checks what is true of each answer."""
    exchange = Exchange(server, method, target, *arguments, **more).finish()
    always(exchange)
    return exchange


def open_stream(server, target, **more):
    """Opens a stream, which has begun when this returns."""
    stream = Exchange(server, "GET", target, **more)
    stream.until(lambda one: "retry:" in one.body or one.is_whole)
    always(stream)
    because = "the stream opens; every 200 of a stream begins with `retry:`"
    server.checks.expect(stream.status == 200 and "retry:" in stream.body, stream.report(), because)
    return stream


def always(exchange):
    """What is true of every answer."""
    checks, status = exchange.server.checks, exchange.status
    if status == 401:
        checks.expect(exchange.field("WWW-Authenticate"), exchange.report(),
                      "401 with `WWW-Authenticate` and the reason")
    if (status or 0) >= 400 and status != 431 and exchange.method != "HEAD":
        because = "Every error that an HTTP client gets has a stable `code` beside `error`."
        checks.expect(exchange.json.get("code") and exchange.json.get("error"), exchange.report(), because)
    if status is None or status >= 500 and status != 503:
        checks.expect(False, exchange.report(),
                      "every request has an answer, and none of these is a failure of the server")
    if exchange.server.grants and exchange.method != "OPTIONS" and status in (200, 201, 204, 401, 403, 409, 422):
        vary = (exchange.field("Vary") or "").lower()
        checks.expect("no-store" in (exchange.field("Cache-Control") or "") and
                      all(name in vary for name in ("origin", "cookie", "authorization")), exchange.report(), VARY)
    checks.expect(exchange.field("Access-Control-Allow-Origin") != "*", exchange.report(), "CORS … never `*`")
    known = any(credential in exchange.body for credential in exchange.credentials)
    checks.expect(not known, exchange.report(), "An answer does not repeat the credential.")
