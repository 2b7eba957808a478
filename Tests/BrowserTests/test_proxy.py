# SPDX-License-Identifier: Apache-2.0
"""The Counter example behind nginx, with the location block that the article on proxies recommends."""

import http.client
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time

from cases import BrowserCase
from servers import ExampleServer

ARTICLE = pathlib.Path(__file__).parent.parent.parent / "Sources/Plinth/Plinth.docc/BehindAProxy.md"


class Proxy:
    """nginx on a free port, with all its files in a temporary folder."""

    def __init__(self, upstream):
        nginx = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
        if nginx is None:
            raise AssertionError("nginx is missing: apt-get install nginx-light")
        location = re.search(r"```nginx\n(.*?)```", ARTICLE.read_text(), re.DOTALL)[1]
        assert "http://127.0.0.1:8080;" in location
        location = location.replace("127.0.0.1:8080", f"127.0.0.1:{upstream}")
        self._folder = tempfile.TemporaryDirectory(prefix="plinth-nginx-")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        folder = self._folder.name
        temporary = "".join(
            f"{kind}_temp_path {folder}/{kind};" for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        )
        configuration = pathlib.Path(folder) / "nginx.conf"
        configuration.write_text(
            f"daemon off; master_process off; pid {folder}/pid; error_log stderr;\nevents {{}}\n"
            f"http {{ access_log off; {temporary}\nserver {{ listen 127.0.0.1:{self.port};\n{location}\n}}\n}}\n"
        )
        self._process = subprocess.Popen(
            [nginx, "-e", "stderr", "-p", folder, "-c", str(configuration)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    self.kill()
                    raise AssertionError("nginx does not listen") from None
                time.sleep(0.02)

    def kill(self):
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()


class BehindNginx(BrowserCase):
    def setUp(self):
        self.server = self.start(ExampleServer("Counter", interval_ms=100))
        self.proxy = self.start(Proxy(self.server.port))

    def test_events_pass_one_by_one(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.proxy.port, timeout=5)
        self.addCleanup(connection.close)
        connection.request("GET", "/counter")
        answer = connection.getresponse()
        times = {}
        while line := answer.readline():
            if line.startswith(b"data: "):
                times[int(line[6:])] = time.monotonic()
        self.assertEqual(list(times), list(range(1, 11)))
        # Nine intervals separate the first and the tenth event; buffered events would arrive together.
        self.assertGreater(times[10] - times[1], 0.7)

    def test_the_page_works(self):
        page = self.open(f"http://127.0.0.1:{self.proxy.port}/")
        page.wait("document.getElementById('state').dataset.state == 'complete'", "the page has all ten events")
        self.assertEqual(page.text("#number"), "10")
        self.assertClean(page)

    def test_the_server_learns_at_once_that_the_browser_has_left(self):
        server = self.start(ExampleServer("Counter", interval_ms=60_000))
        proxy = self.start(Proxy(server.port))
        page = self.open(f"http://127.0.0.1:{proxy.port}/")
        page.wait("Number(document.getElementById('number').textContent) == 1", "the first event is shown")
        began = time.monotonic()
        page.close()
        server.wait_for("counter: the stream has ended: client-closed", timeout=1)
        self.note(f"the server noticed {1000 * (time.monotonic() - began):.0f} ms after the tab was closed")
