# SPDX-License-Identifier: Apache-2.0
"""Servers and the count of checks, for authorization.py."""

import os
import re
import signal
import subprocess
import tempfile
import time

from authorization_http import PATIENCE
from authorization_tokens import certificate
from hub import Totals


def wait_until(holds, seconds=PATIENCE, pause=0.02):
    """Waits until a condition holds; returns whether it does."""
    end = time.monotonic() + seconds
    while not (found := holds()) and time.monotonic() < end:
        time.sleep(pause)
    return found


STARTS = 5
"""Seconds within which a start has been refused."""


class Checks(Totals):
    """Counts what was checked, and prints what failed."""

    def expect(self, holds, what, because):
        """Counts one check, and prints it if it does not hold: what happened, and the sentence that says otherwise."""
        self.count("checks")
        if not holds:
            self.fail(f"{what}\n    the design: {because}\n", because)
        return bool(holds)

    def answer(self, exchange, status, code=None, because="", fields=(), lacks=()):
        """Checks a whole answer; each of the two may be one value or several that are right."""
        exchange.finish()
        statuses = (status,) if isinstance(status, int) else status
        codes = (code,) if isinstance(code, str) or code is None else code
        right = exchange.status in statuses and (codes == (None,) or exchange.json.get("code") in codes)
        expected = " or ".join(map(str, statuses)) + ("" if codes == (None,) else " " + " or ".join(codes))
        for name, value in dict(fields).items():
            right = right and value.lower() in (exchange.field(name) or "absent").lower()
            expected += f", {name}: {value}"
        for name in lacks:
            right = right and exchange.field(name) is None
            expected += f", no {name}"
        self.expect(right, f"{exchange.report()}\n    expected: {expected}", because)
        return exchange

    def report(self):
        print(f"{self.counts['checks']} checks, {len(self.failures)} failures", flush=True)
        return 1 if self.failures else 0


class Server:
    """A `plinth serve` of its own on loopback, which keeps its log for the end."""

    def __init__(self, program, checks, *options, host=None, tls=False, grants=True):
        self.checks, self.tls, self.options = checks, tls, options
        self.grants = grants
        self.sent = set()  # Credentials, which no log may have.
        self.command = [program, "serve", "--port", "0", "--log-level", "debug", "--heartbeat", "30s"]
        self.command += (["--host", host] if host else []) + list(options)
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        pattern = r"listening on https?://[0-9.]+:(\d+)"
        wait_until(lambda: re.search(pattern, self.text) or self.process.poll() is not None)
        found = re.search(pattern, self.text)
        if not found:
            self.process.kill()
            raise RuntimeError(f"{' '.join(self.command)} did not say where it listens: {self.text}")
        self.port = int(found.group(1))

    @property
    def text(self):
        return os.pread(self.log.fileno(), 1 << 26, 0).decode(errors="replace")

    @property
    def origin(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def hang_up(self):
        self.process.send_signal(signal.SIGHUP)

    def close(self):
        """Stops it, and checks its exit status and its log."""
        self.checks.expect(self.process.poll() is None, f"{self.command} has ended: {self.text[-2000:]}",
                           "it serves on")
        self.process.terminate()
        try:
            status = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.checks.expect(status == 0, f"{self.command} ended with {status}: {self.text[-2000:]}",
                           "SIGTERM ends it well")
        text = self.text
        for credential in self.sent:
            line = next((line for line in text.splitlines() if credential in line), None)
            self.checks.expect(line is None, f"the log has a credential: {line}",
                               "`Cookie` and `Authorization` are never logged.")
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close()


class World:
    """What the groups of checks share: the program, a folder, the count, and a secret with its tokens."""

    def __init__(self, program, folder, checks, secret):
        self.program, self.folder, self.checks, self.secret = program, folder, checks, secret
        self.certificate = certificate(folder)
        self.file("secret", secret.data + b"\n")

    def file(self, name, content, mode=0o600):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        os.chmod(path, mode)
        return path

    def serve(self, *options, **more):
        return Server(self.program, self.checks, *options, **more)

    def serve_secret(self, *options, **more):
        """A server whose tokens are signed with the secret."""
        return self.serve("--jwt-secret-file", os.path.join(self.folder, "secret"), *options, **more)

    def refuses_start(self, *options, names, because, status=None):
        """Checks that the program does not start with these options, and that its message names one of them."""
        command = [self.program, "serve", "--port", "0", *options]
        try:
            found = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   timeout=STARTS)
        except subprocess.TimeoutExpired as error:
            self.checks.expect(False, f"it starts: {' '.join(command)}\n{(error.stdout or b'').decode()}", because)
            return
        text = found.stdout.decode(errors="replace")
        right = found.returncode == status if status is not None else found.returncode > 0
        what = f"{' '.join(command)} ended with {found.returncode}, not with {status or 'an error'} and `{names}`:"
        what += f"\n{text[:1500]}"
        self.checks.expect(right and names in text, what, because)
