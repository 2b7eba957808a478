# SPDX-License-Identifier: Apache-2.0
"""A client connection that disconnects at a chosen point and in a chosen way, even within a handshake or a message."""

import asyncio
import socket
import ssl
import struct


class Left(Exception):
    """The connection has been left according to its fate."""


class Fate:
    """When and how a connection is left.

    `moment` is `stays`, `time` (seconds), `sent` or `received` (bytes on the wire). `manner` is `reset`, `close`, or `half`,
    which only ends sending.
    """

    def __init__(self, moment="stays", amount=0, manner="close"):
        self.moment, self.amount, self.manner = moment, amount, manner

    @classmethod
    def random(cls, rng):
        moment = rng.choices(["stays", "time", "sent", "received"], [2, 4, 3, 3])[0]
        amount = {
            "stays": 0,
            # From immediately to the middle of a stream.
            "time": min(rng.expovariate(1 / rng.choice([0.001, 0.01, 0.1, 0.5])), 3),
            "sent": int(min(rng.expovariate(1 / rng.choice([10, 60, 600])), 20_000)),
            "received": int(min(rng.expovariate(1 / rng.choice([1, 200, 3000])), 200_000)),
        }[moment]
        return cls(moment, amount, rng.choices(["reset", "close", "half"], [5, 3, 2])[0])


def _client_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


CONTEXTS = {}
for _name in ("h2", "http/1.1", None):
    CONTEXTS[_name] = _client_context()
    if _name:
        CONTEXTS[_name].set_alpn_protocols([_name])


class Connection:
    """A socket with a fate, optionally with TLS."""

    def __init__(self, address, fate, tls=False, alpn=None, receive_buffer=None):
        self.address, self.fate, self.tls, self.alpn = address, fate, tls, alpn
        self.receive_buffer = receive_buffer
        self.sent = self.received = 0
        self.has_closed_output = False
        self._socket = self._object = self._timer = None
        self._owner = asyncio.current_task()

    # Opening

    async def open(self):
        """Connects, and performs the TLS handshake if needed."""
        family = socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        if self.receive_buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
        if family == socket.AF_INET:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        loop = asyncio.get_running_loop()
        if self.fate.moment == "time":
            # Fires whatever the client is doing.
            leave = self._end_sending if self.fate.manner == "half" else self._owner.cancel
            self._timer = loop.call_later(self.fate.amount, leave)
        await asyncio.wait_for(loop.sock_connect(self._socket, self.address), 10)
        if self.tls:
            await self._shake_hands()

    async def _shake_hands(self):
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = CONTEXTS[self.alpn].wrap_bio(self._incoming, self._outgoing)
        while True:
            try:
                self._object.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._send_raw(self._outgoing.read())
                if not await self._receive_raw(10):
                    raise ConnectionResetError("the handshake was not finished") from None
        await self._send_raw(self._outgoing.read())

    # Sending and receiving

    async def send(self, data):
        """Sends data; does nothing once sending has ended."""
        if self._object is None:
            await self._send_raw(data)
        elif not self.has_closed_output:
            self._object.write(data)
            await self._send_raw(self._outgoing.read())

    async def send_under_tls(self, data):
        """Sends raw bytes, even after a handshake."""
        await self._send_raw(data)

    async def _send_raw(self, data):
        if self.has_closed_output or not data:
            return
        is_last = self.fate.moment == "sent" and self.sent + len(data) >= self.fate.amount
        if is_last:
            data = data[:max(0, self.fate.amount - self.sent)]
        await asyncio.get_running_loop().sock_sendall(self._socket, data)
        self.sent += len(data)
        if is_last:
            self._meet_fate()

    async def receive(self, timeout):
        """Returns bytes, `b""` at the end, or None on timeout."""
        if self._object is None:
            return await self._receive_raw(timeout)
        deadline = asyncio.get_running_loop().time() + timeout
        while True:
            try:
                return self._object.read(65536)
            except ssl.SSLWantReadError:
                left = deadline - asyncio.get_running_loop().time()
                data = await self._receive_raw(left) if left > 0 else None
                if not data:
                    return data

    async def _receive_raw(self, timeout):
        try:
            data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self._socket, 65536), timeout)
        except asyncio.TimeoutError:
            return None
        self.received += len(data)
        if self._object is not None:
            self._incoming.write(data)
        if self.fate.moment == "received" and self.received >= self.fate.amount > 0:
            self._meet_fate()
        return data

    # Leaving

    def _meet_fate(self):
        self.fate.moment = "met"
        if self.fate.manner != "half":
            raise Left()
        self._end_sending()

    def _end_sending(self):
        self.has_closed_output = True
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def leave(self, manner=None):
        """Closes the socket in the given manner, by default the fate's."""
        if self._timer:
            self._timer.cancel()
        if self._socket is None:
            return
        if (manner or self.fate.manner) == "reset":
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()
        self._socket = None
