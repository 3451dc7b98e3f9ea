-- The journal's tables. STRICT: a wrong type is a bug here, never a surprise later.

-- WITHOUT ROWID: no index beside the table that a damaged disk makes disagree with it, unnoticed by quick_check.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    {event_columns}                             -- see event_rows.py
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

-- A copy of what each sink holds itself; the sink's own checkpoint is the truth. "offset" is the sum of the counts.
CREATE TABLE checkpoints (
    sink      TEXT PRIMARY KEY,
    "offset"  INTEGER NOT NULL,
    published INTEGER NOT NULL,
    dead      INTEGER NOT NULL,                 -- kept as dead letters
    absorbed  INTEGER NOT NULL,                 -- taken care of by another replica
    passed    INTEGER NOT NULL,                 -- offsets up to there that are no event of this sink
    -- Events up to there are history to it, and no backlog. A checkout from before 0.1.0 writes rows without it.
    catch_up_to INTEGER NOT NULL DEFAULT 0
) STRICT;
