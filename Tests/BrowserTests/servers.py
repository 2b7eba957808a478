# SPDX-License-Identifier: Apache-2.0
"""The servers under test, run as their users run them."""

import os
import re
import subprocess
import threading
import time


class Server:
    """A process, its address, and the lines it printed, each with the time it came."""

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
        """The `count`th line that matches; fails if it does not come in time."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                matching = self.matching(pattern)
                if len(matching) >= count:
                    return matching[count - 1]
                left = deadline - time.monotonic()
                if left <= 0 or any(line == "(the server has ended)" for _, line in self.lines):
                    output = "\n".join(line for _, line in self.lines)
                    raise AssertionError(f"not within {timeout} s: line {count} that matches {pattern}; output:\n{output}")
                self._changed.wait(left)

    def matching(self, pattern):
        """All lines so far that match."""
        return [line for _, line in self.lines if re.search(pattern, line)]

    def stop(self):
        """Asks the server to end, as a supervisor does, and returns its exit status."""
        self._process.terminate()
        try:
            return self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError("the server did not end within 20 s of SIGTERM") from None

    def kill(self):
        """Ends the server without a word, as a crash does."""
        self._process.kill()
        self._process.wait()


class ExampleServer(Server):
    """An example, which takes its settings from its environment."""

    def __init__(self, name, port=0, **settings):
        settings = {key.upper(): str(value) for key, value in settings.items()}
        super().__init__([os.path.join(os.environ["EXAMPLES_BIN"], name)], HOST="127.0.0.1", PORT=str(port), **settings)


class HubServer(Server):
    """A hub: `plinth serve`."""

    def __init__(self, *options, port=0):
        super().__init__([os.environ["PLINTH_BIN"], "serve", "--host", "127.0.0.1", "--port", str(port), *options])
