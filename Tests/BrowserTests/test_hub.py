# SPDX-License-Identifier: Apache-2.0
"""The hub's page in a browser: its content, the events of a topic, and the stream that tabs share."""

import json
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from cases import BrowserCase
from front import Front
from servers import HubServer

STATE = "document.getElementById('state').dataset.state"
SHOWN = "[...document.querySelectorAll('#events li.event pre')].map((e) => e.textContent)"
KEPT = 500


class HubCase(BrowserCase):
    def setUp(self):
        super().setUp()
        self.server = self.start(HubServer())

    def call(self, path, body=None, method=None):
        request = urllib.request.Request(
            f"{self.server.url}/{path}", data=None if body is None else body.encode(), method=method
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def publish(self, topic, data, type=None):
        query = "" if type is None else "?" + urllib.parse.urlencode({"type": type})
        return self.call(f"topics/{urllib.parse.quote(topic)}{query}", data)["id"]

    def subscribers_are(self, count, timeout=10):
        deadline = time.monotonic() + timeout
        while (now := self.call("status")["subscribers"]) != count:
            self.assertLess(time.monotonic(), deadline, f"{now} subscribers, not {count}")
            time.sleep(0.05)

    def watch(self, name, kind="topic", **options):
        page = self.open(f"{self.server.url}/#{kind}={urllib.parse.quote(name)}", **options)
        self.is_live(page)
        return page

    def is_live(self, page, timeout=10):
        page.wait(f"{STATE} == 'live'", "the stream is live", timeout=timeout)

    def shows(self, page, *data, timeout=10):
        page.wait(f"JSON.stringify({SHOWN}) == {json.dumps(json.dumps(data))}.replaceAll('\", \"', '\",\"')",
                  f"the page shows {data}", timeout=timeout)


class HubPage(HubCase):
    def test_the_page_loads_without_a_complaint_under_its_strict_policy(self):
        with urllib.request.urlopen(self.server.url) as answer:
            policy = answer.headers["Content-Security-Policy"]
        self.assertIn("default-src 'none'", policy)
        self.assertNotIn("unsafe", policy)
        page = self.open(self.server.url)
        page.wait(f"{STATE} == 'ready'", "the page has the status")
        self.assertEqual(page.text("#topics"), "0")
        self.assertEqual(page.text("#subscribers"), "0")
        self.assertIn("No topics yet", page.text("#list-note"))
        self.assertClean(page)
        # A policy that blocks nothing would also pass so far; this one must block an injected script.
        page.evaluate("document.body.append("
                      "Object.assign(document.createElement('script'), {textContent: 'window.x = 1'}))")
        self.assertIsNone(page.evaluate("window.x ?? null"))
        self.assertEqual(len(page.evaluate("window.violations")), 1)

    def test_topics_appear_with_their_rates_and_subscribers(self):
        page = self.open(self.server.url)
        page.wait(f"{STATE} == 'ready'", "the page has the status")
        self.publish("orders/7", "1")
        self.publish("news", "1")
        names = "[...document.querySelectorAll('#list .name')].map((e) => e.textContent).join()"
        page.wait(f"{names} == 'news,orders/7'", "both topics are listed")
        self.watch("orders/7")
        page.call("Page.bringToFront")
        page.wait("document.querySelectorAll('#list .subscribers')[1].textContent == '1 subscriber'", "the topic has one subscriber")
        for n in range(20):
            self.publish("orders/7", str(n))
        page.wait("parseFloat(document.querySelectorAll('#list .rate')[1].textContent) > 1", "the topic has a rate")
        self.assertEqual(page.text("#topics"), "2")
        self.assertClean(page)

    def test_a_topic_is_opened_by_a_click_and_shows_what_others_publish(self):
        self.publish("orders/7", "before")
        page = self.open(self.server.url)
        page.wait("document.querySelector('#list a') !== null", "the topic is listed")
        page.click("#list a")
        self.is_live(page)
        self.assertEqual(page.text("#watch-title"), "orders/7")
        page.wait("document.querySelector('#list a').getAttribute('aria-current') == 'true'", "the topic is marked")
        self.publish("orders/7", "one\ntwo")
        self.publish("orders/8", "not this")
        self.publish("orders/7", "")
        self.shows(page, "one\ntwo", "no data")
        self.assertClean(page)

    def test_what_the_form_publishes_arrives_and_stays_to_be_published_again(self):
        page = self.watch("räume/1 & 2/100%?#")
        page.type("#data", "Guten Tag")
        page.type("#type", "greeting")
        page.click("#send")
        self.shows(page, "Guten Tag")
        self.assertEqual(page.text("#events .type"), "greeting")
        page.wait("document.getElementById('result').textContent.startsWith('Published as ')", "the result has an ID")
        self.assertEqual(page.text("#result").removeprefix("Published as "), page.text("#events .id"))
        self.assertEqual([row["topic"] for row in self.call("status?top=50")["top"]], ["räume/1 & 2/100%?#"])
        page.evaluate("document.getElementById('data').focus()")
        page.call("Input.dispatchKeyEvent", {
            "type": "rawKeyDown", "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "modifiers": 2,
        })
        self.shows(page, "Guten Tag", "Guten Tag")
        self.assertClean(page)

    def test_topics_with_dots_for_segments_can_be_published_to(self):
        page = self.watch("a/../b")
        page.type("#data", "here")
        page.click("#send")
        self.shows(page, "here")

    def test_what_the_hub_refuses_is_said_in_its_words(self):
        page = self.watch("t")
        page.evaluate("""
            window.fetch = async () => new Response('{"error":"the event has too many bytes"}', { status: 413 });
        """)
        page.click("#send")
        page.wait("document.getElementById('result').classList.contains('wrong')", "the rejection is shown")
        self.assertEqual(page.text("#result"), "the event has too many bytes")

    def test_names_that_cannot_be_are_refused_before_they_are_asked_for(self):
        page = self.open(self.server.url)
        page.type("#name", "orders/7*")
        self.assertIn("whole segment", page.text("#open-hint"))
        self.assertEqual(page.evaluate("document.getElementById('name').getAttribute('aria-invalid')"), "true")
        page.press("Enter", 13)
        self.assertEqual(page.evaluate("location.hash"), "")
        self.assertClean(page)

    def test_events_of_any_type_are_shown(self):
        page = self.watch("t")
        self.publish("t", "1", type="price-changed")
        self.publish("t", "2", type="error")
        self.publish("t", "3", type="gaps")
        self.publish("t", "4")
        self.shows(page, "1", "2", "3", "4")
        types = page.evaluate("[...document.querySelectorAll('#events .type')].map((e) => e.textContent)")
        self.assertEqual(types, ["price-changed", "error", "gaps", "message"])
        self.assertClean(page)

    def test_a_pattern_shows_all_its_topics(self):
        page = self.open(self.server.url)
        page.type("#name", "orders/*")
        page.press("Enter", 13)
        self.is_live(page)
        self.publish("orders/7", "a")
        self.publish("orders/7/lines", "b")
        self.publish("orders/é", "c")
        self.shows(page, "a", "c")
        topics = page.evaluate("[...document.querySelectorAll('#events .topic')].map((e) => e.textContent)")
        self.assertEqual(topics, ["orders/7", "orders/é"])
        # The form of a pattern also asks for the topic.
        page.type("#to", "9")
        page.type("#data", "d")
        page.click("#send")
        self.shows(page, "a", "c", "d")
        self.assertEqual(page.evaluate("[...document.querySelectorAll('#events .topic')].at(-1).textContent"), "orders/9")
        self.assertClean(page)

    def test_markup_is_shown_as_text(self):
        markup = "<img src=x onerror='window.x = 1'><script>window.x = 1</script><b>bold</b>"
        topic = "<b>topic</b>"
        page = self.watch("**", kind="match")
        self.publish(topic, markup, type="<i>type</i>")
        self.shows(page, markup)
        self.assertEqual(page.text("#events .type"), "<i>type</i>")
        self.assertEqual(page.text("#events .topic"), topic)
        page.wait("document.querySelector('#list a') !== null", "the topic is listed")
        page.click("#list a")
        page.wait(f"document.getElementById('watch-title').textContent == {json.dumps(topic)}", "the topic is open")
        self.assertEqual(page.evaluate("document.querySelectorAll('main b, main i, main img, main script').length"), 0)
        self.assertIsNone(page.evaluate("window.x ?? null"))
        self.assertClean(page)

    def test_json_is_indented_on_demand(self):
        page = self.watch("t")
        self.publish("t", '{"a":[1,2]}')
        self.publish("t", "{ no json")
        self.shows(page, '{"a":[1,2]}', "{ no json")
        page.click("#events li:first-child .pretty")
        self.shows(page, '{\n  "a": [\n    1,\n    2\n  ]\n}', "{ no json")
        page.click("#events li:first-child .pretty")
        page.click("#events li:last-child .pretty")
        self.shows(page, '{"a":[1,2]}', "{ no json")
        self.assertFalse(page.evaluate("document.querySelector('#events li:last-child .pretty') !== null"))
        self.assertClean(page)

    def test_long_data_is_shown_in_part_until_more_is_asked_for(self):
        page = self.watch("t")
        self.publish("t", "x" * 10_000)
        self.publish("t", "y" * 200_000)
        page.wait("document.querySelectorAll('#events li').length == 2", "both events are shown")
        self.assertEqual(page.text("#events li:first-child .more"), "Show 6,000 more characters")
        page.click("#events li:first-child .more")
        page.wait("document.querySelector('#events li:first-child pre').textContent.length == 10_000", "all data is shown")
        self.assertEqual(page.text("#events li:first-child pre"), "x" * 10_000)
        page.click("#events li:last-child .more")
        page.wait("document.querySelector('#events li:last-child pre').textContent.length > 65_536", "the rest is shown")
        shown = page.text("#events li:last-child pre")
        self.assertEqual(shown, "y" * 65_536 + "134,464 more characters are not kept here")
        self.assertClean(page)

    def test_earlier_events_are_shown_on_demand_and_none_of_them_twice(self):
        for n in range(3):
            self.publish("t", f"old {n}")
        page = self.watch("t")
        self.publish("t", "new")
        self.shows(page, "new")
        page.click("#earlier")
        self.shows(page, "old 0", "old 1", "old 2", "new")
        self.subscribers_are(1)
        self.assertClean(page)

    def test_a_purged_topic_has_no_earlier_events(self):
        self.publish("t", "old")
        page = self.watch("t")
        page.click("#purge")
        page.wait("document.getElementById('sure').open", "the page asks to confirm")
        page.click("#sure-no")
        self.assertEqual(self.call("status")["events"], 1)
        page.click("#purge")
        page.click("#sure-yes")
        page.wait("document.querySelector('#events .note') !== null", "the page reports the purge")
        self.assertEqual(self.call("status")["events"], 0)
        self.publish("t", "still live")
        self.shows(page, "still live")
        self.assertClean(page)

    def test_whoever_pauses_reads_in_peace_and_goes_on_at_the_end(self):
        page = self.watch("t")
        for n in range(40):
            self.publish("t", f"line {n}")
        page.wait("document.querySelectorAll('#events li').length == 40", "all events are shown")
        at_end = (
            "(() => { const e = document.getElementById('events');"
            " return e.scrollHeight - e.scrollTop - e.clientHeight < 2; })()"
        )
        page.wait(at_end, "the last one is in view")
        page.evaluate("document.getElementById('events').scrollTop -= 300")
        page.wait("document.getElementById('pause').textContent == 'Resume'", "scrolling up pauses")
        for n in range(3):
            self.publish("t", f"later {n}")
        page.wait("document.getElementById('latest').textContent == '3 new ↓'", "new events are counted")
        self.assertEqual(page.evaluate("document.querySelectorAll('#events li').length"), 40)
        page.click("#latest")
        page.wait("document.querySelectorAll('#events li').length == 43", "new events are shown")
        page.wait(at_end, "the last one is in view")
        self.assertEqual(page.text("#pause"), "Pause")
        self.assertClean(page)

    def test_thousands_of_events_a_second_neither_freeze_the_page_nor_fill_it(self):
        page = self.watch("t")
        page.evaluate("""
            window.longest = 0;
            (function tick(last) {
                const now = performance.now();
                window.longest = Math.max(window.longest, now - last);
                setTimeout(tick, 0, now);
            })(performance.now());
        """)
        # In another process, as this one must read the browser's pipe.
        flood = """
import http.client, sys, threading, time
def run(host, end):
    connection = http.client.HTTPConnection(host)
    while time.monotonic() < end:
        connection.request("POST", "/topics/t", body=b'{"reading": 21.5, "unit": "degrees"}')
        connection.getresponse().read()
for _ in range(2): threading.Thread(target=run, args=(sys.argv[1], time.monotonic() + 3)).start()
"""
        subprocess.run([sys.executable, "-c", flood, self.server.url.removeprefix("http://")], check=True)
        last = self.publish("t", "the last one")
        shown = "[...document.querySelectorAll('#events .id')].at(-1)?.textContent"
        page.wait(f"{shown} == {json.dumps(last)}", "the last one is shown")
        self.assertLessEqual(page.evaluate("document.querySelectorAll('#events li').length"), KEPT)
        count = self.call("status")["published"]
        longest = page.evaluate("window.longest")
        self.note(f"{count / 3:.0f} events/s; the page was busy for at most {longest:.0f} ms")
        page.wait(f"document.getElementById('watch-facts').textContent.includes('{count:,} seen')", "no event is missed")
        # Most of it is waiting for a CPU that the flood occupies. A frozen page would be busy for the whole flood.
        self.assertLess(longest, 2000)
        self.assertClean(page)

    def test_assistive_technology_is_told_what_there_is_and_not_each_event(self):
        page = self.watch("orders/7")
        self.publish("orders/7", "1")
        page.wait("document.getElementById('announce').textContent == '1 new event'", "it is announced", timeout=12)
        tree = page.accessible()
        for expected in [
            ("textbox", "Find or open a topic"), ("button", "Pause"), ("heading", "orders/7"),
            ("log", "Events of orders/7"), ("textbox", "Data"), ("textbox", "Type"), ("button", "Publish"),
        ]:
            self.assertIn(expected, tree)
        self.assertEqual(page.evaluate("document.getElementById('events').getAttribute('aria-live')"), "off")
        links = [name for role, name in tree if role == "link"]
        self.assertTrue(any(name.startswith("orders/7, ") and name.endswith("1 subscriber") for name in links), links)

    def test_the_page_fits_phones_and_both_color_schemes(self):
        long_name = "sensors/greenhouse/temperature/a-rather-long-name-without-a-place-to-break"

        def fill():
            for n in range(6):
                data = json.dumps({"order": 7, "price": 12.5 + n, "currency": "EUR"})
                self.publish("orders/7", data, type="price-changed")
                self.publish("orders/12", "shipped")
                self.publish(long_name, "21.5", type="reading")
                self.publish("news", "Harbour reopens after the storm", type="headline")

        phone = {"size": (390, 844), "phone": True}
        for name, watch, options in [
            ("hub-light", "#topic=orders/7", {}),
            ("hub-dark", "#match=**", {"dark": True}),
            ("hub-phone-topics", "", phone),
            ("hub-phone-dark", "#topic=orders/7", {**phone, "dark": True}),
            ("hub-phone-pattern", "#match=**", phone),
            ("hub-phone-small", "#topic=orders/7", {"size": (320, 568), "phone": True}),
        ]:
            with self.subTest(name):
                page = self.open(f"{self.server.url}/{watch}", **options)
                page.wait(f"{STATE} == '{'live' if watch else 'ready'}'", "the page is ready")
                fill()
                page.wait("document.querySelectorAll('#list li').length == 4", "the topics are listed")
                if watch:
                    page.wait("document.querySelectorAll('#events li').length >= 6", "the events are shown")
                page.screenshot(self.output(f"{name}.png"))
                self.assertLessEqual(page.evaluate("document.documentElement.scrollWidth - innerWidth"), 0)
                self.assertEqual(page.evaluate(
                    "[...document.querySelectorAll('main *')].filter((e) => e.checkVisibility() && !e.closest('.unseen')"
                    " && e.getBoundingClientRect().right > innerWidth + 1).length"
                ), 0)
                dark = page.evaluate(
                    "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every((n) => n < 60)"
                )
                self.assertEqual(dark, options.get("dark", False))
                if options.get("phone"):
                    heights = page.evaluate(
                        "[...document.querySelectorAll('button:not(.pretty), input, #list a, .back')]"
                        ".filter((e) => e.checkVisibility()).map((e) => e.getBoundingClientRect().height)"
                    )
                    self.assertGreaterEqual(min(heights), 44)
                self.assertClean(page)

    def test_the_picture_for_the_readme(self):
        def price(n):
            return json.dumps({"order": 7, "price": 12.5 + n, "currency": "EUR"})

        self.watch("news")
        self.watch("weather")
        page = self.watch("orders/7", size=(1080, 600), scale=1.5)
        for n in range(4):
            self.publish("orders/7", price(n), type="price-changed")
            self.publish("weather", f"{21.5 + n / 10}", type="reading")
            self.publish("orders/12", "shipped")
        self.publish("news", "Harbour reopens after the storm", type="headline")
        page.wait("document.querySelectorAll('#list li').length == 4", "the topics are listed")
        page.wait("document.querySelectorAll('#events li.event').length == 4", "the events are shown")
        page.screenshot(self.output("hub-page.png"))
        self.assertClean(page)

    def test_a_phone_goes_from_the_topics_to_one_and_back(self):
        self.publish("news", "1")
        page = self.open(self.server.url, size=(390, 844), phone=True)
        page.wait("document.querySelector('#list a') !== null", "the topic is listed")
        self.assertFalse(page.evaluate("document.getElementById('watch').checkVisibility()"))
        page.click("#list a")
        self.is_live(page)
        self.assertFalse(page.evaluate("document.getElementById('list').checkVisibility()"))
        page.click(".back")
        page.wait("document.getElementById('list').checkVisibility()", "the list is shown again")
        page.wait(f"{STATE} == 'ready'", "no topic is watched")
        self.subscribers_are(0)
        self.assertClean(page)


class HubStream(HubCase):
    def test_a_subscription_survives_the_server_and_tells_the_gap(self):
        page = self.watch("t")
        self.publish("t", "before")
        self.shows(page, "before")
        self.server.stop()
        page.wait(f"{STATE} == 'reconnecting'", "the page is reconnecting")
        self.server = self.start(HubServer(port=self.server.port))
        self.is_live(page, timeout=30)
        self.publish("t", "after")
        self.shows(page, "before", "after")
        page.wait("document.querySelector('#events .gap')?.textContent.includes('no longer held')", "the gap is shown")
        kinds = page.evaluate("[...document.querySelectorAll('#events li')].map((e) => e.className)")
        self.assertEqual([kind for kind in kinds if kind != "note"], ["event", "gap", "event"])
        page.screenshot(self.output("hub-gap.png"))
        self.assertEqual(page.evaluate("window.violations"), [])

    def test_the_hubs_own_events_are_known_by_their_types(self):
        options = ["--gap-type", "lost", "--heartbeat-event", "tick", "--heartbeat", "100ms"]
        self.server.stop()
        self.server = self.start(HubServer(*options))
        page = self.watch("t")
        self.publish("t", "1", type="gap")
        self.shows(page, "1")
        # While this stream receives five heartbeats, the page's receives about as many and must not show them.
        with urllib.request.urlopen(f"{self.server.url}/topics/t", timeout=10) as stream:
            for _ in range(5):
                while stream.readline() != b"event: tick\n":
                    pass
        self.publish("t", "2")
        self.shows(page, "1", "2")
        self.assertEqual(page.evaluate("document.querySelectorAll('#events .gap').length"), 0)
        self.server.stop()
        page.wait(f"{STATE} == 'reconnecting'", "the page is reconnecting")
        self.server = self.start(HubServer(*options, port=self.server.port))
        self.is_live(page, timeout=30)
        self.publish("t", "3")
        self.shows(page, "1", "2", "3")
        page.wait("document.querySelectorAll('#events .gap').length == 1", "the gap is shown")
        self.assertEqual(page.evaluate("window.violations"), [])

    def test_a_crash_is_survived_too(self):
        page = self.watch("t")
        self.publish("t", "before")
        self.shows(page, "before")
        self.server.kill()
        page.wait(f"{STATE} == 'reconnecting'", "the page is reconnecting")
        self.server = self.start(HubServer(port=self.server.port))
        self.is_live(page, timeout=30)
        self.publish("t", "after")
        self.shows(page, "before", "after")

    def test_six_tabs_are_all_live_on_one_stream(self):
        pages = [self.watch(f"t/{n}") for n in range(5)]
        pages.append(self.watch("t/**", kind="match"))
        self.subscribers_are(1)
        for round in range(3):
            for n in range(5):
                self.publish(f"t/{n}", f"{round} to {n}")
        # A background tab is painted only when it is brought to the front.
        for n, page in enumerate(pages[:5]):
            page.call("Page.bringToFront")
            self.shows(page, *[f"{round} to {n}" for round in range(3)])
            self.assertClean(page)
        pages[5].call("Page.bringToFront")
        self.shows(pages[5], *[f"{round} to {n}" for round in range(3) for n in range(5)])
        # Connections are left for publishing.
        pages[5].type("#to", "5")
        pages[5].type("#data", "from the sixth tab")
        pages[5].click("#send")
        pages[5].wait(f"{SHOWN}.at(-1) == 'from the sixth tab'", "the sixth tab has published")
        self.subscribers_are(1)

    def test_nothing_is_lost_or_doubled_while_tabs_come_and_go(self):
        page = self.watch("t")
        self.publish("t", "0")
        self.shows(page, "0")
        done = threading.Event()
        count = 1

        def publish():
            nonlocal count
            while not done.is_set():
                self.publish("t", str(count))
                count += 1
                time.sleep(0.01)

        publisher = threading.Thread(target=publish)
        publisher.start()
        for n in range(4):
            self.watch(f"other/{n}").close()
        done.set()
        publisher.join()
        page.call("Page.bringToFront")
        self.assertLess(count, KEPT)
        self.shows(page, *[str(n) for n in range(count)])
        self.note(f"{count} events while the stream moved eight times")

    def test_closed_tabs_end_the_stream(self):
        first = self.watch("t")
        second = self.watch("t")
        self.subscribers_are(1)
        first.close()
        self.publish("t", "still there")
        self.shows(second, "still there")
        second.close()
        self.subscribers_are(0)

    def test_without_shared_workers_each_tab_has_a_stream_of_its_own(self):
        page = self.open(f"{self.server.url}/#topic=t", script="delete window.SharedWorker;")
        self.is_live(page)
        self.publish("t", "one")
        self.shows(page, "one")
        self.assertClean(page)


class HubEnds(HubCase):
    """What the page shows of topics that end, and what it asks for meanwhile."""

    ENDS = "document.querySelectorAll('#events .end').length"

    def setUp(self):
        super().setUp()
        self.front = self.start(Front(self.server.port))

    def watch_in_front(self, name, kind="topic", **options):
        return self.open(f"{self.front.url}/#{kind}={urllib.parse.quote(name)}", **options)

    def end(self, topic, data=""):
        return self.call(f"topics/{urllib.parse.quote(topic)}?end", data)["id"]

    def has_ended(self, page):
        page.wait(f"{STATE} == 'ended' && {self.ENDS} > 0", "the topic is shown as ended")

    def asked(self):
        """The requests for streams and marks."""
        return self.front.requests("/topics", "GET", "HEAD")

    def is_answered(self, selectors, status):
        """Waits until a stream of exactly these topics has been answered so."""
        target = re.compile(f"/topics[?]{selectors}(&last-event-id=[^&]*)?")
        deadline = time.monotonic() + 10
        while not any(
            request.status == status and target.fullmatch(request.target)
            for request in self.front.requests("/topics", "GET")
        ):
            self.assertLess(time.monotonic(), deadline, f"no stream of {selectors} was answered {status}")
            time.sleep(0.02)

    def polls(self, page, count=3):
        """Waits until the page has taken the status some more times, in which it would have reconnected."""
        page.call("Page.bringToFront")
        before = len(self.front.requests("/status", "GET"))
        deadline = time.monotonic() + 20
        while len(self.front.requests("/status", "GET")) < before + count:
            self.assertLess(time.monotonic(), deadline, "the page takes no status")
            time.sleep(0.02)

    def kinds(self, page):
        return page.evaluate("[...document.querySelectorAll('#events li')].map((e) => e.className)")

    def test_an_ended_topic_is_shown_and_its_stream_does_not_come_back(self):
        page = self.watch_in_front("job")
        self.is_live(page)
        self.publish("job", "25 %")
        self.end("job", "done")
        self.has_ended(page)
        self.shows(page, "25 %", "done")
        self.assertEqual(self.kinds(page), ["event", "event", "end"])
        self.assertEqual(page.text("#events .end p"), "This topic has ended.")
        self.assertEqual(page.text("#state"), "ended")
        page.wait("document.getElementById('watch-facts').textContent.startsWith('ended · ')", "the heading has it")
        self.assertIn("2 seen here", page.text("#watch-facts"))
        self.subscribers_are(0)
        page.wait("document.getElementById('list-note').textContent == '1 topic has ended.'", "the list counts it")
        asked = self.asked()
        self.polls(page)
        self.assertEqual(self.asked(), asked)
        self.assertEqual([(request.method, request.status) for request in asked], [("GET", 200)])
        self.subscribers_are(0)
        # Publishing is refused in the hub's words; purging opens the topic.
        page.type("#data", "late")
        page.click("#send")
        page.wait("document.getElementById('result').textContent.includes('has ended')", "the hub refuses")
        page.click("#purge")
        self.assertTrue(page.evaluate("document.getElementById('sure-ended').checkVisibility()"))
        page.click("#sure-yes")
        self.is_live(page)
        self.publish("job", "again")
        self.shows(page, "25 %", "done", "again")
        self.assertEqual(self.kinds(page), ["event", "event", "end", "note", "note", "event"])
        self.subscribers_are(1)
        # The one complaint is the browser's, of the status 409.
        self.assertEqual(len(page.errors), 1, page.errors)
        self.assertIn("409", page.errors[0])
        self.assertEqual(page.evaluate("window.violations"), [])

    def test_a_topic_that_is_opened_again_elsewhere_is_live_again_and_nothing_is_lost(self):
        page = self.watch_in_front("job")
        self.is_live(page)
        self.end("job", "first run")
        self.has_ended(page)
        self.subscribers_are(0)
        # A whole run, which can pass between two looks at the status.
        self.call("topics/job", method="DELETE")
        self.publish("job", "second run")
        self.end("job", "second run ends")
        self.shows(page, "first run", "second run", "second run ends")
        page.wait(f"{STATE} == 'ended'", "the second run has ended, too")
        self.call("topics/job", method="DELETE")
        self.publish("job", "third run")
        self.is_live(page)
        self.shows(page, "first run", "second run", "second run ends", "third run")
        self.assertClean(page)

    def test_other_topics_of_the_hub_do_not_make_an_ended_stream_come_back(self):
        page = self.watch_in_front("job")
        self.is_live(page)
        self.end("job", "done")
        self.has_ended(page)
        self.subscribers_are(0)
        self.publish("other", "1")
        # Asked for once, as the hub's position has moved.
        self.is_answered("topic=job", 204)
        self.polls(page)
        self.assertEqual([request.status for request in self.asked()], [200, 204])
        self.subscribers_are(0)
        self.assertEqual(self.kinds(page), ["event", "end"])
        self.assertClean(page)

    def test_a_topic_that_had_ended_before_is_shown_so_and_has_its_earlier_events(self):
        for data in ["25 %", "50 %"]:
            self.publish("job", data)
        self.end("job", "done")
        page = self.watch_in_front("job")
        self.has_ended(page)
        self.assertEqual(self.kinds(page), ["end"])
        page.click("#earlier")
        self.shows(page, "25 %", "50 %", "done")
        self.assertEqual(self.kinds(page), ["event", "event", "event", "end"])
        page.wait("document.getElementById('announce').textContent == '3 earlier events shown.'", "they are counted")
        page.click("#clear")
        self.assertTrue(page.evaluate("document.getElementById('waiting-ended').checkVisibility()"))
        self.assertFalse(page.evaluate("document.getElementById('waiting-live').checkVisibility()"))
        self.subscribers_are(0)
        self.assertClean(page)

    def test_tabs_share_a_stream_of_which_some_topics_have_ended(self):
        self.end("old", "done")
        first = self.watch_in_front("live")
        self.is_live(first)
        self.publish("live", "1")
        self.shows(first, "1")
        # The shared stream resumes behind this topic's end.
        second = self.watch_in_front("old")
        self.has_ended(second)
        third = self.watch_in_front("**", kind="match")
        self.is_live(third)
        self.subscribers_are(1)
        self.end("live", "2")
        self.shows(third, "2")
        self.assertEqual(third.text("#events .end p"), "live has ended.")
        self.assertEqual(third.text("#state"), "live")
        third.wait("document.getElementById('watch-facts').textContent.includes('1 seen')", "ends are not counted")
        third.evaluate("location.hash = ''")
        first.call("Page.bringToFront")
        self.has_ended(first)
        self.shows(first, "1", "2")
        # Without the pattern, the stream is behind all its ends.
        self.is_answered("topic=live&topic=old", 204)
        self.subscribers_are(0)
        asked = self.asked()
        self.polls(first)
        self.assertEqual(self.asked(), asked)
        # A tab that changes topics is live, and begins there and not at the end of the old one.
        self.publish("other", "before")
        first.evaluate("location.hash = '#topic=other'")
        self.is_live(first)
        self.publish("other", "after")
        self.shows(first, "after")
        second.call("Page.bringToFront")
        self.assertEqual(second.text("#state"), "ended")
        self.assertEqual(second.evaluate(self.ENDS), 1)
        self.subscribers_are(1)
        self.assertClean(first)
        self.assertClean(second)

    def test_a_page_that_was_away_is_told_of_the_end(self):
        page = self.watch_in_front("job")
        self.is_live(page)
        self.publish("job", "1")
        self.shows(page, "1")
        self.front.leave()
        page.wait(f"{STATE} == 'reconnecting'", "the page is reconnecting")
        self.end("job", "2")
        self.front.come_back()
        self.has_ended(page)
        self.shows(page, "1", "2")
        self.subscribers_are(0)
        # Without the hub an ended topic is not known to be one; with another hub it is not.
        self.server.kill()
        page.wait(f"{STATE} == 'reconnecting'", "the page is reconnecting")
        self.server = self.start(HubServer(port=self.server.port))
        self.is_live(page, timeout=30)
        self.publish("job", "3")
        self.shows(page, "1", "2", "3")

    def test_an_ended_topic_is_readable_in_both_color_schemes_and_on_phones(self):
        self.publish("orders/12", "shipped")
        for name, watch, options in [
            ("hub-ended-light", "#topic=jobs/7", {}),
            ("hub-ended-dark", "#topic=jobs/8", {"dark": True}),
            ("hub-ended-pattern", "#match=jobs/**", {"dark": True}),
            ("hub-ended-phone", "#topic=jobs/9", {"size": (320, 568), "phone": True}),
        ]:
            with self.subTest(name):
                page = self.open(f"{self.front.url}/{watch}", **options)
                self.is_live(page)
                topic = watch.partition("=")[2].replace("**", "10")
                for n in range(1, 4):
                    self.publish(topic, json.dumps({"progress": 25 * n, "unit": "%"}), type="progress")
                self.end(topic, "done")
                page.wait(f"{self.ENDS} == 1", "the end is shown")
                page.wait("document.getElementById('list-note').textContent.includes('ended.')", "the list counts it")
                page.screenshot(self.output(f"{name}.png"))
                self.assertLessEqual(page.evaluate("document.documentElement.scrollWidth - innerWidth"), 0)
                self.assertClean(page)


class HubParser(HubCase):
    """The page's own parser, with a stream split at every position."""

    def test_every_cut_of_a_stream_gives_the_same_events(self):
        page = self.open(self.server.url)
        result = page.evaluate("""
            (async () => {
                // The part of the worker's script that does not need a worker's globals.
                const source = await (await fetch("hub-worker.js")).text();
                const start = source.indexOf("const keptEvents");
                return source.slice(start, source.indexOf("// MARK:", source.indexOf("class EventStreamParser")));
            })()
        """)
        cut = page.evaluate(f"""
            (() => {{
                {result}
                const stream = ": hello\\r\\nid: 1\\r\\ndata: a\\r\\ndata:\\r\\ndata\\r\\n\\r\\nevent: x\\rdata:  b\\rid: 2\\r\\r"
                    + "id\\ndata: c\\nretry: 70\\nretry: 7x\\n\\nid: 3\\0\\nevent: y\\n\\ndata: é\\n\\nid: 9\\n\\ndata: lost";
                const run = (pieces) => {{
                    const events = [];
                    const parser = new EventStreamParser("0", (event) => events.push(event));
                    for (const piece of pieces) parser.push(piece);
                    return JSON.stringify([events, parser.lastID, parser.retry]);
                }};
                const whole = run([stream]);
                const different = [];
                for (let at = 0; at <= stream.length; at += 1) {{
                    if (run([stream.slice(0, at), stream.slice(at)]) !== whole) different.push(at);
                }}
                if (run([...stream]) !== whole) different.push("each");
                const longest = run(["retry: 9999999999999999999999\\n"]);
                return [JSON.parse(whole), different, JSON.parse(longest)[2]];
            }})()
        """)
        self.assertEqual(cut[1], [])
        events, last, retry = cut[0]
        # Clamped to 250 ms and 1 h, which a timer can represent.
        self.assertEqual([(e["type"], e["id"], e["data"]) for e in events], [
            ("message", "1", "a\n\n"), ("x", "2", " b"), ("message", "", "c"), ("message", "", "é"),
        ])
        self.assertEqual((last, retry, cut[2]), ("9", 250, 3_600_000))
