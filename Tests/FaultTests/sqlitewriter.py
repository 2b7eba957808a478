# SPDX-License-Identifier: Apache-2.0
"""Writes transactions into a SQLite database until it is killed; prints the number of each committed, and each error.

    Tests/FaultTests/sqlitewriter.py FILE SYNCHRONOUS SEED

For the self-test of `powercut.py`. A transaction adds rows that name its number and how many they are, and removes some
old ones; `check` says what is wrong with what a power cut left.
"""

import random
import sqlite3
import sys


def connect(path, synchronous):
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA page_size = 1024")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute(f"PRAGMA synchronous = {synchronous}")
    # Often, so that a cut often meets a checkpoint.
    database.execute("PRAGMA wal_autocheckpoint = 30")
    return database


def main():
    path, synchronous, seed = sys.argv[1:]
    rng = random.Random(seed)
    database = connect(path, synchronous)
    database.execute("CREATE TABLE IF NOT EXISTS rows (number, part, parts, data, UNIQUE (number, part))")
    number = (database.execute("SELECT max(number) FROM rows").fetchone()[0] or 0) + 1
    while True:
        try:
            transact(database, rng, number)
            print(number, flush=True)
            number += 1
            if rng.random() < 0.05:
                # Which also empties the log.
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.OperationalError as error:
            print(error, flush=True)
            if database.in_transaction:
                database.execute("ROLLBACK")


def transact(database, rng, number):
    parts = rng.randint(1, 5)
    database.execute("BEGIN IMMEDIATE")
    for part in range(parts):
        data = f"{number} {part} ".encode() * rng.choice([1, 10, 300])
        database.execute("INSERT INTO rows VALUES (?, ?, ?, ?)", (number, part, parts, data))
    if rng.random() < 0.2:
        database.execute("DELETE FROM rows WHERE number < ?", (number - rng.randint(20, 60),))
    database.execute("COMMIT")


def check(path, acknowledged):
    """What is wrong, each as a kind and a text; and the last number that is there."""
    database = sqlite3.connect(path)
    found, last = [], 0
    try:
        result = database.execute("PRAGMA integrity_check").fetchall()
        if result != [("ok",)]:
            return [("corrupt", str(result[:3]))], 0
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'rows'").fetchall():
            return [("lost", f"everything of {acknowledged}")] if acknowledged else [], 0
        rows = database.execute("SELECT number, part, parts, data FROM rows ORDER BY number, part").fetchall()
    except sqlite3.DatabaseError as error:
        return [("corrupt", str(error))], 0
    finally:
        database.close()
    by_number = {}
    for number, part, parts, data in rows:
        by_number.setdefault(number, []).append((part, parts))
        if data != f"{number} {part} ".encode() * (len(data) // len(f"{number} {part} ")):
            found.append(("changed", f"{number} {part}"))
    for number, those in by_number.items():
        if those != [(part, those[0][1]) for part in range(those[0][1])]:
            found.append(("torn", f"transaction {number}: {those}"))
    if by_number:
        last = max(by_number)
        if sorted(by_number) != list(range(min(by_number), last + 1)):
            found.append(("hole", f"{sorted(by_number)}"))
    if last < acknowledged:
        found.append(("lost", f"{last + 1} to {acknowledged}"))
    return found, last


if __name__ == "__main__":
    main()
