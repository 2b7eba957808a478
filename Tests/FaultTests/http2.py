# SPDX-License-Identifier: Apache-2.0
"""Writes HTTP/2 frames (RFC 9113) byte by byte, so that they can be invalid."""

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS, ACK = 1, 4, 1
NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM, CANCEL = 0, 1, 7, 8
INITIAL_WINDOW_SIZE = 4


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def settings(values=()):
    return frame(SETTINGS, 0, 0, b"".join(key.to_bytes(2, "big") + value.to_bytes(4, "big") for key, value in values))


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, increment.to_bytes(4, "big"))


def reset(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, code.to_bytes(4, "big"))


def goaway(last=0, code=NO_ERROR):
    return frame(GOAWAY, 0, 0, last.to_bytes(4, "big") + code.to_bytes(4, "big"))


def _string(text):
    """An HPACK string (RFC 7541, section 5.2) without Huffman coding."""
    raw = text.encode()
    if len(raw) < 127:
        return bytes([len(raw)]) + raw
    length, rest = b"\x7f", len(raw) - 127
    while rest >= 128:
        length += bytes([rest % 128 + 128])
        rest //= 128
    return length + bytes([rest]) + raw


def block(fields):
    """A header block of literals without indexing (RFC 7541, section 6.2.2)."""
    return b"".join(b"\0" + _string(name) + _string(value) for name, value in fields)


def request(stream, method, path, ends=True, fields=(), scheme="http"):
    """The HEADERS frame of a request."""
    pseudo = [(":method", method), (":scheme", scheme), (":authority", "localhost"), (":path", path)]
    return frame(HEADERS, END_HEADERS | (END_STREAM if ends else 0), stream, block([*pseudo, *fields]))


class Frames:
    """Splits received bytes into complete frames."""

    def __init__(self):
        self._bytes = b""

    def append(self, data):
        self._bytes += data
        while len(self._bytes) >= 9:
            length = int.from_bytes(self._bytes[:3], "big")
            if len(self._bytes) < 9 + length:
                return
            kind, flags = self._bytes[3], self._bytes[4]
            stream = int.from_bytes(self._bytes[5:9], "big") & 0x7FFFFFFF
            payload = self._bytes[9:9 + length]
            self._bytes = self._bytes[9 + length:]
            yield kind, flags, stream, payload
