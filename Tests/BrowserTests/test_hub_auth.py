# SPDX-License-Identifier: Apache-2.0
"""The hub's page with sign-in: what it shows, offers and refuses, and what becomes of its streams."""

import base64
import hashlib
import hmac
import json
import os
import tempfile
import threading
import time
import urllib.parse
import urllib.request

from cases import BrowserCase, browser
from front import Front
from servers import HubServer
from test_hub import SHOWN, STATE, HubCase

SECRET = b"a secret of the tests, of more than 32 bytes"
ALL = {"match": "**"}
NOTES = "[...document.querySelectorAll('#events .note p')].map((e) => e.textContent)"


def token(subject, publish=(), subscribe=(), operate=False, lasts=3600, secret=SECRET):
    """A token of HS256; `lasts` is in seconds."""
    now = int(time.time())
    claim = {"publish": list(publish), "subscribe": list(subscribe), "operate": operate}
    parts = [{"alg": "HS256", "typ": "JWT"}, {"sub": subject, "iat": now, "exp": now + lasts, "plinth": claim}]
    text = b".".join(encoded(json.dumps(part).encode()) for part in parts)
    return (text + b"." + encoded(hmac.digest(secret, text, hashlib.sha256))).decode()


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def visible(id):
    return f"document.getElementById('{id}').checkVisibility()"


def content(id):
    return f"document.getElementById('{id}').textContent"


class SignInCase(HubCase):
    """A hub that takes tokens, and pages with cookies of their own."""

    options = []

    def setUp(self):
        BrowserCase.setUp(self)
        folder = tempfile.TemporaryDirectory(prefix="plinth-sign-in-")
        self.addCleanup(folder.cleanup)
        secret = os.path.join(folder.name, "secret")
        with open(os.open(secret, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(SECRET)
        self.server = self.start(HubServer("--jwt-secret-file", secret, "--jwt-leeway", "0s", *self.options))
        self.operator = token("the test", publish=[ALL], subscribe=[ALL], operate=True)
        # Cookies do not tell ports apart, so those of another test's hub would come, too.
        self.context = browser().new_context()

    def open(self, url, **options):
        return super().open(url, **{"context": self.context, **options})

    def call(self, path, body=None, method=None):
        request = urllib.request.Request(
            f"{self.server.url}/{path}", data=None if body is None else body.encode(), method=method,
            headers={"Authorization": f"Bearer {self.operator}"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def see(self, name="", kind="topic", **options):
        """Opens the page, and waits until it knows who is signed in."""
        page = self.open(f"{self.server.url}/" + (f"#{kind}={urllib.parse.quote(name)}" if name else ""), **options)
        page.wait(visible("who"), "the page knows who is signed in")
        return page

    def enter(self, page, text):
        """Types a token into the form, and sends it."""
        page.call("Page.bringToFront")
        if not page.evaluate("document.getElementById('account').open"):
            page.click("#who")
        page.wait("document.getElementById('account').open", "the dialog is open")
        page.type("#token", text)
        page.press("Enter", 13)

    def sign_in(self, page, text, name):
        self.enter(page, text)
        page.wait("!document.getElementById('account').open", "the dialog is closed")
        self.is_signed_in(page, name)

    def escape(self, page):
        for kind in ["rawKeyDown", "keyUp"]:
            page.call("Input.dispatchKeyEvent", {
                "type": kind, "key": "Escape", "code": "Escape", "windowsVirtualKeyCode": 27,
            })
        page.wait("!document.getElementById('account').open", "the dialog is closed")

    def is_signed_in(self, page, name):
        page.wait(f"{content('who')} == {json.dumps(name)}", f"{name} is signed in")

    def is_signed_out(self, page):
        page.wait(f"{content('who')} == 'Sign in'", "the page is signed out")

    def is_in_state(self, page, state, timeout=15):
        page.wait(f"{STATE} == '{state}'", f"the page is {state}", timeout=timeout)

    def says(self, page, id, *words):
        for word in words:
            page.wait(f"{visible(id)} && {content(id)}.includes({json.dumps(word)})", f"{id} says {word}")

    def shows(self, page, *data, timeout=10):
        page.call("Page.bringToFront")
        super().shows(page, *data, timeout=timeout)

    def assertComplaints(self, page, *statuses):
        """Asserts that the browser complains of nothing but answers with these statuses."""
        for error in page.errors:
            self.assertTrue(any(str(status) in error for status in statuses), error)
        self.assertEqual(page.evaluate("window.violations"), [])


class HubWithoutSignIn(HubCase):
    def test_a_hub_without_sign_in_shows_none_and_offers_everything(self):
        page = self.watch("t")
        page.wait(f"{content('topics')} != '–'", "the page has the status")
        for id in ["who", "notice", "granted"]:
            self.assertFalse(page.evaluate(visible(id)), id)
        for id in ["figures", "columns", "purge", "data"]:
            self.assertTrue(page.evaluate(visible(id)), id)
        self.assertNotIn("Authorization", page.evaluate(content("example")))
        page.type("#data", "as ever")
        page.click("#send")
        self.shows(page, "as ever")
        self.assertClean(page)


class HubSignIn(SignInCase):
    def test_a_stranger_is_asked_to_sign_in_and_is_offered_nothing_else(self):
        page = self.see()
        self.says(page, "notice-text", "Not signed in")
        self.assertTrue(page.evaluate(visible("notice-button")))
        for id in ["figures", "columns", "granted"]:
            self.assertFalse(page.evaluate(visible(id)), id)
        self.says(page, "list-note", "No topics may be seen")
        self.assertIn("Authorization: Bearer", page.evaluate(content("example")))
        page.evaluate("location.hash = '#topic=orders/7'")
        self.is_in_state(page, "refused")
        self.says(page, "waiting-reason", "orders/7", "(unauthorized)")
        self.says(page, "result", "sign in")
        self.assertTrue(page.evaluate("document.getElementById('send').disabled"))
        self.assertFalse(page.evaluate(visible("purge")))
        self.assertClean(page)

    def test_signing_in_shows_who_may_do_what_until_when_and_keeps_no_token(self):
        page = self.see("orders/7")
        self.is_in_state(page, "refused")
        text = token("ann", publish=["orders/7"], subscribe=[{"match": "orders/*"}, "news"])
        self.sign_in(page, text, "ann")
        self.is_live(page)
        self.assertFalse(page.evaluate(visible("notice")))
        page.type("#data", "from ann")
        page.click("#send")
        self.shows(page, "from ann")
        self.assertEqual(page.evaluate(NOTES), [])
        links = "[...document.querySelectorAll('#granted a')].map((e) => e.textContent)"
        self.assertEqual(page.evaluate(links), ["orders/*", "news"])
        page.click("#who")
        self.says(page, "account-title", "Signed in as ann")
        self.says(page, "account-facts", "until ")
        for id, rights in [("rights-publish", "orders/7"), ("rights-subscribe", "orders/* patternnews"),
                           ("rights-operate", "no")]:
            self.assertEqual(page.text(f"#{id}"), rights)
        # Nothing that a script could read has the token, or the cookie.
        kept = page.evaluate(
            "document.documentElement.outerHTML + document.getElementById('token').value + document.cookie"
            " + JSON.stringify([{ ...localStorage }, { ...sessionStorage }])"
        )
        self.assertNotIn(text, kept)
        self.assertEqual(page.evaluate("document.cookie"), "")
        self.escape(page)
        page.click("#granted li:last-child a")
        page.wait(f"{content('watch-title')} == 'news'", "the topic is open")
        self.is_live(page)
        self.says(page, "result", "ann may not publish to this topic")
        self.assertClean(page)

    def test_a_wrong_token_is_refused_in_words_and_is_not_kept(self):
        page = self.see()
        for text, words in [
            ("nonsense", "(token-malformed)"),
            (token("ann", secret=b"another secret of more than 32 bytes"), "(token-signature)"),
            (token("ann", lasts=-60), "(token-expired)"),
            ("two words", "no spaces"),
        ]:
            with self.subTest(words):
                self.enter(page, text)
                self.says(page, "account-result", words)
                self.assertEqual(page.evaluate("document.getElementById('token').value"), "")
                self.assertTrue(page.evaluate("document.getElementById('account').open"))
        self.escape(page)
        self.is_signed_out(page)
        self.assertComplaints(page, 401)

    def test_a_forbidden_topic_is_refused_to_its_tab_only(self):
        allowed = self.see("orders/7")
        self.sign_in(allowed, token("ann", publish=["orders/7"], subscribe=[{"match": "orders/*"}]), "ann")
        self.is_live(allowed)
        forbidden = self.see("secrets")
        self.is_in_state(forbidden, "refused")
        self.says(forbidden, "waiting-reason", "secrets", "(forbidden)")
        self.says(forbidden, "result", "ann may not publish to this topic")
        forbidden.screenshot(self.output("hub-forbidden.png"))
        self.publish("secrets", "not for ann")
        self.publish("orders/7", "for ann")
        self.shows(allowed, "for ann")
        self.is_live(allowed)
        self.subscribers_are(1)
        # A pattern that is wider than the right shows what may be seen, and the hub refuses what may not be published.
        forbidden.call("Page.bringToFront")
        forbidden.evaluate("location.hash = '#match=**'")
        self.is_live(forbidden)
        self.publish("secrets", "not for ann")
        self.publish("orders/8", "also for ann")
        self.shows(forbidden, "also for ann")
        forbidden.type("#to", "secrets")
        forbidden.click("#send")
        self.says(forbidden, "result", "secrets", "(forbidden)")
        self.assertComplaints(forbidden, 403)
        self.assertClean(allowed)

    def test_an_operator_sees_the_status_and_purges_and_no_other_is_offered_to(self):
        self.publish("orders/7", "1")
        page = self.see("orders/7")
        self.sign_in(page, token("ann", subscribe=[ALL]), "ann")
        self.is_live(page)
        for id in ["figures", "purge", "list"]:
            filled = f"{visible(id)} && document.getElementById('{id}').childElementCount > 0"
            self.assertFalse(page.evaluate(filled), id)
        self.sign_in(page, token("op", operate=True), "op")
        # To operate is not to see.
        self.is_in_state(page, "refused")
        page.wait(f"{visible('figures')} && {content('topics')} == '1'", "the status is shown")
        page.wait("document.querySelector('#list .name')?.textContent == 'orders/7'", "the topic is listed")
        page.screenshot(self.output("hub-operator.png"))
        page.click("#purge")
        page.click("#sure-yes")
        deadline = time.monotonic() + 10
        while self.call("status")["events"] != 0:
            self.assertLess(time.monotonic(), deadline, "nothing was purged")
            time.sleep(0.05)
        self.assertClean(page)

    def test_a_topic_that_is_opened_again_is_noticed_without_the_right_to_the_status(self):
        page = self.see("job")
        self.sign_in(page, token("ann", subscribe=["job"]), "ann")
        self.is_live(page)
        self.call("topics/job?end", "done")
        self.is_in_state(page, "ended")
        self.shows(page, "done")
        self.subscribers_are(0)
        self.call("topics/job", method="DELETE")
        self.publish("job", "again")
        self.is_live(page, timeout=20)
        self.shows(page, "done", "again")
        self.assertClean(page)

    def test_signing_out_ends_the_streams_of_all_tabs_and_clears_them(self):
        first = self.see("orders/7")
        self.sign_in(first, token("ann", subscribe=[ALL]), "ann")
        second = self.see("orders/8")
        self.is_live(first)
        self.is_live(second)
        self.publish("orders/7", "seven")
        self.publish("orders/8", "eight")
        self.shows(first, "seven")
        self.shows(second, "eight")
        second.click("#who")
        second.click("#sign-out")
        self.says(second, "account-result", "Signed out")
        for page in [first, second]:
            self.is_signed_out(page)
            self.is_in_state(page, "refused")
            self.shows(page)
        self.subscribers_are(0)
        self.publish("orders/7", "for nobody")
        self.assertEqual(first.evaluate(SHOWN), [])
        self.assertClean(first)

    def test_another_subject_clears_what_the_former_one_was_shown(self):
        first = self.see("orders/7")
        self.sign_in(first, token("ann", publish=[ALL], subscribe=[ALL], operate=True), "ann")
        second = self.see("**", kind="match")
        self.is_live(second)
        self.publish("orders/7", "seven")
        self.publish("orders/8", "eight")
        self.shows(second, "seven", "eight")
        self.shows(first, "seven")
        first.type("#data", "typed by ann")
        first.wait("document.querySelectorAll('#list a').length == 2", "the topics are listed")
        self.sign_in(first, token("bob", subscribe=["orders/8"]), "bob")
        self.is_in_state(first, "refused")
        self.is_signed_in(second, "bob")
        self.is_live(second)
        for page in [first, second]:
            self.shows(page)
            self.assertEqual(page.evaluate("document.querySelectorAll('#list a').length"), 0)
            self.assertFalse(page.evaluate(visible("figures")))
        self.assertEqual(first.evaluate("document.getElementById('data').value"), "")
        self.publish("orders/7", "seven again")
        self.publish("orders/8", "eight again")
        self.shows(second, "eight again")
        self.shows(first)
        self.assertClean(second)

    def test_tabs_without_a_shared_worker_follow_too(self):
        alone = """
            delete window.SharedWorker;
            window.isAway = false;
            Object.defineProperty(document, "visibilityState", { get: () => (window.isAway ? "hidden" : "visible") });
        """
        first = self.see("orders/7", script=alone)
        second = self.see("orders/7", script=alone)
        self.is_in_state(second, "refused")
        # A hidden tab does not ask by itself.
        changed = "document.dispatchEvent(new Event('visibilitychange'))"
        second.evaluate(f"window.isAway = true; {changed}")
        self.sign_in(first, token("ann", subscribe=[ALL]), "ann")
        self.is_signed_in(second, "ann")
        self.is_live(first)
        self.is_live(second)
        second.evaluate(f"window.isAway = false; {changed}")
        self.publish("orders/7", "for both")
        for page in [first, second]:
            self.shows(page, "for both")
        first.call("Page.bringToFront")
        first.click("#who")
        first.click("#sign-out")
        self.is_signed_out(second)
        self.shows(second)
        self.subscribers_are(0)

    def test_the_sign_in_is_named_for_assistive_technology_and_works_with_keys(self):
        page = self.see()
        page.evaluate("document.getElementById('notice-button').focus()")
        page.press("Enter", 13)
        page.wait("document.activeElement.id == 'token'", "the field has the focus")
        tree = page.accessible()
        for expected in [("dialog", "Not signed in"), ("textbox", "Token"), ("button", "Sign in"), ("button", "Close")]:
            self.assertIn(expected, tree)
        self.assertEqual(page.evaluate("document.getElementById('token').type"), "password")
        self.escape(page)
        page.wait("document.activeElement.id == 'notice-button'", "the focus is back")
        self.assertIn("alert", [role for role, _ in page.accessible()])
        self.sign_in(page, token("ann", subscribe=["news"]), "ann")
        self.assertEqual(page.text("#announce"), "Signed in as ann.")
        tree = page.accessible()
        self.assertIn(("button", "Signed in as ann"), tree)
        self.assertIn(("link", "news"), tree)
        self.assertClean(page)

    def test_the_sign_in_is_readable_in_both_color_schemes_and_on_phones(self):
        phone = {"size": (390, 844), "phone": True}
        rights = token(
            "ann@example.org", publish=["orders/7", {"match": "orders/*"}],
            subscribe=[{"match": "orders/*"}, {"match": "sensors/greenhouse/**"}, "news"],
        )
        for name, options in [("light", {}), ("dark", {"dark": True}), ("phone", phone),
                              ("phone-dark", {"size": (320, 568), "phone": True, "dark": True})]:
            with self.subTest(name):
                self.context = browser().new_context()
                page = self.see(**options)
                self.says(page, "notice-text", "Not signed in")
                self.fits(page, f"hub-signed-out-{name}")
                page.click("#who")
                page.wait("document.getElementById('account').open", "the dialog is open")
                self.fits(page, f"hub-sign-in-{name}")
                self.escape(page)
                self.sign_in(page, rights, "ann@example.org")
                self.fits(page, f"hub-signed-in-{name}")
                page.click("#who")
                page.wait("document.getElementById('account').open", "the dialog is open")
                self.fits(page, f"hub-rights-{name}")
                self.escape(page)
                page.evaluate("location.hash = '#topic=orders/7'")
                self.is_live(page)
                self.publish("orders/7", json.dumps({"order": 7, "price": 12.5}), type="price-changed")
                page.wait("document.querySelectorAll('#events li.event').length == 1", "the event is shown")
                self.fits(page, f"hub-signed-in-topic-{name}")
                self.assertClean(page)

    def fits(self, page, name):
        page.screenshot(self.output(f"{name}.png"))
        self.assertLessEqual(page.evaluate("document.documentElement.scrollWidth - innerWidth"), 0)
        self.assertEqual(page.evaluate(
            "[...document.querySelectorAll('.top *, .notice *, main *, dialog[open] *')]"
            ".filter((e) => e.checkVisibility() && !e.closest('.unseen')"
            " && e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.id || e.tagName).join()"
        ), "")


class HubExpiry(SignInCase):
    options = ["--jwt-maximum-lifetime", "1d"]

    def test_an_expired_sign_in_is_said_and_its_renewal_loses_no_event(self):
        page = self.see("orders/7")
        self.sign_in(page, token("ann", publish=[ALL], subscribe=[ALL], lasts=8), "ann")
        self.is_live(page)
        # It ends within a minute.
        self.says(page, "notice-text", "The sign-in of ann ends at ")
        self.publish("orders/7", "before")
        self.shows(page, "before")
        self.is_in_state(page, "expired", timeout=20)
        self.says(page, "notice-text", "The sign-in of ann has expired", "(token-expired)")
        self.says(page, "result", "(token-expired)")
        page.screenshot(self.output("hub-expired.png"))
        self.assertTrue(page.evaluate("document.getElementById('send').disabled"))
        self.subscribers_are(0)
        self.publish("orders/7", "meanwhile 1")
        self.publish("orders/7", "meanwhile 2")
        self.shows(page, "before")
        self.sign_in(page, token("ann", subscribe=[ALL]), "ann")
        self.is_live(page)
        self.publish("orders/7", "after")
        self.shows(page, "before", "meanwhile 1", "meanwhile 2", "after")
        self.assertFalse(page.evaluate(visible("notice")))
        expired, back = page.evaluate(NOTES)
        self.assertIn("The sign-in has expired", expired)
        self.assertEqual(back, "The events continue.")
        self.assertEqual(page.evaluate("document.querySelectorAll('#events .gap').length"), 0)
        self.assertClean(page)

    def test_a_renewal_before_the_expiry_loses_and_doubles_nothing(self):
        page = self.see("orders/7")
        self.sign_in(page, token("ann", subscribe=[ALL], lasts=45), "ann")
        self.is_live(page)
        done = threading.Event()
        count = 0

        def publish():
            nonlocal count
            while not done.is_set():
                self.publish("orders/7", str(count))
                count += 1
                done.wait(0.05)

        publisher = threading.Thread(target=publish)
        publisher.start()
        try:
            page.wait(f"{SHOWN}.length > 5", "events arrive")
            for lasts in [50, 55, 3600]:
                self.says(page, "notice-text", "The sign-in of ann ends at ")
                self.sign_in(page, token("ann", subscribe=[ALL], lasts=lasts), "ann")
                now = page.evaluate(f"{SHOWN}.length")
                page.wait(f"{SHOWN}.length > {now} + 5", "events go on")
            page.wait(f"!{visible('notice')}", "nothing is to be done")
        finally:
            done.set()
            publisher.join()
        self.shows(page, *[str(n) for n in range(count)])
        self.note(f"{count} events while the sign-in was renewed three times")
        self.assertClean(page)

    def test_a_page_that_is_loaded_after_the_expiry_says_so(self):
        page = self.see("orders/7")
        self.sign_in(page, token("ann", subscribe=[ALL], lasts=3), "ann")
        self.is_in_state(page, "expired", timeout=20)
        page.close()
        page = self.see("orders/7")
        self.is_in_state(page, "expired")
        self.says(page, "notice-text", "has expired", "(token-expired)")
        self.assertFalse(page.evaluate(visible("figures")))
        page.click("#notice-button")
        self.sign_in(page, token("ann", subscribe=[ALL]), "ann")
        self.is_live(page)
        self.assertClean(page)

    def test_a_sign_in_by_another_page_is_noticed_when_the_tab_is_seen_again(self):
        page = self.see("orders/7")
        self.sign_in(page, token("ann", subscribe=[ALL], lasts=3), "ann")
        self.is_in_state(page, "expired", timeout=20)
        self.publish("orders/7", "meanwhile")
        # As an application's page does, of which the hub's knows nothing.
        headers = json.dumps({"Authorization": f"Bearer {token('ann', subscribe=[ALL])}"})
        status = page.evaluate(f"fetch('session', {{ method: 'POST', headers: {headers} }}).then((e) => e.status)")
        self.assertEqual(status, 200)
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        self.is_live(page)
        self.shows(page, "meanwhile")
        self.assertClean(page)

    def test_the_hubs_event_of_an_expiry_ends_the_sign_in_and_is_no_event_of_the_topic(self):
        page = self.see()
        self.sign_in(page, token("ann", subscribe=[ALL], lasts=3), "ann")
        page.evaluate("location.hash = '#topic=orders/7'")
        self.is_live(page)
        # Publishers may use the type.
        self.publish("orders/7", "published", type="expired")
        self.shows(page, "published")
        self.assertEqual(page.text("#state"), "live")
        self.is_in_state(page, "expired", timeout=20)
        page.close()
        # The token expires between two requests, that for the session and that for the stream.
        session = {"subject": "ann", "issuer": None, "publish": [], "subscribe": [ALL], "operate": False,
                   "expires": None, "cookie": True, "signIn": True}
        front = self.start(Front(self.server.port, {"/session": lambda _: ("application/json", json.dumps(session))}))
        page = self.open(f"{front.url}/#topic=orders/7")
        self.is_in_state(page, "expired")
        self.assertIn(200, [request.status for request in front.requests("/topics", "GET")])
        self.says(page, "notice-text", "The sign-in of ann has expired", "(token-expired)")
        self.shows(page)
        self.assertClean(page)

    def test_a_revoked_subject_is_refused_with_the_reason_and_another_begins_anew(self):
        page = self.see("orders/7")
        self.sign_in(page, token("ann", subscribe=[ALL]), "ann")
        self.is_live(page)
        self.call("subjects/ann", method="DELETE")
        self.is_in_state(page, "refused")
        self.says(page, "notice-text", "refuses", "(token-revoked)")
        self.subscribers_are(0)
        self.publish("orders/7", "meanwhile")
        self.sign_in(page, token("bob", subscribe=[ALL]), "bob")
        self.is_live(page)
        self.publish("orders/7", "after")
        self.shows(page, "after")
        self.assertClean(page)


class HubAnonymous(SignInCase):
    options = ["--allow-anonymous", "subscribe"]

    def test_anonymous_rights_are_shown_as_such_and_signing_in_adds_the_others(self):
        page = self.see("orders/7")
        self.is_live(page)
        self.publish("orders/7", "for everybody")
        self.shows(page, "for everybody")
        self.assertFalse(page.evaluate(visible("notice")))
        self.says(page, "result", "To publish here, sign in.")
        self.assertTrue(page.evaluate("document.getElementById('data').disabled"))
        page.click("#who")
        self.says(page, "account-title", "Not signed in")
        self.says(page, "account-facts", "anybody")
        self.assertEqual(page.text("#rights-subscribe"), "** all topics")
        self.assertEqual(page.text("#rights-publish"), "nothing")
        self.assertFalse(page.evaluate(visible("sign-out")))
        self.sign_in(page, token("ann", publish=["orders/7"], subscribe=[ALL]), "ann")
        self.is_live(page)
        page.type("#data", "from ann")
        page.click("#send")
        self.shows(page, "from ann")
        self.assertClean(page)
