# SPDX-License-Identifier: Apache-2.0
"""The Counter example in a browser: what the page shows, and how the server detects that it left."""

import time
import urllib.request

from cases import BrowserCase
from servers import ExampleServer

COMPLETE = "document.getElementById('state').dataset.state == 'complete'"
INTERVAL = 0.1


class CounterPage(BrowserCase):
    def setUp(self):
        super().setUp()
        self.server = self.start(ExampleServer("Counter", interval_ms=int(INTERVAL * 1000)))

    def count_is(self, page, condition):
        page.wait(f"Number(document.getElementById('number').textContent) {condition}", f"the count is {condition}")

    def state_is(self, page, state):
        page.wait(f"document.getElementById('state').dataset.state == '{state}'", f"the state is {state}")

    def test_the_stream_opens_before_its_first_event_and_counts_to_ten_in_order(self):
        page = self.open(self.server.url)
        page.wait(COMPLETE, "the page has all ten events")
        counted = [{"type": "counter", "data": str(n)} for n in range(1, 11)]
        self.assertEqual(page.evaluate("window.recorded"), [{"type": "open", "data": None}, *counted])
        # As parsed by the browser's network layer.
        self.assertEqual(page.events, [("counter", str(n)) for n in range(1, 11)])
        self.assertEqual(page.text("#number"), "10")
        self.assertClean(page)

    def test_the_events_appear_beside_the_counter(self):
        page = self.open(self.server.url)
        page.wait(COMPLETE, "the page has all ten events")
        shown = page.evaluate("[...document.querySelectorAll('#events li.event pre')].map((e) => e.textContent)")
        self.assertEqual(shown, [f"event: counter\ndata: {n}" for n in range(1, 11)])
        # The last event is in view.
        self.assertTrue(page.evaluate(
            "(() => { const log = document.getElementById('events');"
            " return log.scrollHeight - log.scrollTop - log.clientHeight < 2; })()"
        ))
        self.assertClean(page)

    def test_the_page_closes_after_the_tenth_event_so_that_the_browser_does_not_connect_again(self):
        page = self.open(self.server.url)
        page.wait(COMPLETE, "the page has all ten events")
        self.assertEqual(page.evaluate("source.readyState"), 2)
        self.server.wait_for("counter: the stream has ended")
        # Longer than the default reconnection time, 3 s in Chromium.
        time.sleep(4)
        self.assertEqual(page.text("#number"), "10")
        self.assertEqual(len(self.server.matching("counter: the stream has ended")), 1)
        self.assertClean(page)

    def test_the_stop_button_ends_the_stream_on_both_sides(self):
        page = self.open(self.server.url)
        self.count_is(page, ">= 2")
        page.click("#stop")
        self.state_is(page, "stopped")
        self.server.wait_for("counter: the stream has ended: client-closed", timeout=1)
        stopped_at = page.text("#number")
        time.sleep(5 * INTERVAL)
        self.assertEqual(page.text("#number"), stopped_at)
        self.assertTrue(page.evaluate("document.getElementById('stop').disabled"))
        self.assertClean(page)

    def test_the_restart_button_counts_from_one_again(self):
        page = self.open(self.server.url)
        self.count_is(page, ">= 3")
        page.click("#restart")
        page.wait(COMPLETE, "the page has all ten events")
        shown = page.evaluate("[...document.querySelectorAll('#events li.event pre')].map((e) => e.textContent)")
        self.assertEqual(shown, [f"event: counter\ndata: {n}" for n in range(1, 11)])
        page.click("#restart")
        self.count_is(page, "== 2")
        page.click("#stop")
        self.assertClean(page)

    def test_the_buttons_work_from_the_keyboard(self):
        page = self.open(self.server.url)
        self.count_is(page, ">= 1")
        page.evaluate("document.getElementById('stop').focus()")
        page.press("Enter", 13)
        self.state_is(page, "stopped")
        page.evaluate("document.getElementById('restart').focus()")
        page.press("Enter", 13)
        page.wait(COMPLETE, "the page has all ten events")
        self.assertClean(page)

    def test_closing_the_tab_ends_the_server_s_task_within_a_second(self):
        server = self.start(ExampleServer("Counter", interval_ms=60_000))
        page = self.open(server.url)
        self.count_is(page, "== 1")
        began = time.monotonic()
        page.close()
        # The stream's closure now sleeps for a minute, so only cancellation can end it this soon.
        server.wait_for("counter: the stream has ended: client-closed", timeout=1)
        self.note(f"the server noticed {1000 * (time.monotonic() - began):.0f} ms after the tab was closed")

    def test_the_browser_connects_again_when_the_server_is_back(self):
        page = self.open(self.server.url)
        self.count_is(page, ">= 2")
        self.server.kill()
        self.state_is(page, "reconnecting")
        self.start(ExampleServer("Counter", port=self.server.port, interval_ms=int(INTERVAL * 1000)))
        page.wait(COMPLETE, "the page has all ten events of the new stream", timeout=20)
        types = [entry["type"] for entry in page.evaluate("window.recorded")]
        self.assertEqual(types.count("open"), 2)
        self.assertGreaterEqual(types.count("error"), 1)
        self.assertEqual(types[-10:], ["counter"] * 10)

    def test_a_shutdown_ends_open_streams_and_the_server(self):
        server = self.start(ExampleServer("Counter", interval_ms=60_000))
        page = self.open(server.url)
        self.count_is(page, "== 1")
        began = time.monotonic()
        self.assertEqual(server.stop(), 0)
        self.assertLess(time.monotonic() - began, 5)
        server.wait_for("counter: the stream has ended: server-draining", timeout=1)
        self.state_is(page, "reconnecting")

    def test_the_page_passes_the_strict_policy_of_the_default_chain(self):
        with urllib.request.urlopen(self.server.url) as answer:
            policy = answer.headers["Content-Security-Policy"]
        self.assertIsNotNone(policy)
        self.assertNotIn("unsafe", policy)
        page = self.open(self.server.url)
        page.wait(COMPLETE, "the page has all ten events")
        # A policy that blocks nothing would also pass so far; this one must block an injected script.
        page.evaluate("document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.x = 1'}))")
        self.assertIsNone(page.evaluate("window.x ?? null"))
        self.assertEqual(len(page.evaluate("window.violations")), 1)

    def test_assistive_technology_is_told_the_count(self):
        page = self.open(self.server.url)
        page.wait(COMPLETE, "the page has all ten events")
        tree = page.accessible()
        self.assertIn(("button", "Stop"), tree)
        self.assertIn(("button", "Restart"), tree)
        self.assertIn(("heading", "Ten events, one a second"), tree)
        self.assertIn(("status", ""), [(role, "") for role, _ in tree])
        self.assertEqual(page.text("#count"), "Count: 10")

    def test_the_page_fits_phones_and_both_color_schemes(self):
        for name, options in {
            "counter-light": {},
            "counter-dark": {"dark": True},
            "counter-phone": {"size": (390, 844), "phone": True},
            "counter-phone-small-dark": {"size": (320, 568), "phone": True, "dark": True},
        }.items():
            with self.subTest(name):
                page = self.open(self.server.url, **options)
                self.count_is(page, ">= 7")
                page.click("#stop")
                self.state_is(page, "stopped")
                # Waits for the arc's animation.
                time.sleep(0.6)
                page.screenshot(self.output(f"{name}.png"))
                self.assertLessEqual(page.evaluate("document.documentElement.scrollWidth - innerWidth"), 0)
                buttons = page.evaluate(
                    "[...document.querySelectorAll('button')].map((e) => e.getBoundingClientRect().height)"
                )
                self.assertGreaterEqual(min(buttons), 44)
                self.assertClean(page)
        page = self.open(self.server.url)
        page.wait(COMPLETE, "the page has all ten events")
        time.sleep(0.6)
        page.screenshot(self.output("counter-complete.png"))
