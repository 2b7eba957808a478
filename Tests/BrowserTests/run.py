#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests the examples and the hub in a browser and over HTTP.

    Tests/BrowserTests/run.py --examples DIRECTORY [--plinth FILE] [--output DIRECTORY] [NAME …]

DIRECTORY holds the built examples (`swift build --package-path Examples --show-bin-path`) and, unless --plinth is given,
the command-line tool. Screenshots go to --output. A NAME selects tests whose name contains it. The last line has the
totals; the status is 1 if any test failed.
"""

import argparse
import os
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)


class Result(unittest.TestResult):
    """Prints each test's name and result."""

    def startTest(self, test):
        super().startTest(test)
        self._began = time.monotonic()
        self._problems = len(self.failures), len(self.errors)
        print(f"  … {test.id().split('.', 1)[1].replace('_', ' ')}", flush=True)

    def stopTest(self, test):
        super().stopTest(test)
        took = time.monotonic() - self._began
        problems = self.failures[self._problems[0]:] + self.errors[self._problems[1]:]
        if not problems:
            print(f"    passed ({took:.1f} s)", flush=True)
            return
        print(f"    FAILED ({took:.1f} s)", flush=True)
        for _, trace in problems:
            print("      " + trace.rstrip().replace("\n", "\n      "), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", required=True)
    parser.add_argument("--plinth")
    parser.add_argument("--output", default=os.path.join(HERE, "..", "..", ".build", "browser-tests"))
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    os.environ["EXAMPLES_BIN"] = os.path.abspath(arguments.examples)
    os.environ["PLINTH_BIN"] = os.path.abspath(arguments.plinth or os.path.join(arguments.examples, "plinth"))
    os.environ["BROWSER_TESTS_OUTPUT"] = os.path.abspath(arguments.output)

    import cases

    loader = unittest.TestLoader()
    if arguments.names:
        loader.testNamePatterns = [f"*{name.replace(' ', '_')}*" for name in arguments.names]
    suite = loader.discover(HERE)
    result = Result()
    # Starts the browser first: without it every test would fail with the same message.
    try:
        cases.browser()
        suite.run(result)
    except Exception as error:
        print(f"error: {error}")
        print("0 passed, 1 failed")
        return 1
    finally:
        cases.close_browser()

    # A test with failed subtests counts once.
    failed = {str(getattr(test, "test_case", test)) for test, _ in result.failures + result.errors}
    passed = result.testsRun - len(failed)
    if result.testsRun == 0:
        print("error: no test matches")
    print(f"{max(passed, 0)} passed, {len(failed)} failed")
    return 0 if result.testsRun > 0 and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
