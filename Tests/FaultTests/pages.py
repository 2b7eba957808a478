# SPDX-License-Identifier: Apache-2.0
"""The pages of a SQLite database and its WAL by kind, and ways to damage them."""

import collections
import contextlib
import sqlite3
import struct

KINDS = {2: "interior page of an index", 5: "interior page of a table", 10: "leaf of an index", 13: "leaf of a table"}
WAL_HEADER, FRAME_HEADER = 32, 24
DAMAGES = ["a bit", "a byte", "a sector of zeros", "zeros", "noise", "another page", "cut here", "cut within"]


def page_size(database):
    size = struct.unpack_from(">H", database, 16)[0]
    return 65536 if size == 1 else size


def places(database, wal):
    """The places that can be damaged, by kind: each a file (0: the database, 1: its WAL), an offset and a length."""
    found = collections.defaultdict(list)
    size = page_size(database)
    free = free_pages(database, size)
    # A database that can be shrunk keeps a map of who points to each page.
    has_maps = struct.unpack_from(">I", database, 52)[0] != 0
    for page in range(1, len(database) // size + 1):
        start = (page - 1) * size
        if page == 1:
            # The header is small; without a place of its own it would hardly be met.
            found["header"].append((0, 0, 100))
            found["first page"].append((0, 0, size))
        elif has_maps and (page - 2) % (size // 5 + 1) == 0:
            found["pointer map"].append((0, start, size))
        elif page in free:
            found[free[page]].append((0, start, size))
        else:
            found[KINDS.get(database[start], "overflow page")].append((0, start, size))
    if len(wal) > WAL_HEADER:
        found["WAL header"].append((1, 0, WAL_HEADER))
    for start in range(WAL_HEADER, len(wal) - FRAME_HEADER - size + 1, FRAME_HEADER + size):
        found["header of a WAL frame"].append((1, start, FRAME_HEADER))
        found["page of a WAL frame"].append((1, start + FRAME_HEADER, size))
    return dict(found)


def free_pages(database, size):
    """The pages of the freelist, each with its kind."""
    found = {}
    trunk = struct.unpack_from(">I", database, 32)[0]
    while trunk and trunk not in found:
        found[trunk] = "trunk of the freelist"
        at = (trunk - 1) * size
        trunk, count = struct.unpack_from(">II", database, at)
        for leaf in struct.unpack_from(f">{count}I", database, at + 8):
            found[leaf] = "leaf of the freelist"
    return found


def damage(rng, files, place, kind):
    """The contents of both files with one damage, and what it was."""
    number, start, length = place
    files = [bytearray(content) for content in files]
    content = files[number]
    what = rng.choice(DAMAGES)
    at = start + rng.randrange(length)
    if what == "a bit":
        content[at] ^= 1 << rng.randrange(8)
    elif what == "a byte":
        content[at] ^= rng.randint(1, 255)
    elif what == "a sector of zeros":
        sector = at // 512 * 512
        content[sector:sector + 512] = bytes(len(content[sector:sector + 512]))
    elif what == "zeros":
        content[start:start + length] = bytes(length)
    elif what == "noise":
        content[start:start + length] = bytes(rng.randrange(256) for _ in range(length))
    elif what == "another page":
        # Such as a write that went to the wrong place.
        other = start % length + rng.randrange((len(content) - start % length) // length) * length
        content[start:start + length] = content[other:other + length]
    else:
        del content[at if what == "cut within" else start:]
    return [bytes(one) for one in files], f"{kind}, offset {at}: {what}"


def owner(path, offset, size):
    """Which table or index a page belongs to, if SQLite can say; for a message."""
    with contextlib.suppress(sqlite3.Error):
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as database:
            row = database.execute("SELECT name FROM dbstat WHERE pageno = ?", (offset // size + 1,)).fetchone()
            return row[0] if row else "nothing"
    return "unknown"
