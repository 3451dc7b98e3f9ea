-- The dead letters: see dead_letters.py.

-- name: create
CREATE TABLE IF NOT EXISTS dead_letters (
    id           TEXT PRIMARY KEY,
    origin       TEXT NOT NULL,                 -- the source or the sink that refused it
    reason       TEXT NOT NULL,
    detail       TEXT NOT NULL,
    raw          BLOB NOT NULL,                 -- as received, or the refused event's data
    accepted_at  INTEGER NOT NULL,              -- epoch milliseconds
    event_offset INTEGER,                       -- the refused event's offset; NULL for a delivery
    event        TEXT,                          -- the refused event's attributes, JSON; outlives the event's row
    subject      TEXT NOT NULL                  -- what it is about: a task, a stream, or itself
) STRICT

-- name: create_by_subject
CREATE INDEX IF NOT EXISTS dead_letters_subject ON dead_letters (subject)

-- name: create_by_age
CREATE INDEX IF NOT EXISTS dead_letters_age ON dead_letters (accepted_at)

-- name: insert
INSERT OR IGNORE INTO dead_letters (id, origin, reason, detail, raw, accepted_at, event_offset, event, subject)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: page
SELECT id, origin, reason, detail, accepted_at, length(raw), event_offset, event, subject, NULL FROM dead_letters
WHERE id > ? ORDER BY id LIMIT ?

-- name: about
SELECT id, origin, reason, detail, accepted_at, length(raw), event_offset, event, subject, NULL FROM dead_letters
WHERE subject = ? ORDER BY accepted_at LIMIT ?

-- name: find
SELECT id, origin, reason, detail, accepted_at, length(raw), event_offset, event, subject, raw FROM dead_letters
WHERE id = ?

-- name: count
SELECT count(*) FROM dead_letters

-- name: delete
DELETE FROM dead_letters WHERE id = ?

-- name: oldest_at
SELECT min(accepted_at) FROM dead_letters

-- name: expire
DELETE FROM dead_letters WHERE id IN (SELECT id FROM dead_letters WHERE accepted_at < ? ORDER BY accepted_at LIMIT ?)
