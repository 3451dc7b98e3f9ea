-- What became of the events: see history.py. Lists of rows come as one JSON array, so that each statement is one step.

-- name: create_passages
-- All events of a sink between two rows were settled by the time that the later one has; NULL: nobody noted when.
CREATE TABLE IF NOT EXISTS passages (
    sink     TEXT NOT NULL,
    "offset" INTEGER NOT NULL,
    at       INTEGER,                           -- epoch milliseconds
    PRIMARY KEY (sink, "offset")
) STRICT, WITHOUT ROWID

-- name: create_exceptions
-- Those of them that were settled without being published.
CREATE TABLE IF NOT EXISTS passage_exceptions (
    sink     TEXT NOT NULL,
    "offset" INTEGER NOT NULL,
    state    TEXT NOT NULL,                     -- dead, absorbed
    PRIMARY KEY (sink, "offset")
) STRICT, WITHOUT ROWID

-- name: create_repetitions
CREATE TABLE IF NOT EXISTS repetitions (
    "offset" INTEGER NOT NULL,                  -- of the event that stands for the fact
    via      TEXT NOT NULL,                     -- how it was reported again
    count    INTEGER NOT NULL,
    first_at INTEGER NOT NULL,                  -- epoch milliseconds
    last_at  INTEGER NOT NULL,
    PRIMARY KEY ("offset", via)
) STRICT, WITHOUT ROWID

-- name: shorten_passage
-- The one that reaches beyond :at ends there from now on, unless another does.
UPDATE OR IGNORE passages SET "offset" = :at WHERE sink = :sink AND "offset" = (
    SELECT min("offset") FROM passages WHERE sink = :sink AND "offset" > :at)

-- name: reaches_beyond
SELECT EXISTS (SELECT 1 FROM passages WHERE sink = :sink AND "offset" > :at)

-- name: drop_passages
DELETE FROM passages WHERE sink = :sink AND "offset" > :at

-- name: drop_exceptions
DELETE FROM passage_exceptions WHERE sink = :sink AND "offset" > :at

-- name: add_passages
-- [[sink, offset, at], ...]. One that is there already was not reached again, but gone back to.
INSERT INTO passages (sink, "offset", at)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]') FROM json_each(?)
WHERE true
ON CONFLICT (sink, "offset") DO UPDATE SET at = coalesce(at, excluded.at)

-- name: add_exceptions
-- [[sink, offset, state], ...]
INSERT OR REPLACE INTO passage_exceptions (sink, "offset", state)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]') FROM json_each(?)

-- name: add_repetitions
-- [[offset, via, count, first_at, last_at], ...]
INSERT INTO repetitions ("offset", via, count, first_at, last_at)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
       json_extract(value, '$[3]'), json_extract(value, '$[4]') FROM json_each(?) WHERE true
ON CONFLICT ("offset", via) DO UPDATE SET count = count + excluded.count, last_at = max(last_at, excluded.last_at)

-- name: passages
-- Offset, 0 where nobody noted when and NULL where it has not passed, and its exception.
SELECT value,
    (SELECT coalesce(p.at, 0) FROM passages p WHERE p.sink = :sink AND p."offset" >= value ORDER BY p."offset" LIMIT 1),
    (SELECT e.state FROM passage_exceptions e WHERE e.sink = :sink AND e."offset" = value)
FROM json_each(:offsets)

-- name: repetitions
SELECT "offset", via, count, first_at, last_at FROM repetitions WHERE "offset" IN (SELECT value FROM json_each(?))

-- name: rename_passages
UPDATE OR IGNORE passages SET sink = ? WHERE sink = ?

-- name: rename_exceptions
UPDATE OR IGNORE passage_exceptions SET sink = ? WHERE sink = ?

-- name: prune_passages
DELETE FROM passages WHERE sink IN (SELECT sink FROM checkpoints) AND "offset" <= ?

-- name: prune_exceptions
DELETE FROM passage_exceptions WHERE sink IN (SELECT sink FROM checkpoints) AND "offset" <= ?

-- name: prune_repetitions
DELETE FROM repetitions WHERE "offset" <= ?
