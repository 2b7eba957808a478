# SPDX-License-Identifier: Apache-2.0
"""Base classes of the test cases: they share one browser and clean up what each test starts."""

import os
import unittest

from devtools import Browser

_browser = None


def browser():
    """The browser of this run, started on first use."""
    global _browser
    if _browser is None:
        _browser = Browser()
        print(f"browser: {_browser.version}", flush=True)
    return _browser


def close_browser():
    """Ends the browser, if one was started."""
    if _browser is not None:
        _browser.close()


class ServerCase(unittest.TestCase):
    """A case that starts servers."""

    def start(self, server):
        """Kills a server at the end of the test."""
        self.addCleanup(server.kill)
        return server

    def note(self, text):
        """Prints a measured figure below the test's name."""
        print(f"      {text}", flush=True)


class BrowserCase(ServerCase):
    """A case that opens pages."""

    def open(self, url, **options):
        """Opens a page, closed at the end of the test."""
        page = browser().open(url, **options)

        def close():
            try:
                page.close()
            except RuntimeError:
                pass  # Already closed by the test.

        self.addCleanup(close)
        return page

    def output(self, name):
        """The path of an output file, such as a screenshot."""
        folder = os.environ["BROWSER_TESTS_OUTPUT"]
        os.makedirs(folder, exist_ok=True)
        return os.path.join(folder, name)

    def assertClean(self, page):
        """Asserts that the console has no errors or warnings, and that the CSP blocked nothing."""
        self.assertEqual(page.errors, [])
        self.assertEqual(page.evaluate("window.violations"), [])
