# SPDX-License-Identifier: Apache-2.0
"""A server in front of a hub: it has pages of its own, as an application has, forwards the rest, and logs requests."""

import collections
import socket
import threading

Request = collections.namedtuple("Request", "method target last_id status")


class Front:
    """Answers the paths in `pages` itself and forwards all others to a hub, each request on a connection of its own.

    `pages` has a function for each path; it takes the query and returns the content type and the body.
    """

    def __init__(self, upstream, pages=None):
        self._upstream = upstream
        self._pages = pages or {}
        self._requests = []
        self._open = set()
        self._is_away = False
        self._lock = threading.Lock()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def requests(self, path, *methods):
        """The answered requests for a path, in the order of their answers."""
        with self._lock:
            return [
                request for request in self._requests
                if request.target.split("?")[0] == path and request.method in methods
            ]

    def leave(self):
        """Cuts all connections and accepts no other, like a network that is gone."""
        with self._lock:
            self._is_away = True
            cut, self._open = self._open, set()
        for connection in cut:
            shut(connection)

    def come_back(self):
        with self._lock:
            self._is_away = False

    def kill(self):
        shut(self._socket)
        self._socket.close()
        self.leave()

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, client):
        with client:
            with self._lock:
                if self._is_away:
                    return
                self._open.add(client)
            try:
                self._answer(client)
            except OSError:
                pass
            finally:
                with self._lock:
                    self._open.discard(client)

    def _answer(self, client):
        head, rest = receive_head(client)
        if head is None:
            return
        lines = head.split("\r\n")
        method, target, _ = lines[0].split(" ", 2)
        ids = [line.split(":", 1)[1].strip() for line in lines if line.lower().startswith("last-event-id:")]
        path, _, query = target.partition("?")
        if page := self._pages.get(path):
            kind, body = page(query)
            client.sendall(
                f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body.encode())}\r\n"
                f"Cache-Control: no-store\r\nConnection: close\r\n\r\n{body}".encode()
            )
            shut(client)
            return
        with socket.create_connection(("127.0.0.1", self._upstream)) as hub:
            kept = [line for line in lines if not line.lower().startswith("connection:")]
            hub.sendall("\r\n".join([*kept, "Connection: close", "", ""]).encode("latin-1") + rest)
            threading.Thread(target=forward, args=(client, hub), daemon=True).start()
            head, rest = receive_head(hub)
            if head is None:
                return
            # Logged before the client has it, so that a page that has seen an answer finds it here.
            with self._lock:
                self._requests.append(Request(method, target, ids[0] if ids else None, int(head.split(" ")[1])))
            client.sendall(head.encode("latin-1") + b"\r\n\r\n" + rest)
            forward(hub, client)


def receive_head(connection):
    """The head of a message, without its blank line, and the bytes behind it; None if there is none."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return None, b""
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    return head.decode("latin-1"), rest


def forward(source, target):
    """Copies bytes until either side has ended, and then ends both."""
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    shut(source)
    shut(target)


def shut(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
