-- The journal's tables. STRICT: a wrong type is a bug here, never a surprise later.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- AUTOINCREMENT keeps the highest offset ever used in sqlite_sequence: without it a table that was pruned empty
-- starts at 1 again, and a sink whose checkpoint is at N takes N new events for published.
CREATE TABLE events (
    "offset"    INTEGER PRIMARY KEY AUTOINCREMENT,
    accepted_at INTEGER NOT NULL,               -- epoch milliseconds
    topic       TEXT NOT NULL,
    type        TEXT NOT NULL,
    id          TEXT NOT NULL,
    source      TEXT NOT NULL,
    subject     TEXT NOT NULL,
    time        TEXT NOT NULL,
    dataschema  TEXT,
    traceparent TEXT,
    sink        TEXT,                           -- the only sink it is for; NULL: every sink
    key         BLOB NOT NULL,                  -- which fact this is, 16 bytes
    fingerprint BLOB NOT NULL,                  -- what the fact states
    crc         INTEGER,                        -- of all of this (rows.py); NULL: written before there was one
    data        BLOB NOT NULL                   -- the event's data, JSON in UTF-8
) STRICT;

-- Keys of events up to meta.merged_offset; those of later events are in their rows only (see dedup_index.py).
-- Outlives the events: a repetition is absorbed for the whole window, pruned or not.
CREATE TABLE dedup (
    key         BLOB PRIMARY KEY,
    fingerprint BLOB NOT NULL,
    "offset"    INTEGER NOT NULL,
    seen_at     INTEGER NOT NULL                -- epoch milliseconds
) STRICT, WITHOUT ROWID;

CREATE TABLE dead_letters (
    id           TEXT PRIMARY KEY,
    origin       TEXT NOT NULL,                 -- the source or the sink that refused it
    reason       TEXT NOT NULL,
    detail       TEXT NOT NULL,
    raw          BLOB NOT NULL,                 -- as received, or the refused event's data
    accepted_at  INTEGER NOT NULL,              -- epoch milliseconds
    event_offset INTEGER,                       -- the refused event's offset; NULL for a delivery
    event        TEXT,                          -- the refused event's attributes, JSON; outlives the event's row
    subject      TEXT                           -- what it is about: a task, a stream, or itself
) STRICT;

-- A copy of what each sink holds itself; the sink's own checkpoint is the truth. "offset" is the sum of the counts.
CREATE TABLE checkpoints (
    sink      TEXT PRIMARY KEY,
    "offset"  INTEGER NOT NULL,
    published INTEGER NOT NULL,
    dead      INTEGER NOT NULL,                 -- kept as dead letters
    absorbed  INTEGER NOT NULL,                 -- taken care of by another replica
    passed    INTEGER NOT NULL,                 -- offsets up to there that are no event of this sink
    catch_up_to INTEGER NOT NULL DEFAULT 0      -- events up to there are history to it, and no backlog
) STRICT;
