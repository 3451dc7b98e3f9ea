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
    crc         INTEGER NOT NULL,               -- of all of this: see rows.py
    data        BLOB NOT NULL                   -- the event's data, JSON in UTF-8
) STRICT;

-- Those few events are asked for at each start, which would read all others to find them. No other event touches it.
CREATE INDEX events_addressed ON events (sink) WHERE sink IS NOT NULL;

-- What is said about a task or a stream beyond its beginning and its end, which are found by their keys. It is rare
-- (or asked for: tasks.progressed); no other event touches this index.
CREATE INDEX events_unkeyed ON events (subject)
WHERE sink IS NOT NULL OR topic = 'dead-letters' OR type IN ('relay.task.conflicted', 'relay.task.progressed');

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
    subject      TEXT NOT NULL                  -- what it is about: a task, a stream, or itself
) STRICT;

CREATE INDEX dead_letters_subject ON dead_letters (subject);
CREATE INDEX dead_letters_age ON dead_letters (accepted_at);

-- A copy of what each sink holds itself; the sink's own checkpoint is the truth. "offset" is the sum of the counts.
CREATE TABLE checkpoints (
    sink      TEXT PRIMARY KEY,
    "offset"  INTEGER NOT NULL,
    published INTEGER NOT NULL,
    dead      INTEGER NOT NULL,                 -- kept as dead letters
    absorbed  INTEGER NOT NULL,                 -- taken care of by another replica
    passed    INTEGER NOT NULL,                 -- offsets up to there that are no event of this sink
    catch_up_to INTEGER NOT NULL                -- events up to there are history to it, and no backlog
) STRICT;
