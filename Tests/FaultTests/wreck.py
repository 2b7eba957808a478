# SPDX-License-Identifier: Apache-2.0
"""What a disk may hold after a power cut, from the journal of `disk.c`.

The model is that of Linux and ext4, and unkind within it:

- What a sync that succeeded covers is there: all that was written to the file before the sync began.
- Of what came later, each 512-byte sector has the content of any moment since, independently of all others, so writes
  survive in any combination and are torn. The size is that of any moment, too; what was never written is zeros. A file
  is cut off as a whole, or not at all.
- After a sync that failed, what it should have written is not durable, and later syncs leave it out, as its pages are
  no longer dirty. A page that is written again is written whole, so it takes the rest of its content along.
- A name that was made, removed, or changed survives if the directory was synced after, and a new name also if its file
  was: on ext4 that commits the journal with the name in it. Otherwise a change of name survives or not.
- Of the -shm file, which is memory of the processes that use it, anything or nothing may be left.
"""

import collections
import os
import random
import struct

SECTOR, PAGE = 512, 4096
CREATE, WRITE, SIZE, UNLINK, RENAME, SYNC, SYNCED, SYNC_FAILED = range(1, 9)
RECORD = struct.Struct("=IIQQQ")


class Chunk:
    """What one write changes in one page."""

    __slots__ = ("sequence", "page", "start", "data", "is_orphan")

    def __init__(self, sequence, page, start, data):
        self.sequence, self.page, self.start, self.data, self.is_orphan = sequence, page, start, data, False

    @property
    def offset(self):
        return self.page * PAGE + self.start


class Resizing:
    """A new size of the file, by a write beyond its end or a request."""

    __slots__ = ("sequence", "size", "is_cut")

    def __init__(self, sequence, size, is_cut):
        self.sequence, self.size, self.is_cut = sequence, size, is_cut


class File:
    def __init__(self, content=b""):
        self.content = bytearray(content)  # What is durable.
        self.size = len(content)  # What the program sees.
        self.chunks, self.sizes = [], []  # What is not durable, in order.

    def write(self, sequence, offset, data):
        at = 0
        while at < len(data):
            page, start = divmod(offset + at, PAGE)
            piece = data[at:at + PAGE - start]
            self.chunks.append(Chunk(sequence, page, start, piece))
            at += len(piece)
        if offset + len(data) > self.size:
            self.resize(sequence, offset + len(data))

    def resize(self, sequence, size):
        self.sizes.append(Resizing(sequence, size, size < self.size))
        self.size = size

    def synced(self, begun):
        """A sync that began at this sequence has succeeded."""
        dirty = {}
        for chunk in self.chunks:
            if chunk.sequence < begun and not chunk.is_orphan:
                dirty[chunk.page] = chunk.sequence
        # Of a dirty page, what was left out by a failed sync is written, too.
        durable = [chunk for chunk in self.chunks if chunk.sequence <= dirty.get(chunk.page, 0)]
        sizes = [one for one in self.sizes if one.sequence < begun]
        play(self.content, durable, sizes)
        self.chunks = [chunk for chunk in self.chunks if chunk.sequence > dirty.get(chunk.page, 0)]
        for one in sizes:
            if one.is_cut:
                self.chunks = [
                    chunk for chunk in self.chunks if chunk.sequence > one.sequence or chunk.offset < one.size
                ]
        self.sizes = self.sizes[len(sizes):]

    def sync_failed(self, begun):
        for chunk in self.chunks:
            if chunk.sequence < begun:
                chunk.is_orphan = True

    def after_cut(self, rng, survival):
        """A content that the file may have after a power cut."""
        sizes = self.sizes[:survival.count(rng, self.sizes)]
        lost_cuts = [one for one in self.sizes[len(sizes):] if one.is_cut]
        sectors = collections.defaultdict(list)
        for chunk in self.chunks:
            # What was written behind a new end is in new blocks, which only the new size makes the file's.
            if any(chunk.sequence > one.sequence and chunk.offset >= one.size for one in lost_cuts):
                continue
            at = 0
            while at < len(chunk.data):
                sector, start = divmod(chunk.start + at, SECTOR)
                piece = chunk.data[at:at + SECTOR - start]
                sectors[chunk.page, sector].append(Chunk(chunk.sequence, chunk.page, chunk.start + at, piece))
                at += len(piece)
        survivors, page = [], None
        for (number, _), pieces in sorted(sectors.items(), key=lambda one: one[0]):
            if number != page:
                survival.turn_page(rng)
                page = number
            survivors += pieces[:survival.count(rng, pieces, survival.has_page)]
        content = bytearray(self.content)
        play(content, sorted(survivors, key=lambda chunk: chunk.sequence), sizes)
        return content


def play(content, chunks, sizes):
    """Changes a content by what was written and the new sizes, in order; then it has the last size."""
    size = sizes[-1].size if sizes else len(content)
    cuts = [one for one in sizes if one.is_cut]
    for chunk in chunks:
        while cuts and cuts[0].sequence < chunk.sequence:
            del content[cuts.pop(0).size:]
        put(content, chunk.offset, chunk.data)
    for cut in cuts:
        del content[cut.size:]
    fit(content, size)


def put(content, offset, data):
    if len(content) < offset + len(data):
        fit(content, offset + len(data))
    content[offset:offset + len(data)] = data


def fit(content, size):
    if size < len(content):
        del content[size:]
    else:
        content.extend(bytes(size - len(content)))


class Survival:
    """How much survives of what was not synced."""

    KINDS = ["nothing", "all", "moment", "sectors", "pages"]

    def __init__(self, rng, last):
        self.kind = rng.choices(self.KINDS, [2, 1, 2, 4, 2])[0]
        # Of one moment: an honest disk in which the power cut only came earlier.
        self.moment = rng.randint(0, last)
        self.chance = rng.choice([0.1, 0.5, 0.9, 0.99])
        self.has_page = False

    def turn_page(self, rng):
        self.has_page = rng.random() < self.chance

    def count(self, rng, items, has_page=None):
        """How many of what followed each other survive: the first ones. Sectors may go with their page."""
        if self.kind == "nothing":
            return 0
        if self.kind == "all":
            return len(items)
        if self.kind == "moment":
            return sum(item.sequence <= self.moment for item in items)
        if self.kind == "pages" and has_page is not None:
            return len(items) if has_page else 0
        return len(items) if rng.random() < self.chance else rng.randint(0, len(items))

    def name(self, rng, sequence):
        return {"nothing": False, "all": True, "moment": sequence <= self.moment}.get(self.kind, rng.random() < 0.5)


class Wreck:
    """A directory, followed through a journal that began when it was as it is durable now."""

    def __init__(self, contents):
        self.files, self.names = {}, {}
        for name, (inode, content) in contents.items():
            self.files[inode] = self.names[name] = File(content)
        self.now = dict(self.names)  # What the program sees.
        self.changes = []  # Of names, not durable: sequence, and what each name then stands for.
        self.last = 0
        self.counts = collections.Counter()

    @staticmethod
    def contents(directory):
        """The contents of a directory, before the program starts."""
        found = {}
        for entry in os.scandir(directory):
            if entry.is_file() and not entry.name.endswith("-shm"):
                with open(entry.path, "rb") as file:
                    found[entry.name] = (entry.inode(), file.read())
        return found

    def replay(self, journal, directory, until=None):
        """Follows a journal, perhaps only until a sequence; its last record may be cut off."""
        inode = os.stat(directory).st_ino
        with open(journal, "rb") as file:
            data = file.read()
        at = 0
        while at + RECORD.size <= len(data):
            kind, length, sequence, number, place = RECORD.unpack_from(data, at)
            at += RECORD.size
            rest = data[at:at + length]
            at += length
            if len(rest) < length or (until is not None and sequence > until):
                break
            self._apply(kind, sequence, number, place, rest, number == inode)
        return self

    def _apply(self, kind, sequence, number, place, data, is_directory):
        self.last = sequence
        self.counts[kind] += 1
        file = self.files.get(number)
        if kind == CREATE:
            self.files[number] = File()
            self._name(sequence, {data.decode(): self.files[number]})
        elif kind == WRITE:
            file.write(sequence, place, data)
        elif kind == SIZE:
            file.resize(sequence, place)
        elif kind == UNLINK:
            self._name(sequence, {data.decode(): None})
        elif kind == RENAME:
            old, new = data.decode().split("\0")
            self._name(sequence, {old: None, new: self.now.get(old)})
        elif kind == SYNCED and is_directory:
            self._keep(lambda change: change[0] < place)
        elif kind == SYNCED and file:
            file.synced(place)
            self._keep(lambda change: change[0] < place and file in change[1].values())
        elif kind == SYNC_FAILED and file:
            file.sync_failed(place)

    def _name(self, sequence, change):
        self.changes.append((sequence, change))
        self.now.update(change)

    def _keep(self, is_durable):
        """Makes changes of names durable, and with each the earlier ones of the same names."""
        kept, names = [], set()
        for change in reversed(self.changes):
            if is_durable(change) or names & set(change[1]):
                kept.append(change)
                names |= set(change[1])
        for change in reversed(kept):
            self.names.update(change[1])
        self.changes = [change for change in self.changes if change not in kept]

    def after_cut(self, rng):
        """What the directory may hold after a power cut, by name, and how it was chosen."""
        survival = Survival(rng, self.last)
        names = dict(self.names)
        for sequence, change in self.changes:
            if survival.name(rng, sequence):
                names.update(change)
        return {name: bytes(file.after_cut(rng, survival)) for name, file in names.items() if file}, survival.kind


def write(directory, contents, rng=random):
    """Puts contents into a directory in place of what it holds, perhaps with the rests of -shm files."""
    rests = {}
    for entry in os.scandir(directory):
        if entry.name.endswith("-shm") and rng.random() < 0.5:
            with open(entry.path, "rb") as file:
                rests[entry.name] = bytearray(file.read())
        os.unlink(entry.path)
    for name, content in contents.items():
        with open(os.path.join(directory, name), "wb") as file:
            file.write(content)
    for name, rest in rests.items():
        # Some of its pages reached the disk, others not.
        for page in range(0, len(rest), PAGE):
            if rng.random() < 0.3:
                rest[page:page + PAGE] = bytes(len(rest[page:page + PAGE]))
        with open(os.path.join(directory, name), "wb") as file:
            file.write(rest)
