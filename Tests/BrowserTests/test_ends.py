# SPDX-License-Identifier: Apache-2.0
"""Chromium's own EventSource at a hub: topics that end, and pages that are made from a mark."""

import http.client
import json
import random
import threading
import time
import urllib.parse
import urllib.request

from cases import BrowserCase
from front import Front
from servers import HubServer

# Opens an event source under a name and records all that it dispatches.
OPEN = """
(name, url) => {
    const source = new EventSource(url);
    const seen = [];
    const one = (window.sources ??= {})[name] = { source, seen, ticks: 0 };
    for (const type of ["open", "message", "end", "gap"]) {
        source.addEventListener(type, ({ data, lastEventId }) => seen.push([type, data ?? "", lastEventId ?? ""]));
    }
    source.addEventListener("tick", () => (one.ticks += 1));
    source.addEventListener("error", () => seen.push(["error", source.readyState]));
}
"""
CLOSED = 2


class SourceCase(BrowserCase):
    """A hub behind a front that has an empty page, on which the tests open event sources."""

    pages = {}

    def setUp(self):
        super().setUp()
        # Short reconnection times, so that a source that reconnects when it must not is seen soon.
        self.server = self.start(HubServer("--retry", "20ms-40ms", "--heartbeat", "100ms", "--heartbeat-event", "tick"))
        pages = {"/": lambda _: ("text/html", "<!doctype html><title>event sources</title>"), **self.pages}
        self.front = self.start(Front(self.server.port, pages))

    def call(self, method, path, body=None):
        request = urllib.request.Request(f"{self.server.url}/{path}", method=method, data=body and body.encode())
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    def publish(self, path, data):
        return self.call("POST", f"topics/{path}", data)["id"]

    def source(self, page, name, path):
        page.evaluate(f"({OPEN})({json.dumps(name)}, {json.dumps(path)})")

    def seen(self, page, name):
        return page.evaluate(f"window.sources[{json.dumps(name)}].seen")

    def received(self, page, name):
        """The types and data of the events, without the errors."""
        return [item[:2] for item in self.seen(page, name) if item[0] not in ("open", "error")]

    def opens(self, page, name):
        page.wait(f"window.sources[{json.dumps(name)}].source.readyState == EventSource.OPEN", f"{name} is open")

    def closes(self, page, name):
        page.wait(f"window.sources[{json.dumps(name)}].source.readyState == EventSource.CLOSED", f"{name} is closed")

    def receives(self, page, name, *data):
        messages = f"window.sources[{json.dumps(name)}].seen.filter(([type]) => type == 'message')"
        page.wait(f"{messages}.map(([_, data]) => data).join() == {json.dumps(','.join(data))}",
                  f"{name} has received {data}")

    def statuses(self, path):
        return [request.status for request in self.front.requests(path, "GET")]

    def stays_closed(self, page, name, topic):
        """Asserts that a closed source does nothing more while another one receives heartbeats for a second."""
        before = self.seen(page, name)
        asked = len(self.front.requests(f"/topics/{topic}", "GET"))
        self.source(page, "clock", "/topics/clock")
        page.wait("window.sources.clock.ticks >= 10", "ten heartbeats have passed")
        page.evaluate("window.sources.clock.source.close()")
        self.assertEqual(self.seen(page, name), before)
        self.assertEqual(len(self.front.requests(f"/topics/{topic}", "GET")), asked)


END = ["end", '{"topic":"job"}']


class EndedTopics(SourceCase):
    def test_the_end_of_a_topic_ends_its_event_source_for_good(self):
        page = self.open(self.front.url)
        self.source(page, "one", "/topics/job")
        self.opens(page, "one")
        self.publish("job", "25 %")
        end = self.publish("job?end", "done")
        self.closes(page, "one")
        seen = self.seen(page, "one")
        self.assertEqual(self.received(page, "one"), [["message", "25 %"], ["message", "done"], END])
        # One error for the end of the body, and one for the 204.
        self.assertEqual([item for item in seen if item[0] in ("open", "error")],
                         [["open", "", ""], ["error", 0], ["error", CLOSED]])
        first, second = self.front.requests("/topics/job", "GET")
        self.assertEqual((first.status, first.last_id), (200, None))
        self.assertEqual((second.status, second.last_id), (204, end))
        self.stays_closed(page, "one", "job")
        # Neither does it come back when the topic is opened again, as another source shows.
        self.call("DELETE", "topics/job")
        self.source(page, "two", "/topics/job")
        self.opens(page, "two")
        self.publish("job", "again")
        self.receives(page, "two", "again")
        self.assertEqual(self.seen(page, "one"), seen)
        self.assertEqual(self.statuses("/topics/job"), [200, 204, 200])

    def test_a_page_that_was_away_receives_the_rest_and_the_end(self):
        page = self.open(self.front.url)
        self.source(page, "one", "/topics/job")
        self.opens(page, "one")
        first = self.publish("job", "25 %")
        self.receives(page, "one", "25 %")
        self.front.leave()
        page.wait("window.sources.one.seen.at(-1)[0] == 'error'", "the page is away")
        self.publish("job", "50 %")
        end = self.publish("job?end", "done")
        self.front.come_back()
        self.closes(page, "one")
        self.assertEqual(self.received(page, "one"),
                         [["message", "25 %"], ["message", "50 %"], ["message", "done"], END])
        self.assertEqual([(request.status, request.last_id) for request in self.front.requests("/topics/job", "GET")],
                         [(200, None), (200, first), (204, end)])
        self.stays_closed(page, "one", "job")

    def test_a_page_that_was_away_with_the_end_in_hand_is_only_told_so(self):
        page = self.open(self.front.url)
        # Another topic keeps the stream open behind the end.
        self.source(page, "one", "/topics?topic=job&topic=other")
        self.opens(page, "one")
        self.publish("job?end", "done")
        page.wait("window.sources.one.seen.at(-1)[0] == 'end'", "the page has the end")
        self.front.leave()
        page.wait("window.sources.one.seen.at(-1)[0] == 'error'", "the page is away")
        self.publish("other?end", "done, too")
        self.front.come_back()
        self.closes(page, "one")
        self.assertEqual(self.received(page, "one"),
                         [["message", "done"], END, ["message", "done, too"], ["end", '{"topic":"other"}']])
        self.assertEqual(self.statuses("/topics"), [200, 200, 204])

    def test_a_page_that_is_opened_later_receives_what_its_position_lacks(self):
        first = self.publish("job", "25 %")
        end = self.publish("job?end", "done")
        page = self.open(self.front.url)
        for name, query, statuses, received in [
            ("all", "?last-event-id=earliest", [200, 204], [["message", "25 %"], ["message", "done"], END]),
            ("rest", f"?last-event-id={first}", [200, 204], [["message", "done"], END]),
            ("none", f"?last-event-id={end}", [204], []),
            ("live", "", [200, 204], [END]),
        ]:
            with self.subTest(name):
                before = len(self.front.requests("/topics/job", "GET"))
                self.source(page, name, f"/topics/job{query}")
                self.closes(page, name)
                self.assertEqual(self.received(page, name), received)
                self.assertEqual(self.statuses("/topics/job")[before:], statuses)
        self.stays_closed(page, "none", "job")

    def test_a_stream_of_several_topics_ends_with_the_last_of_them(self):
        page = self.open(self.front.url)
        self.source(page, "one", "/topics?topic=job&topic=other")
        self.source(page, "pattern", "/topics?topic=job&match=other/*")
        self.opens(page, "one")
        self.opens(page, "pattern")
        self.publish("job?end", "1")
        self.publish("other", "2")
        self.receives(page, "one", "1", "2")
        self.publish("other?end", "3")
        self.closes(page, "one")
        self.assertEqual(self.received(page, "one"),
                         [["message", "1"], END, ["message", "2"], ["message", "3"], ["end", '{"topic":"other"}']])
        # A pattern can always receive a topic that does not exist yet.
        self.publish("other/new?end", "4")
        self.receives(page, "pattern", "1", "4")
        page.wait("window.sources.pattern.ticks >= 3", "the pattern's stream goes on")
        self.assertEqual([item for item in self.seen(page, "pattern") if item[0] == "error"], [])


# Follows a count from the state and the mark that the application hands out. Each event has the count's number and what
# it adds, so that an event that is missing leaves a hole, and one that is applied twice makes the total wrong.
FOLLOW = """
async (name, order) => {
    const one = (window.pages ??= {})[name] ??= { states: 0, skipped: 0, applied: 0, holes: [], gaps: [] };
    const follow = async () => {
        const { mark, n, total } = await (await fetch(`/state?${order}`)).json();
        one.states += 1;
        [one.n, one.total] = [n, total];
        one.source = new EventSource(`/topics/count?last-event-id=${encodeURIComponent(mark)}`);
        one.source.addEventListener("message", ({ data }) => {
            const { n, add } = JSON.parse(data);
            if (n <= one.n) return (one.skipped += 1);
            if (n !== one.n + 1) one.holes.push([one.n, n]);
            one.n = n;
            one.total += add;
            one.applied += 1;
        });
        one.source.addEventListener("gap", ({ data }) => {
            one.gaps.push(JSON.parse(data));
            one.source.close();
            follow();
        });
    };
    await follow();
}
"""


class Count:
    """An application's state, and a thread that changes and publishes it 200 times a second."""

    BETWEEN = 20  # The events published between an application's two reads, which takes a tenth of a second.

    def __init__(self, port):
        self._port = port
        self._changed = threading.Condition()
        self._choice = random.Random(18)
        self._is_done = False
        self.n = self.total = 0
        self.published = 0
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self._began = time.monotonic()
        self._thread.start()

    def finish(self):
        self._is_done = True
        self._thread.join()
        self.rate = self.published / (time.monotonic() - self._began)

    def kill(self):
        self._is_done = True

    def _run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        while not self._is_done:
            time.sleep(max(0, self._began + self.published / 200 - time.monotonic()))
            add = self._choice.randrange(1, 1000)
            # The state is changed before its event is published: a mark that has the event was then read after it.
            with self._changed:
                self.n += 1
                self.total += add
                event = json.dumps({"n": self.n, "add": add})
            connection.request("POST", "/topics/count", body=event)
            connection.getresponse().read()
            with self._changed:
                self.published += 1
                self._changed.notify_all()

    def wait_for_more(self, count=BETWEEN):
        """Waits until events have been published."""
        with self._changed:
            until = self.published + count
            assert self._changed.wait_for(lambda: self.published >= until, timeout=20)

    def mark(self):
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        connection.request("HEAD", "/topics/count")
        mark = connection.getresponse().getheader("Last-Event-ID")
        connection.close()
        return mark

    def state(self):
        with self._changed:
            return {"n": self.n, "total": self.total}

    def page(self, order):
        """The state and the mark, read in an order, with events between."""
        if order == "mark-first":
            mark = self.mark()
            self.wait_for_more()
            state = self.state()
        else:
            state = self.state()
            self.wait_for_more()
            mark = self.mark()
        return "application/json", json.dumps({"mark": mark, **state})


class PagesFromAMark(SourceCase):
    def setUp(self):
        self.pages = {"/state": lambda query: self.count.page(query)}
        super().setUp()
        self.count = self.start(Count(self.server.port))
        self.count.start()

    def follow(self, page, name, order="mark-first"):
        page.evaluate(f"({FOLLOW})({json.dumps(name)}, {json.dumps(order)})")

    def ends(self, page, *names):
        """Stops publishing, waits until the pages have the last event, and returns them."""
        self.count.finish()
        followed = []
        for name in names:
            page.wait(f"window.pages.{name}.n == {self.count.n}", f"{name} has the last of {self.count.n} events")
            followed.append(page.evaluate(f"(({{ source, ...rest }}) => rest)(window.pages.{name})"))
        self.note(f"{self.count.n} events, {self.count.rate:.0f}/s")
        return followed

    def test_a_page_made_from_a_mark_misses_nothing_while_events_are_published(self):
        page = self.open(self.front.url)
        names = ["a", "b", "c", "d"]
        for name in names:
            self.follow(page, name)
        self.count.wait_for_more(200)
        for one in self.ends(page, *names):
            self.assertEqual((one["holes"], one["gaps"], one["states"]), ([], [], 1))
            self.assertEqual(one["total"], self.count.total)
            # Those between the mark and the state are in both; those that follow are only in the stream.
            self.assertGreaterEqual(one["skipped"], Count.BETWEEN - 1)
            self.assertGreaterEqual(one["applied"], 200)

    def test_a_page_that_reads_its_state_before_the_mark_does_miss_events(self):
        # What the other test would see if the hub lost events or the mark were late.
        page = self.open(self.front.url)
        self.follow(page, "a", "state-first")
        self.count.wait_for_more()
        [one] = self.ends(page, "a")
        self.assertEqual(len(one["holes"]), 1)
        (before, after), = one["holes"]
        self.assertGreaterEqual(after - before, Count.BETWEEN)
        self.assertNotEqual(one["total"], self.count.total)

    def test_a_page_behind_a_purge_is_told_of_the_gap_and_reads_its_state_again(self):
        page = self.open(self.front.url)
        self.follow(page, "a")
        page.wait("window.pages.a.applied > 0", "the page is live")
        self.front.leave()
        page.wait("window.pages.a.source.readyState == EventSource.CONNECTING", "the page is away")
        self.count.wait_for_more()
        self.call("DELETE", "topics/count")
        self.count.wait_for_more()
        self.front.come_back()
        page.wait("window.pages.a.states == 2", "the page has read its state again")
        self.count.wait_for_more()
        [one] = self.ends(page, "a")
        self.assertEqual((len(one["gaps"]), one["states"], one["holes"]), (1, 2, []))
        self.assertEqual(one["total"], self.count.total)
        # The total would be wrong if the page only continued behind the gap.
        self.assertIsNotNone(one["gaps"][0]["through"])
