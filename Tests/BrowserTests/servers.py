# SPDX-License-Identifier: Apache-2.0
"""The servers under test, run as processes."""

import os
import re
import subprocess
import threading
import time


class Server:
    """A process, its address, and its output lines with timestamps."""

    def __init__(self, command, **environment):
        self.lines = []
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            command,
            env={**os.environ, "SWIFT_BACKTRACE": "enable=no", **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        threading.Thread(target=self._read, daemon=True).start()
        line = self.wait_for(r"^listening on http://", timeout=30)
        self.url = line.removeprefix("listening on ").strip()
        self.port = int(self.url.rsplit(":", 1)[1])

    def _read(self):
        for line in self._process.stdout:
            with self._changed:
                self.lines.append((time.monotonic(), line.rstrip("\n")))
                self._changed.notify_all()
        with self._changed:
            self.lines.append((time.monotonic(), "(the server has ended)"))
            self._changed.notify_all()

    def wait_for(self, pattern, count=1, timeout=10):
        """Waits for the `count`th matching line and returns it; fails on timeout."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                matching = self.matching(pattern)
                if len(matching) >= count:
                    return matching[count - 1]
                left = deadline - time.monotonic()
                if left <= 0 or any(line == "(the server has ended)" for _, line in self.lines):
                    output = "\n".join(line for _, line in self.lines)
                    raise AssertionError(f"no line {count} matching {pattern} within {timeout} s; output:\n{output}")
                self._changed.wait(left)

    def matching(self, pattern):
        """All matching lines so far."""
        return [line for _, line in self.lines if re.search(pattern, line)]

    def stop(self):
        """Sends SIGTERM and returns the exit status."""
        self._process.terminate()
        try:
            return self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError("the server did not end within 20 s of SIGTERM") from None

    def kill(self):
        """Kills the server, as if it had crashed."""
        self._process.kill()
        self._process.wait()


class ExampleServer(Server):
    """An example, configured through its environment."""

    def __init__(self, name, port=0, **settings):
        settings = {key.upper(): str(value) for key, value in settings.items()}
        super().__init__([os.path.join(os.environ["EXAMPLES_BIN"], name)], HOST="127.0.0.1", PORT=str(port), **settings)


class HubServer(Server):
    """A hub run by `plinth serve`."""

    def __init__(self, *options, port=0):
        super().__init__([os.environ["PLINTH_BIN"], "serve", "--host", "127.0.0.1", "--port", str(port), *options])
