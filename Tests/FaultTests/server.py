# SPDX-License-Identifier: Apache-2.0
"""The server under attack: its process, ports, held resources and shutdown."""

import os
import re
import signal
import socket
import subprocess
import tempfile
import time


class Server:
    """A server process."""

    has_application = False
    """Whether it has the probe's routes in addition to the hub's."""
    deadline = 0.0
    """Maximum seconds from SIGTERM to exit: the connector's timeouts (graceful shutdown, then
    tasks that ignore cancellation), the hub's, and margin for a busy machine."""

    backtrace = (
        "enable=yes,interactive=no,color=no,output-to=stderr,threads=crashed,limit=20,images=none,registers=none,"
        "unwind=fast,symbolicate=fast"
    )
    """Backtrace settings that are quick to produce."""

    def __init__(self, command, transport):
        self.transport, self.is_ending = transport, False
        self.errors = tempfile.TemporaryFile()
        self._output = tempfile.TemporaryFile()
        environment = {**os.environ, "SWIFT_BACKTRACE": self.backtrace}
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=self._output, stderr=self.errors
        )
        self.command = command
        self.addresses = {}

    def _wait_for_line(self, pattern):
        end = time.monotonic() + 30
        while time.monotonic() < end and self.is_alive:
            self._output.seek(0)
            if match := re.search(pattern, self._output.read().decode()):
                return int(match.group(1))
            time.sleep(0.01)
        raise AssertionError(f"{self.command} did not print {pattern}: {self.standard_error()}")

    @property
    def ways(self):
        return list(self.addresses)

    @property
    def is_alive(self):
        return self.process.poll() is None

    def standard_error(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def get(self, path):
        """Returns a response body."""
        return self._get(path)[0]

    def _get(self, path):
        """Returns a response body and the server's descriptors, counted while the connection is still open."""
        way = self.ways[0]
        address = self.addresses[way]
        with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as connection:
            connection.settimeout(10)
            connection.connect(address)
            if way == "tls":
                from connection import CONTEXTS
                connection = CONTEXTS["http/1.1"].wrap_socket(connection)
            with connection:
                connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                data = b""
                while b"\r\n\r\n" not in data:
                    data += connection.recv(65536) or self._cut_off(path, data)
                length = int(re.search(rb"(?i)content-length: (\d+)", data).group(1))
                head, body = data.split(b"\r\n\r\n", 1)
                while len(body) < length:
                    body += connection.recv(65536) or self._cut_off(path, body)
                return body.decode(), self.descriptors()

    def _cut_off(self, path, data):
        raise OSError(f"GET {path}: the connection ended after {data!r}")

    def held(self):
        """The resources that the server holds, including those of the connection that asks."""
        raise NotImplementedError

    def warm_up(self):
        """Makes the server open its one-time resources, and records the baseline without clients."""
        self.get("/status")
        with socket.socket(socket.AF_INET) as connection:
            connection.settimeout(10)
            connection.connect(next(address for address in self.addresses.values() if not isinstance(address, str)))
            if self.ways[0] == "tls":
                from connection import CONTEXTS
                connection = CONTEXTS["http/1.1"].wrap_socket(connection)
            connection.sendall(b"GET /topics/warm HTTP/1.1\r\nHost: localhost\r\n\r\n")
            data = b""
            while b"\r\n\r\n:" not in data and data.count(b":") < 8:
                data += connection.recv(65536)
            connection.close()
        self.baseline = None
        last = None
        for _ in range(100):
            time.sleep(0.05)
            now = self.held()
            if now == last:
                break
            last = now
        self.baseline = last

    def end(self):
        """Sends SIGTERM and returns the seconds until exit; kills the process and returns None past the deadline."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(self.deadline)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None
        return time.monotonic() - began

    def close(self):
        if self.is_alive:
            self.process.kill()
        self.process.wait()
        self.errors.close()
        self._output.close()
        for address in self.addresses.values():
            if isinstance(address, str) and os.path.exists(address):
                os.unlink(address)


class Probe(Server):
    """The probe: a hub and application streams over TCP, TLS and a Unix socket, with short deadlines."""

    has_application = True
    deadline = 3 + 5 + 3 + 4

    def __init__(self, program, files, transport, executor):
        path = os.path.join(files.folder, "socket")
        super().__init__([program, files.certificate, files.key, files.large, path, transport, executor], transport)
        self.addresses["plain"] = "127.0.0.1", self._wait_for_line(r"plain (\d+)")
        self.addresses["tls"] = "127.0.0.1", self._wait_for_line(r"tls (\d+)")
        self.addresses["unix"] = path

    def held(self):
        text, descriptors = self._get("/counts")
        counts = {name: int(value) for name, value in (line.split() for line in text.splitlines())}
        return {**counts, "descriptors": descriptors}


class Command(Server):
    """`plinth serve` with its default shutdown deadlines, over TCP or TLS."""

    deadline = 10 + 5 + 10 + 5

    def __init__(self, program, files, transport, way):
        command = [program, "serve", "--port", "0", "--log-level", "warning", "--transport", transport]
        command += ["--write-timeout", "2s", "--heartbeat", "1s"]
        if way == "tls":
            command += ["--tls-certificate", files.certificate, "--tls-key", files.key]
        super().__init__(command, transport)
        self.addresses[way] = "127.0.0.1", self._wait_for_line(r"listening on https?://127\.0\.0\.1:(\d+)")

    def held(self):
        text, descriptors = self._get("/status")
        return {"subscribers": int(re.search(r'"subscribers":(\d+)', text).group(1)), "descriptors": descriptors}


class Files:
    """Files that the servers need."""

    def __init__(self, folder):
        self.folder = folder
        self.certificate, self.key = os.path.join(folder, "certificate.pem"), os.path.join(folder, "key.pem")
        self.large = os.path.join(folder, "large")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-subj", "/CN=localhost", "-keyout", self.key, "-out", self.certificate],
            check=True, capture_output=True,
        )
        with open(self.large, "wb") as file:
            file.write(b"large " * 200_000)
