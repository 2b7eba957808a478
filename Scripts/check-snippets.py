#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that the Swift code in the README, the guides and the other documents is built.

Each block must be a slice of a source file of the examples, ignoring indentation, so that an API change breaks the build
rather than the document. A line `// …` marks omitted lines: the parts around it must come from one file, in order. A
manifest is parsed by SwiftPM instead.
"""

import pathlib
import re
import subprocess
import sys
import tempfile
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^([ \t]*)```swift[^\n]*\n(.*?)^[ \t]*```", re.MULTILINE | re.DOTALL)


def documents():
    yield ROOT / "README.md"
    yield from sorted((ROOT / "docs").glob("**/*.md"))
    yield from sorted((ROOT / "Sources").glob("**/*.docc/**/*.md"))


def sources():
    for folder in ["Sources", "Tests"]:
        for path in sorted((ROOT / "Examples" / folder).glob("**/*.swift")):
            yield path, path.read_text().splitlines()


def normal(lines):
    return textwrap.dedent("\n".join(line.rstrip() for line in lines)).strip("\n").splitlines()


def find(part, lines, start):
    """Returns the index after the first match of the part, ignoring indentation, or None."""
    for index in range(start, len(lines) - len(part) + 1):
        # Compares one line first, which is cheap.
        if lines[index].strip() == part[0].strip() and normal(lines[index:index + len(part)]) == part:
            return index + len(part)
    return None


def is_built(block, files):
    parts = [[]]
    for line in block.splitlines():
        if line.strip() == "// …":
            parts.append([])
        else:
            parts[-1].append(line)
    parts = [part for part in map(normal, parts) if part]
    for _, lines in files:
        start = 0
        for part in parts:
            start = find(part, lines, start)
            if start is None:
                break
        if start is not None:
            return True
    return False


def is_manifest(block):
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "Package.swift").write_text(block)
        done = subprocess.run(
            ["swift", "package", "--package-path", folder, "dump-package"], capture_output=True, text=True
        )
        if done.returncode:
            print(done.stderr)
        return done.returncode == 0


def main():
    files = list(sources())
    count, bad = 0, 0
    for path in documents():
        text = path.read_text()
        for match in BLOCK.finditer(text):
            block = textwrap.dedent(match[2])
            count += 1
            if block.startswith("// swift-tools-version"):
                good = is_manifest(block)
            else:
                good = is_built(block, files)
            if not good:
                bad += 1
                line = text.count("\n", 0, match.start()) + 1
                print(f"{path.relative_to(ROOT)}:{line}: error: this code is not in any source file of Examples/")
    if count == 0:
        print("error: no code found in any document")
        return 1
    print(f"code in documents: {count - bad} blocks are built, {bad} are not")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
