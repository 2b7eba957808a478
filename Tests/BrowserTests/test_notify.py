# SPDX-License-Identifier: Apache-2.0
"""The Notify example: each user's streams, identified by a cookie and removed when their clients leave."""

import http.client
import json
import time

from cases import BrowserCase, browser
from servers import ExampleServer


class NotifyExample(BrowserCase):
    def setUp(self):
        self.server = self.start(ExampleServer("Notify"))
        # Browsers send a secure cookie over plain HTTP to localhost only.
        self.url = f"http://localhost:{self.server.port}/"

    def log_in(self, name, **options):
        page = self.open(self.url, **options)
        page.wait("!document.getElementById('login').hidden", "the form is shown")
        page.type("#name", name)
        page.click("#login button")
        self.is_connected(page, name)
        return page

    def is_connected(self, page, name):
        page.wait(
            f"document.getElementById('state')?.textContent == '{name}: connected'", f"{name} is connected"
        )

    def has_notes(self, page, count):
        page.wait(f"document.querySelectorAll('#notes li').length == {count}", f"there are {count} notes")
        return page.evaluate("[...document.querySelectorAll('#notes li')].map((e) => e.textContent)")

    def send(self, page, to, text):
        page.type("#to", to)
        page.type("#text", text)
        page.click("#send button")
        page.wait("document.getElementById('answer').textContent != ''", "the page shows the result")
        return page.text("#answer")

    def test_a_note_reaches_every_tab_of_its_user_and_nobody_else(self):
        ann = self.log_in("ann", context=browser().new_context())
        bobs = browser().new_context()
        bob = self.log_in("bob", context=bobs)
        # The cookie logs in the second tab, too.
        second = self.open(self.url, context=bobs, size=(390, 844), phone=True, dark=True)
        self.is_connected(second, "bob")
        self.assertEqual(self.send(ann, "bob", "<b>hello</b>\nfrom the other side"), "Sent to 2 tabs of bob.")
        for page in [bob, second]:
            self.assertEqual(self.has_notes(page, 1), ["ann <b>hello</b> from the other side"])
        self.assertEqual(self.has_notes(ann, 0), [])
        bob.screenshot(self.output("notify.png"))
        second.screenshot(self.output("notify-phone-dark.png"))
        for page in [ann, bob, second]:
            self.assertClean(page)

    def test_a_tab_that_is_closed_is_forgotten_within_a_second(self):
        context = browser().new_context()
        first = self.log_in("ann", context=context)
        second = self.open(self.url, context=context)
        self.is_connected(second, "ann")
        self.server.wait_for("tab 2 of ann connected; 2 open")
        second.close()
        self.server.wait_for("tab 2 of ann disconnected: client-closed; 1 open", timeout=1)
        self.assertEqual(self.send(first, "ann", "still here"), "Sent to 1 tab of ann.")
        self.has_notes(first, 1)
        first.close()
        self.server.wait_for("tab 1 of ann disconnected: client-closed; 0 open", timeout=1)

    def test_logging_out_ends_the_streams_of_the_user(self):
        page = self.log_in("ann", context=browser().new_context())
        page.click(".quiet")
        page.wait("document.getElementById('login')?.hidden === false", "the form is shown again")
        # Either the page leaves first, or the server ends its stream first.
        self.server.wait_for("tab 1 of ann disconnected: (application|client)-closed; 0 open", timeout=1)

    def test_without_a_cookie_there_is_no_stream(self):
        for method, path in [("GET", "/stream"), ("POST", "/notify/ann")]:
            connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=5)
            self.addCleanup(connection.close)
            connection.request(method, path)
            self.assertEqual(connection.getresponse().status, 401)

    def test_clients_that_come_and_go_at_once_leave_nothing_behind(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=5)
        self.addCleanup(connection.close)
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", "/login", "name=eve", form)
        cookie = connection.getresponse().headers["Set-Cookie"].split(";")[0]
        for _ in range(100):
            hasty = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=5)
            hasty.request("GET", "/stream", headers={"Cookie": cookie})
            hasty.close()
        deadline = time.monotonic() + 5
        sent = None
        while sent != 0 and time.monotonic() < deadline:
            last = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=5)
            last.request("POST", "/notify/eve", "?", {"Cookie": cookie})
            sent = json.load(last.getresponse())["tabs"]
            last.close()
        self.assertEqual(sent, 0)
