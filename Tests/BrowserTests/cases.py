# SPDX-License-Identifier: Apache-2.0
"""What the test cases share: one browser for all of them, and the clean-up of what each one starts."""

import os
import unittest

from devtools import Browser

_browser = None


def browser():
    """The one browser of this run."""
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
        """Keeps a server until the end of the test."""
        self.addCleanup(server.kill)
        return server

    def note(self, text):
        """Prints a measured figure below the test's name."""
        print(f"      {text}", flush=True)


class BrowserCase(ServerCase):
    """A case that opens pages."""

    def open(self, url, **options):
        """Opens a page until the end of the test."""
        page = browser().open(url, **options)

        def close():
            try:
                page.close()
            except RuntimeError:
                pass  # The test has closed it.

        self.addCleanup(close)
        return page

    def output(self, name):
        """The path of a file for people to look at."""
        folder = os.environ["BROWSER_TESTS_OUTPUT"]
        os.makedirs(folder, exist_ok=True)
        return os.path.join(folder, name)

    def assertClean(self, page):
        """Neither errors nor warnings in the console, and nothing that the policy refused."""
        self.assertEqual(page.errors, [])
        self.assertEqual(page.evaluate("window.violations"), [])
