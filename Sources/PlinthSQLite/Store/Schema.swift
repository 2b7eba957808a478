// SPDX-License-Identifier: Apache-2.0

#if SQLite
public import GRDB

/// The tables of a history.
enum Schema {
    /// The version of the tables' layout that this code reads and writes.
    ///
    /// 1: as the first migration creates them. 2: with `plinth_revocation`. A version that does not know revocations would
    /// let revoked subjects in again, so it has to refuse the tables.
    static let layout = 2
    /// Marks a file that belongs to a hub (`PRAGMA application_id`): "Plth".
    static let applicationID = 0x506C_7468

    /// Creates the tables of layout 1.
    static func create(_ db: Database) throws {
        try db.execute(
            sql: """
                CREATE TABLE plinth_meta (
                    id INTEGER PRIMARY KEY CHECK (id = 1),
                    layout INTEGER NOT NULL,
                    -- The last entry removed from a topic that has no events left, and from any topic.
                    forgotten INTEGER NOT NULL,
                    removed INTEGER NOT NULL,
                    -- How long hubs have run on this history, in nanoseconds: keys age by it.
                    running INTEGER NOT NULL
                );
                INSERT INTO plinth_meta VALUES (1, 1, 0, 0, 0);

                -- One epoch for each opening: HistoryEpochs.
                CREATE TABLE plinth_epoch (
                    id INTEGER PRIMARY KEY,
                    token BLOB NOT NULL,
                    first INTEGER NOT NULL,
                    last INTEGER
                );

                -- One row for each event or end, as StoredEntry encodes it.
                CREATE TABLE plinth_entry (
                    number INTEGER PRIMARY KEY,
                    -- When it was published, in nanoseconds since 1970.
                    time INTEGER NOT NULL,
                    flags INTEGER NOT NULL,
                    topics BLOB NOT NULL,
                    checksum INTEGER NOT NULL,
                    lines BLOB NOT NULL
                );

                -- The ends, should plinth_end be damaged.
                CREATE INDEX plinth_entry_end ON plinth_entry (number) WHERE flags & 2;

                -- 256 numbers each: how many rows, their bytes, and the checksums of all, by which a missing row is found.
                CREATE TABLE plinth_block (
                    block INTEGER PRIMARY KEY,
                    rows INTEGER NOT NULL,
                    bytes INTEGER NOT NULL,
                    checksum INTEGER NOT NULL
                );

                -- The events of each topic, without its end. Ordinals are dense, and sums add the bytes up.
                CREATE TABLE plinth_place (
                    topic BLOB NOT NULL,
                    number INTEGER NOT NULL,
                    ordinal INTEGER NOT NULL,
                    sum INTEGER NOT NULL,
                    PRIMARY KEY (topic, number)
                ) WITHOUT ROWID;

                -- Each topic with events: its last ordinal, brought up to date every second, and what it has lost.
                CREATE TABLE plinth_topic (
                    name BLOB PRIMARY KEY,
                    ordinal INTEGER NOT NULL,
                    removed INTEGER NOT NULL,
                    removed_ordinal INTEGER NOT NULL,
                    removed_sum INTEGER NOT NULL,
                    checksum INTEGER NOT NULL
                ) WITHOUT ROWID;
                CREATE INDEX plinth_topic_removed ON plinth_topic (removed);

                -- The limits that topics have of their own; the age is in nanoseconds.
                CREATE TABLE plinth_limit (topic BLOB PRIMARY KEY, events INTEGER, bytes INTEGER, age INTEGER)
                    WITHOUT ROWID;

                CREATE TABLE plinth_end (
                    number INTEGER PRIMARY KEY,
                    topic BLOB NOT NULL UNIQUE,
                    subject BLOB,
                    restricted INTEGER NOT NULL,
                    checksum INTEGER NOT NULL
                );

                CREATE TABLE plinth_producer (
                    topic BLOB NOT NULL,
                    subject BLOB NOT NULL,
                    id BLOB NOT NULL,
                    epoch INTEGER NOT NULL,
                    sequence INTEGER NOT NULL,
                    last INTEGER NOT NULL,
                    checksum INTEGER NOT NULL,
                    PRIMARY KEY (topic, subject, id)
                ) WITHOUT ROWID;

                -- In order of time; the time is that of plinth_meta.running.
                CREATE TABLE plinth_key (
                    id INTEGER PRIMARY KEY,
                    subject BLOB NOT NULL,
                    key BLOB NOT NULL,
                    digest BLOB NOT NULL,
                    count INTEGER NOT NULL,
                    repeated INTEGER NOT NULL,
                    position INTEGER NOT NULL,
                    time INTEGER NOT NULL,
                    checksum INTEGER NOT NULL
                );
                """
        )
    }

    /// Makes layout 2 of layout 1.
    static func addRevocations(_ db: Database) throws {
        try db.execute(
            sql: """
                -- Revoked subjects; times are in nanoseconds since 1970.
                CREATE TABLE plinth_revocation (
                    name BLOB NOT NULL,
                    -- With its length; empty for every issuer.
                    issuer BLOB NOT NULL,
                    time INTEGER NOT NULL,
                    hold INTEGER NOT NULL,
                    until INTEGER NOT NULL,
                    checksum INTEGER NOT NULL,
                    PRIMARY KEY (name, issuer)
                ) WITHOUT ROWID;
                -- Finds old rows, and by comparison missing ones.
                CREATE INDEX plinth_revocation_until ON plinth_revocation (until);

                UPDATE plinth_meta SET layout = 2;
                """
        )
    }

    /// Whether there is a table of revocations: a file that only tools have used since may have layout 1.
    static func hasRevocations(_ db: Database) throws -> Bool {
        try Command("SELECT layout FROM plinth_meta", db).first { $0.number(0) >= 2 } ?? false
    }
}

extension SQLiteHistory {
    /// Registers the migrations that create a history's tables, all of which begin with `plinth_`, and change those of an
    /// earlier version.
    ///
    /// For an application's own database, next to its own migrations; a history that has a file to itself does so when
    /// it is opened.
    ///
    /// - Parameter migrator: The application's migrator.
    public static func registerMigrations(in migrator: inout DatabaseMigrator) {
        migrator.registerMigration("plinth-1") { try Schema.create($0) }
        migrator.registerMigration("plinth-2") { try Schema.addRevocations($0) }
    }
}
#endif
