# SPDX-License-Identifier: Apache-2.0
"""The Orders example: rows and events that are committed together, and a page that follows them across restarts."""

import json
import os
import tempfile
import urllib.error
import urllib.parse
import urllib.request

from cases import BrowserCase
from servers import ExampleServer

# The texts in each row of the page.
SHOWN = "[...document.querySelectorAll('#orders li')].map((e) => [...e.children].map((c) => c.textContent))"


def row(number, what, state="placed"):
    """The texts of an order's row."""
    return [f"#{number}", what, state, *(["Ship"] if state == "placed" else [])]


class OrdersExample(BrowserCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="plinth-orders-")
        self.addCleanup(directory.cleanup)
        self.database = os.path.join(directory.name, "orders.sqlite")
        self.server = self.start(ExampleServer("Orders", database=self.database))

    def restart(self):
        """Starts the server again, at the same address and with the same database."""
        self.server = self.start(ExampleServer("Orders", port=self.server.port, database=self.database))

    def call(self, method, path, **form):
        body = urllib.parse.urlencode(form).encode() if form else None
        request = urllib.request.Request(f"{self.server.url}/{path}", method=method, data=body)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def order(self, item, quantity):
        return self.call("POST", "orders", item=item, quantity=quantity)

    def follow(self, **options):
        page = self.open(self.server.url, **options)
        self.is_live(page)
        return page

    def is_live(self, page, timeout=10):
        page.wait("document.getElementById('state').textContent == 'live'", "the page is live", timeout)

    def is_away(self, page):
        page.wait("document.getElementById('state').textContent == 'reconnecting'", "the page is reconnecting")

    def shows(self, page, *orders, timeout=10):
        """Waits until a page shows these orders and no others, the newest first."""
        page.wait(f"JSON.stringify({SHOWN}) == JSON.stringify({json.dumps(orders)})", f"{orders} are shown", timeout)

    def place(self, page, item, quantity):
        page.evaluate(f"document.getElementById('item').value = {json.dumps(item)}")
        page.evaluate("document.getElementById('quantity').value = ''")
        page.type("#quantity", str(quantity))
        page.click("#order button")

    def changes(self, page):
        """The changes that the page's streams have delivered, by order and version."""
        orders = [json.loads(data) for type, data in page.events if type == "order"]
        return [(order["id"], order["version"]) for order in orders]

    def states(self, page):
        """How often the page has read the state."""
        return page.evaluate(
            "performance.getEntriesByType('resource').filter((e) => new URL(e.name).pathname == '/orders').length"
        )

    def test_orders_and_their_changes_appear_in_every_tab(self):
        desk = self.follow()
        phone = self.follow(size=(320, 568), phone=True, dark=True)
        desk.wait("!document.getElementById('none').hidden", "the page says that there is no order")
        self.place(desk, "tea", 2)
        for page in [desk, phone]:
            self.shows(page, row(1, "2 × tea"))
        self.order("coffee", 1)
        for page in [desk, phone]:
            self.shows(page, row(2, "1 × coffee"), row(1, "2 × tea"))
        phone.click("#orders li:last-child button")
        for page in [desk, phone]:
            self.shows(page, row(2, "1 × coffee"), row(1, "2 × tea", "shipped"))
        self.call("POST", "orders/2/ship")
        for page in [desk, phone]:
            self.shows(page, row(2, "1 × coffee", "shipped"), row(1, "2 × tea", "shipped"))
            self.assertEqual(self.changes(page), [(1, 1), (2, 1), (1, 2), (2, 2)])
            self.assertTrue(page.evaluate("document.getElementById('none').hidden"))
        self.order("tea", 1)
        for page in [desk, phone]:
            self.shows(page, row(3, "1 × tea"), row(2, "1 × coffee", "shipped"), row(1, "2 × tea", "shipped"))
            self.assertLessEqual(page.evaluate("document.documentElement.scrollWidth - innerWidth"), 0)
            self.assertClean(page)
        desk.screenshot(self.output("orders.png"))
        phone.screenshot(self.output("orders-phone-dark.png"))
        # A page that is opened later begins with the state.
        late = self.follow()
        self.shows(late, row(3, "1 × tea"), row(2, "1 × coffee", "shipped"), row(1, "2 × tea", "shipped"))
        self.assertEqual(self.changes(late), [])

    def test_an_order_that_is_refused_after_its_event_was_published_is_seen_nowhere(self):
        page = self.follow()
        other = self.follow()
        self.place(page, "cake", 4)
        page.wait("document.getElementById('refusal').textContent != ''", "the page shows the reason")
        self.assertEqual(page.text("#refusal"), "Refused: not enough cake: 3 left.")
        page.screenshot(self.output("orders-refused.png"))
        self.place(page, "cake", 3)
        for each in [page, other]:
            self.shows(each, row(1, "3 × cake"))
            self.assertEqual(self.changes(each), [(1, 1)])
        self.assertEqual(page.text("#refusal"), "")
        # The number is that of the order that was taken back.
        self.assertEqual([order["id"] for order in self.call("GET", "orders")["orders"]], [1])
        with self.assertRaises(urllib.error.HTTPError) as caught:
            self.call("POST", "hub/topics/orders", forged="1")
        self.assertEqual(caught.exception.code, 403)

    def test_a_page_resumes_after_a_restart_and_misses_nothing(self):
        page = self.follow()
        self.order("tea", 1)
        self.order("tea", 2)
        self.shows(page, row(2, "2 × tea"), row(1, "1 × tea"))
        self.assertEqual(self.server.stop(), 0)
        self.is_away(page)
        page.screenshot(self.output("orders-away.png"))
        self.restart()
        # The page reconnects seconds later.
        self.call("POST", "orders/1/ship")
        self.order("coffee", 3)
        expected = [row(3, "3 × coffee"), row(2, "2 × tea"), row(1, "1 × tea", "shipped")]
        self.shows(page, *expected, timeout=30)
        self.is_live(page)
        self.order("coffee", 4)
        self.shows(page, row(4, "4 × coffee"), *expected)
        # Each once, and all by events.
        self.assertEqual(self.changes(page), [(1, 1), (2, 1), (1, 2), (3, 1), (4, 1)])
        self.assertEqual(self.states(page), 1)

    def test_a_page_resumes_after_a_crash_and_misses_nothing(self):
        page = self.follow()
        self.order("tea", 1)
        self.shows(page, row(1, "1 × tea"))
        # Acknowledged right before the crash, whether or not the page still receives it.
        self.order("tea", 2)
        self.server.kill()
        self.is_away(page)
        self.restart()
        self.order("tea", 3)
        expected = [row(n, f"{n} × tea") for n in [3, 2, 1]]
        self.shows(page, *expected, timeout=30)
        self.assertEqual(self.changes(page), [(1, 1), (2, 1), (3, 1)])
        self.assertEqual(self.states(page), 1)

    def test_a_page_that_has_had_no_event_resumes_after_its_mark(self):
        self.order("tea", 1)
        page = self.follow()
        self.assertEqual(self.server.stop(), 0)
        self.is_away(page)
        self.restart()
        self.order("tea", 2)
        self.shows(page, row(2, "2 × tea"), row(1, "1 × tea"), timeout=30)
        self.assertEqual(self.states(page), 1)

    def test_a_page_whose_events_are_gone_reads_the_state_again(self):
        page = self.follow()
        self.order("tea", 1)
        self.order("tea", 2)
        self.shows(page, row(2, "2 × tea"), row(1, "1 × tea"))
        self.assertEqual(self.server.stop(), 0)
        self.is_away(page)
        # As if an older copy had been restored.
        for file in os.listdir(os.path.dirname(self.database)):
            os.remove(os.path.join(os.path.dirname(self.database), file))
        self.restart()
        self.order("coffee", 1)
        self.shows(page, row(1, "1 × coffee"), timeout=30)
        self.is_live(page)
        self.assertEqual(self.states(page), 2)
        self.call("POST", "orders/1/ship")
        self.shows(page, row(1, "1 × coffee", "shipped"))

    def test_the_page_is_used_by_keyboard_and_says_what_happens(self):
        page = self.follow()
        page.evaluate("document.getElementById('quantity').focus()")
        page.press("Enter", 13)
        self.shows(page, row(1, "1 × cake"))
        page.wait("document.getElementById('news').textContent == 'Order 1, 1 cake: placed'", "the order is announced")
        tree = page.accessible()
        for node in [("combobox", "Item"), ("spinbutton", "Quantity"), ("button", "Order"), ("button", "Ship order 1"),
                     ("list", "Latest orders"), ("heading", "Latest orders")]:
            self.assertIn(node, tree)
        page.evaluate("document.querySelector('#orders button').focus()")
        page.press("Enter", 13)
        self.shows(page, row(1, "1 × cake", "shipped"))
        # Not on the page as a whole, from which the way back is long.
        self.assertTrue(page.evaluate("document.activeElement == document.querySelector('#orders li')"))
        self.assertClean(page)
