#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Attempts, over raw sockets, what a grant does not allow, and compares status, fields and code with the design.

    Tests/FaultTests/authorization.py --plinth PROGRAM [GROUP…]

Starts a server for each way to configure authorization, and needs `openssl`. A failure is printed with the request, the
answer, and the sentence of the design that it contradicts; the last line has the counts, and the status is 1 if
anything failed. A GROUP is one of those below, such as `topics`.
"""

import argparse
import concurrent.futures
import os
import sys
import tempfile
import time
import traceback

import authorization_cookies
import authorization_ends
import authorization_forged
import authorization_keys
import authorization_keysets
import authorization_names
import authorization_options
import authorization_order
import authorization_origins
import authorization_pages
import authorization_revocation
import authorization_subjects
import authorization_topics
from authorization_tokens import Secret
from authorization_tools import Checks, World

GROUPS = {
    "comes-up": authorization_keysets.comes_up,  # It takes a minute, beside the others.
    "keysets": authorization_keysets.run,
    "revocation": authorization_revocation.run,
    "ends": authorization_ends.run,
    "subjects": authorization_subjects.run,
    "pages": authorization_pages.run,
    "cookies": authorization_cookies.run,
    "topics": authorization_topics.run,
    "names": authorization_names.run,
    "order": authorization_order.run,
    "forged": authorization_forged.run,
    "keys": authorization_keys.run,
    "origins": authorization_origins.run,
    "options": authorization_options.run,
}


def run(name, world):
    began = time.monotonic()
    try:
        GROUPS[name](world)
    except Exception as error:
        world.checks.count("checks")
        world.checks.fail(f"{name} stopped: {error}\n{traceback.format_exc()}")
    return f"{name} {time.monotonic() - began:.0f} s"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plinth", required=True, help="the program")
    parser.add_argument("groups", nargs="*", choices=[[], *GROUPS], help="all by default")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        secret, checks = Secret(os.urandom(63) + b"s"), Checks()
        world = World(options.plinth, folder, checks, secret)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            times = list(pool.map(lambda name: run(name, world), options.groups or GROUPS))
        print(", ".join(times), flush=True)
        return checks.report()


if __name__ == "__main__":
    sys.exit(main())
