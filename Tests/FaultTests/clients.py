# SPDX-License-Identifier: Apache-2.0
"""The kinds of clients: a coroutine each, which makes every choice from its own random numbers."""

import asyncio
import re
import ssl

import http2
from connection import CONTEXTS, Connection, Fate

KINDS = {}
"""Name: (weight, coroutine)."""


def kind(weight):
    def add(function):
        KINDS[function.__name__] = weight, function
        return function
    return add


class Failed(Exception):
    """The server failed a well-behaved client."""


class Client:
    """One client: its random numbers, its connections, and its target server."""

    def __init__(self, rng, target, number):
        self.rng, self.target, self.number = rng, target, number
        self.connections = []
        self.tally = []

    def connection(self, way=None, fate=None, **options):
        """Creates a connection of a kind that the server supports: `plain`, `tls` or `unix`."""
        way = way or self.rng.choice(self.target.ways)
        fate = fate or Fate.random(self.rng)
        connection = Connection(self.target.addresses[way], fate, tls=way == "tls", **options)
        connection.way = way
        self.connections.append(connection)
        self.tally += [f"way {way}", f"leaves {fate.moment} {fate.manner if fate.moment != 'stays' else ''}".strip()]
        return connection

    def topic(self):
        return f"t{self.rng.randrange(12)}"

    def resume(self):
        """A last event ID, valid or not, or none."""
        return self.rng.choice(["", "", "", "earliest", "nonsense", "x" * 300, "1-1", "0123456789abcdef-99"])

    def stream_path(self):
        """A path whose response is a stream."""
        resume = self.resume()
        query = f"last-event-id={resume}" if resume else ""
        choices = [
            f"/topics/{self.topic()}?{query}",
            "/topics?" + "&".join(f"topic={self.topic()}" for _ in range(self.rng.randrange(1, 5))) + f"&{query}",
            f"/topics?match=t*&{query}",
            f"/topics?match=**&match=t1*&topic={self.topic()}&{query}",
        ]
        if self.target.has_application:
            choices += ["/counter", "/kept", "/flood", "/late"]
        return self.rng.choice(choices)

    def plain_path(self):
        choices = ["/status", "/status?top=100", "/", "/nothing", "/hub.js"]
        if self.target.has_application:
            choices += ["/text", "/text", "/file", "/counts"]
        return self.rng.choice(choices)

    def any_path(self):
        return self.rng.choice([self.stream_path(), self.plain_path()])

    def events(self):
        """An event stream to upload."""
        pieces = []
        for number in range(self.rng.randrange(1, 20)):
            pieces.append(f"event: e{number}\n" if self.rng.random() < 0.3 else "")
            pieces.append(f"data: {'y' * self.rng.choice([0, 1, 10, 1000])}\n\n")
        return "".join(pieces).encode()

    def publishing(self):
        """A publish request."""
        rng = self.rng
        path = f"/topics/{self.topic()}"
        if self.target.has_application and rng.random() < 0.2:
            path = "/upload"
        fields = "Host: localhost\r\n"
        body = self.events()
        if rng.random() < 0.4:
            fields += "Content-Type: text/event-stream\r\n"
        if rng.random() < 0.1:
            fields += "Expect: 100-continue\r\n"
        if rng.random() < 0.05:
            body = b"z" * rng.choice([70_000, 300_000, 2_000_000])
        if rng.random() < 0.5:
            size = rng.choice([1, 7, 100, 10_000]) if len(body) < 10_000 else 50_000
            chunks = [body[at:at + size] for at in range(0, len(body), size)]
            body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
            fields += "Transfer-Encoding: chunked\r\n"
        else:
            fields += f"Content-Length: {len(body) + rng.choice([0, 0, 0, 0, 5])}\r\n"
        return f"POST {path} HTTP/1.1\r\n{fields}\r\n".encode() + body

    def asking(self, connection, path=None):
        """A request without a body."""
        rng = self.rng
        path = path or self.any_path()
        version, method, fields = "1.1", "GET", "Host: localhost\r\n"
        if rng.random() < 0.15:
            version, fields = "1.0", rng.choice(["", "Connection: keep-alive\r\n"])
        if rng.random() < 0.1:
            method = "HEAD"
        if rng.random() < 0.2:
            fields += f"Last-Event-ID: {self.resume() or 'a'}\r\n"
        if rng.random() < 0.1:
            fields += "Connection: close\r\n"
        return f"{method} {path} HTTP/{version}\r\n{fields}\r\n".encode()

    async def pause(self, longest=0.3):
        await asyncio.sleep(self.rng.random() * self.rng.choice([0.01, 0.1, 1]) * longest)

    async def drip(self, connection, data):
        """Sends in pieces, with pauses between them."""
        pieces = self.rng.choice([1, 1, 2, 5, 30])
        cuts = sorted(self.rng.randrange(len(data) + 1) for _ in range(pieces - 1))
        for start, end in zip([0, *cuts], [*cuts, len(data)]):
            await connection.send(data[start:end])
            if pieces > 1:
                await self.pause(0.1)

    async def watch(self, connection, seconds):
        """Reads until the end or for the given time; returns whether the end was reached."""
        clock = asyncio.get_running_loop()
        end = clock.time() + seconds
        while clock.time() < end:
            data = await connection.receive(max(0.001, end - clock.time()))
            if data is None:
                return False
            if not data:
                return True
        return False


# Misbehaving clients


@kind(12)
async def subscribes(client):
    connection = client.connection()
    await connection.open()
    await client.drip(connection, client.asking(connection, client.stream_path()))
    await client.watch(connection, client.rng.random() * 1.5)


@kind(8)
async def publishes(client):
    connection = client.connection()
    await connection.open()
    for _ in range(client.rng.randrange(1, 4)):
        await client.drip(connection, client.publishing())
        if await client.watch(connection, client.rng.choice([0, 0.05, 0.3])):
            return


@kind(6)
async def pipelines(client):
    """Pipelines requests, possibly with a stream among them and more requests after it."""
    connection = client.connection()
    await connection.open()
    requests = b""
    for _ in range(client.rng.randrange(2, 12)):
        requests += client.rng.choice([client.asking, lambda _: client.publishing()])(connection)
    await client.drip(connection, requests)
    await client.watch(connection, client.rng.random())


@kind(4)
async def reads_nothing(client):
    connection = client.connection(receive_buffer=client.rng.choice([None, 2048]))
    await connection.open()
    path = client.stream_path()
    if client.target.has_application:
        path = client.rng.choice(["/flood", "/file", path])
    await connection.send(client.asking(connection, path))
    await asyncio.sleep(client.rng.choice([0.2, 1, 4]))


@kind(3)
async def sends_behind_its_stream(client):
    connection = client.connection()
    await connection.open()
    await connection.send(client.asking(connection, client.stream_path()))
    for _ in range(client.rng.randrange(1, 30)):
        await connection.send(client.rng.randbytes(client.rng.choice([1, 100, 20_000])))
        await client.watch(connection, client.rng.choice([0, 0, 0.01]))


@kind(3)
async def drips(client):
    """Sends a head or a body too slowly."""
    connection = client.connection()
    await connection.open()
    request = client.rng.choice([client.asking(connection), client.publishing()])
    for byte in request[:client.rng.randrange(1, 25)]:
        await connection.send(bytes([byte]))
        await asyncio.sleep(client.rng.choice([0.01, 0.1, 0.3]))
    await client.watch(connection, client.rng.choice([0, 1, 4]))


@kind(4)
async def sends_garbage(client):
    connection = client.connection(alpn=client.rng.choice([None, "h2"]))
    await connection.open()
    rng = client.rng
    data = bytearray(rng.choice([
        rng.randbytes(rng.choice([1, 50, 3000])),
        client.asking(connection),
        client.publishing(),
        http2.PREFACE + http2.settings() + http2.request(1, "GET", "/text"),
    ]))
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(data))
        change = rng.randrange(3)
        if change == 0:
            data[at] = rng.randrange(256)
        elif change == 1:
            del data[at:at + rng.randrange(1, 9)]
        else:
            data[at:at] = rng.randbytes(rng.randrange(1, 9))
        if not data:
            return
    await client.drip(connection, bytes(data))
    await client.watch(connection, rng.choice([0, 0.1, 1]))


@kind(3)
async def abandons_a_handshake(client):
    """Sends a partial, complete or corrupt ClientHello, then stays silent or disconnects."""
    if "tls" not in client.target.ways:
        return
    connection = client.connection("tls")
    connection.tls = False
    await connection.open()
    outgoing = ssl.MemoryBIO()
    handshake = CONTEXTS["h2"].wrap_bio(ssl.MemoryBIO(), outgoing)
    try:
        handshake.do_handshake()
    except ssl.SSLWantReadError:
        pass
    hello = bytearray(outgoing.read())
    if client.rng.random() < 0.3:
        hello[client.rng.randrange(len(hello))] ^= 1 << client.rng.randrange(8)
    await connection.send(bytes(hello[:client.rng.choice([1, 5, len(hello) // 2, len(hello)])]))
    await client.watch(connection, client.rng.choice([0, 0.1, 4]))


@kind(2)
async def breaks_its_tls(client):
    """Completes a handshake and sends part of a request, then bytes that are not a TLS record."""
    if "tls" not in client.target.ways:
        return
    connection = client.connection("tls", alpn=client.rng.choice([None, "h2"]))
    await connection.open()
    await connection.send(client.rng.choice([client.asking(connection), http2.PREFACE + http2.settings()]))
    await client.watch(connection, client.rng.choice([0, 0.05]))
    await connection.send_under_tls(client.rng.randbytes(client.rng.choice([1, 5, 100])))
    await client.watch(connection, 0.5)


@kind(2)
async def takes_the_wrong_port(client):
    if "tls" not in client.target.ways or "plain" not in client.target.ways:
        return
    connection = client.connection("tls")
    connection.tls = False
    await connection.open()
    await connection.send(client.asking(connection, client.plain_path()))
    await client.watch(connection, 0.3)


@kind(8)
async def leaves_in_a_crowd(client):
    """Many connections send the same data together and leave together soon after, to hit races in the server."""
    rng = client.rng
    way = rng.choice(client.target.ways)
    is_http2 = rng.random() < 0.5
    manner = rng.choice(["reset", "reset", "close"])
    crowd = [
        client.connection(way, Fate(manner=manner), alpn="h2" if is_http2 else None) for _ in range(rng.randrange(5, 30))
    ]
    for connection in crowd:
        await connection.open()
    if is_http2:
        data = http2.PREFACE + http2.settings()
        for stream in range(1, rng.choice([1, 3, 9]), 2):
            data += http2.request(stream, "GET", client.any_path())
        data += rng.choice([b"", http2.frame(http2.PING, 0, 0, b"A" * 8) * 50, http2.window_update(0, 1) * 100])
    else:
        data = rng.choice([client.asking(crowd[0]), client.publishing()])[:rng.choice([10, 1000, 100_000])]
    await client.pause(0.1)
    for connection in crowd:
        await connection.send(data)
    await asyncio.sleep(rng.random() * rng.choice([0.0005, 0.004, 0.05]))
    for connection in crowd:
        connection.leave(manner)


# HTTP/2


@kind(16)
async def walks_through_http2(client):
    """Takes a random walk through valid and some invalid HTTP/2."""
    rng = client.rng
    way = rng.choice(client.target.ways)
    connection = client.connection(way, alpn="h2")
    await connection.open()
    first = [] if rng.random() < 0.6 else [(http2.INITIAL_WINDOW_SIZE, rng.choice([0, 1, 100, 1 << 20]))]
    await connection.send(http2.PREFACE + http2.settings(first))
    frames, answers, grants = http2.Frames(), rng.random() < 0.9, rng.random() < 0.7
    open_streams, last = [], 1

    async def read(seconds):
        clock = asyncio.get_running_loop()
        end = clock.time() + seconds
        while True:
            data = await connection.receive(max(0.001, end - clock.time()))
            if not data:
                return data is None
            answer = b""
            for kind, flags, stream, payload in frames.append(data):
                if kind == http2.SETTINGS and not flags & http2.ACK and answers:
                    answer += http2.frame(http2.SETTINGS, http2.ACK, 0)
                if kind == http2.PING and not flags & http2.ACK and answers:
                    answer += http2.frame(http2.PING, http2.ACK, 0, payload)
                if kind == http2.DATA and grants and payload:
                    answer += http2.window_update(0, len(payload)) + http2.window_update(stream, len(payload))
            if answer:
                await connection.send(answer)
            if clock.time() >= end:
                return True

    for _ in range(rng.randrange(1, 25)):
        some = rng.choice(open_streams) if open_streams else 1
        step = rng.choices(
            ["get", "post", "many", "data", "end", "reset", "window", "settings", "ping", "goaway", "priority", "continuation",
             "unknown", "unfinished", "garbage", "read", "pause"],
            [30, 15, 2, 15, 6, 12, 10, 4, 4, 2, 2, 1, 2, 2, 1, 25, 5],
        )[0]
        client.tally.append(f"http2 {step}")
        out = b""
        if step == "get":
            out = http2.request(last, rng.choice(["GET", "GET", "HEAD"]), client.any_path())
            open_streams.append(last)
            last += 2
        elif step == "post":
            fields = [("content-type", "text/event-stream")] if rng.random() < 0.5 else []
            path = rng.choice([f"/topics/{client.topic()}", "/upload", "/text"])
            out = http2.request(last, "POST", path, ends=rng.random() < 0.1, fields=fields)
            open_streams.append(last)
            last += 2
        elif step == "many":
            for _ in range(rng.choice([20, 120, 300])):
                out += http2.request(last, "GET", client.any_path())
                open_streams.append(last)
                last += 2
        elif step == "data":
            out = http2.frame(http2.DATA, 0, some, client.events()[:rng.choice([0, 1, 1000])])
        elif step == "end":
            out = http2.frame(http2.DATA, http2.END_STREAM, some, b"data: last\n\n")
        elif step == "reset":
            out = http2.reset(some, rng.choice([http2.NO_ERROR, http2.CANCEL, 0xFFFF]))
        elif step == "window":
            out = http2.window_update(rng.choice([0, some]), rng.choice([0, 1, 1000, 0x7FFFFFFF]))
        elif step == "settings":
            out = http2.settings([(http2.INITIAL_WINDOW_SIZE, rng.choice([0, 1, 65535, 0x7FFFFFFF, 0xFFFFFFFF]))])
        elif step == "ping":
            out = http2.frame(http2.PING, rng.choice([0, 1]), 0, rng.randbytes(8)) * rng.choice([1, 1, 50])
        elif step == "goaway":
            out = http2.goaway(last, rng.choice([0, 1, 2]))
        elif step == "priority":
            out = http2.frame(http2.PRIORITY, 0, some, (rng.choice([0, 1, some])).to_bytes(4, "big") + b"\x10")
        elif step == "continuation":
            out = http2.frame(http2.CONTINUATION, http2.END_HEADERS, some, b"\x82")
        elif step == "unknown":
            out = http2.frame(rng.randrange(10, 256), rng.randrange(256), rng.choice([0, some]), rng.randbytes(10))
        elif step == "unfinished":
            out = http2.frame(http2.HEADERS, 0, last, http2.block([(":method", "GET")]))
            last += 2
        elif step == "garbage":
            out = rng.randbytes(rng.choice([9, 100]))
        elif step == "pause":
            await client.pause()
        if out:
            await connection.send(out)
        if step == "read" and not await read(rng.random() * 0.3):
            return
    await read(rng.random() * rng.choice([0.1, 1]))


# Well-behaved clients, whose responses are checked


class HTTP1:
    """A connection with a buffer of unconsumed bytes."""

    def __init__(self, connection):
        self.connection, self.bytes = connection, b""

    async def until(self, mark, what):
        """Reads up to and including a mark, within 10 s."""
        clock = asyncio.get_running_loop()
        end = clock.time() + 10
        while mark not in self.bytes:
            data = await self.connection.receive(max(0.001, end - clock.time()))
            if not data:
                raise Failed(f"{what}: {'the end' if data == b'' else 'nothing more'} after {self.bytes[-200:]!r}")
            self.bytes += data
        at = self.bytes.index(mark) + len(mark)
        taken, self.bytes = self.bytes[:at], self.bytes[at:]
        return taken

    async def response(self, status, what):
        """Reads the body of a response with Content-Length."""
        head = await self.until(b"\r\n\r\n", what)
        if not head.startswith(b"HTTP/1.1 %d " % status):
            raise Failed(f"{what}: {head!r}")
        length = int(re.search(rb"(?i)content-length: (\d+)", head).group(1))
        while len(self.bytes) < length:
            data = await self.connection.receive(10)
            if not data:
                raise Failed(f"{what}: incomplete body")
            self.bytes += data
        body, self.bytes = self.bytes[:length], self.bytes[length:]
        return body


@kind(4)
async def gets_every_event(client):
    """Subscribes, publishes, and receives its events in order and without a gap."""
    if client.target.is_ending:
        return
    topic, count = f"own{client.number}", client.rng.randrange(1, 30)
    reader = HTTP1(client.connection(fate=Fate()))
    await reader.connection.open()
    await reader.connection.send(f"GET /topics/{topic} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    head = await reader.until(b"\r\n\r\n", "subscribing")
    if b" 200 " not in head:
        raise Failed(f"subscribing: {head!r}")
    await reader.until(b":", "a comment at once")
    writer = HTTP1(client.connection(fate=Fate()))
    await writer.connection.open()
    for number in range(count):
        body = b"event %d of %d" % (number, count)
        await writer.connection.send(
            b"POST /topics/%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (topic.encode(), len(body), body)
        )
        await writer.response(201, "publishing")
    for number in range(count):
        got = await reader.until(b"data: event %d of %d\n" % (number, count), f"event {number} of {count}")
        if b"event: gap" in got or got.count(b"data: ") != 1:
            raise Failed(f"event {number} of {count}: {got!r}")
    return True


@kind(3)
async def gets_every_answer(client):
    """Sends requests on one connection, each after the previous response."""
    if client.target.is_ending or not client.target.has_application:
        return
    session = HTTP1(client.connection(fate=Fate()))
    await session.connection.open()
    for _ in range(client.rng.randrange(1, 10)):
        if client.rng.random() < 0.5:
            await session.connection.send(b"GET /text HTTP/1.1\r\nHost: localhost\r\n\r\n")
            expected, status = b"text", 200
        else:
            size = client.rng.choice([0, 1, 1000, 100_000])
            await session.connection.send(
                b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
            )
            expected, status = b"%d" % size, 200
        body = await session.response(status, "a request")
        if body != expected:
            raise Failed(f"a request: {body[:200]!r} instead of {expected!r}")
    return True


@kind(3)
async def gets_a_whole_stream(client):
    """Reads an application stream from its first event to its end."""
    if client.target.is_ending or not client.target.has_application:
        return
    session = HTTP1(client.connection(fate=Fate()))
    await session.connection.open()
    await session.connection.send(b"GET /counter HTTP/1.1\r\nHost: localhost\r\n\r\n")
    for number in range(1, 11):
        await session.until(b"data: %d\n" % number, f"counting to {number}")
    await session.until(b"0\r\n\r\n", "the end of the stream")
    return True


@kind(4)
async def gets_every_event_by_http2(client):
    """Like `gets_every_event` over HTTP/2, on one connection."""
    if client.target.is_ending:
        return
    topic, count = f"own{client.number}", client.rng.randrange(1, 30)
    connection = client.connection(client.rng.choice(client.target.ways), fate=Fate(), alpn="h2")
    await connection.open()
    await connection.send(http2.PREFACE + http2.settings() + http2.request(1, "GET", f"/topics/{topic}"))
    frames, body, answered = http2.Frames(), {}, set()
    clock = asyncio.get_running_loop()

    async def until(reached, what):
        end = clock.time() + 10
        while not reached():
            data = await connection.receive(max(0.001, end - clock.time()))
            if not data:
                raise Failed(f"{what}: {'the end' if data == b'' else 'nothing more'} after {body.get(1, b'')[-200:]!r}")
            answer = b""
            for kind, flags, stream, payload in frames.append(data):
                if kind == http2.SETTINGS and not flags & http2.ACK:
                    answer += http2.frame(http2.SETTINGS, http2.ACK, 0)
                elif kind == http2.DATA:
                    body[stream] = body.get(stream, b"") + payload
                    if payload:
                        answer += http2.window_update(0, len(payload)) + http2.window_update(stream, len(payload))
                    if flags & http2.END_STREAM:
                        answered.add(stream)
                elif kind in (http2.RST_STREAM, http2.GOAWAY):
                    raise Failed(f"{what}: frame {kind} on stream {stream} with {payload!r}")
            if answer:
                await connection.send(answer)

    await until(lambda: b":" in body.get(1, b""), "a comment at once")
    for number in range(count):
        stream = 3 + 2 * number
        data = b"event %d of %d" % (number, count)
        await connection.send(
            http2.request(stream, "POST", f"/topics/{topic}", ends=False)
            + http2.frame(http2.DATA, http2.END_STREAM, stream, data)
        )
        await until(lambda: stream in answered, "publishing")
        if not body[stream].startswith(b'{"id":'):
            raise Failed(f"publishing: {body[stream]!r}")
    await until(lambda: body[1].count(b"data: ") >= count, "the last event")
    if re.findall(rb"data: event (\d+) of", body[1]) != [b"%d" % number for number in range(count)] or b"gap" in body[1]:
        raise Failed(f"not every event in order: {body[1]!r}")
    return True
