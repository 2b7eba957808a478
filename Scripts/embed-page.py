#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the files of the hub's page into a Swift file, so that the server carries them without resource bundles.

    Scripts/embed-page.py [--check]

With --check nothing is written; the status is 1 if the Swift file is not what the files make it.
"""

import hashlib
import pathlib
import sys

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "Sources/PlinthServer/Hub/Page"
OUTPUT = FOLDER / "HubPage.swift"

# What the server calls a file, and what it says it is. The page itself is at the root.
FILES = [
    ("hub.html", "", "page", "text/html; charset=utf-8"),
    ("hub.css", "hub.css", "styleSheet", "text/css; charset=utf-8"),
    ("hub.js", "hub.js", "script", "text/javascript; charset=utf-8"),
    ("hub-worker.js", "hub-worker.js", "worker", "text/javascript; charset=utf-8"),
]

HEAD = """\
// SPDX-License-Identifier: Apache-2.0
//
// Written by Scripts/embed-page.py from the files beside it: change those, and run it.
// swift-format-ignore-file

/// The page of a hub, and what it loads.
///
/// All its addresses are relative: it works under any path that ends with a slash.
enum HubPage {
    /// A file of the page.
    struct File: Sendable {
        /// Where it is, relative to the page: empty for the page itself.
        let path: String
        let contentType: String
        /// A strong entity tag, quotes included: a digest of the bytes.
        let entityTag: String
        let bytes: [UInt8]
    }

    static let files = [%s]
"""


def literal(text):
    """A raw string literal of several lines, with as many `#` as its text demands."""
    marks = "#"
    while f'"""{marks}' in text or f"\\{marks}" in text:
        marks += "#"
    return f'{marks}"""\n{text}\n"""{marks}'


def generate():
    parts = [HEAD % ", ".join(name for _, _, name, _ in FILES)]
    for file, path, name, content_type in FILES:
        data = (FOLDER / file).read_bytes()
        text = data.decode()
        # Line ends in Swift's literals are line feeds, whatever the source has.
        assert "\r" not in text and text.endswith("\n"), f"{file}: not lines that end with a line feed"
        digest = hashlib.sha256(data).hexdigest()[:16]
        parts.append(
            f'\n    static let {name} = File(\n        path: "{path}",\n        contentType: "{content_type}",\n'
            f'        entityTag: "\\"{digest}\\"",\n        bytes: Array({literal(text)}.utf8)\n    )\n'
        )
    return "".join(parts) + "}\n"


def main():
    made = generate()
    if sys.argv[1:] == ["--check"]:
        if not OUTPUT.exists() or OUTPUT.read_text() != made:
            print(f"error: {OUTPUT.name} is stale: run Scripts/embed-page.py")
            return 1
        return 0
    if sys.argv[1:]:
        print(__doc__)
        return 2
    OUTPUT.write_text(made)
    return 0


if __name__ == "__main__":
    sys.exit(main())
