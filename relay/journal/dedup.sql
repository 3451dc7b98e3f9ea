-- The dedup index: see dedup_index.py.

-- name: merged_offset
SELECT value FROM meta WHERE key = 'merged_offset'

-- name: save_merged_offset
UPDATE meta SET value = ? WHERE key = 'merged_offset'

-- name: unmerged
SELECT key, fingerprint, "offset", accepted_at FROM events WHERE "offset" > ?

-- name: known
-- One row for all keys: each further row would cost one more hand-over of the interpreter lock.
SELECT group_concat(hex(key) || ' ' || hex(fingerprint) || ' ' || "offset", ',') FROM dedup WHERE key IN ({keys})

-- name: beginning_with
SELECT "offset" FROM dedup WHERE key >= ? AND key < ? AND "offset" > ? ORDER BY "offset" LIMIT ?

-- name: merge
INSERT OR REPLACE INTO dedup (key, fingerprint, "offset", seen_at) VALUES {rows}

-- name: swept
SELECT value FROM meta WHERE key = 'swept'

-- name: save_swept
INSERT OR REPLACE INTO meta (key, value) VALUES ('swept', ?)

-- name: save_swept_before
-- Not where it is missing: what a journal of an earlier release has forgotten, nobody knows.
UPDATE meta SET value = max(CAST(value AS INTEGER), ?) WHERE key = 'swept_before'

-- name: unrecognized
-- A fact that has expired may have come again, under another offset.
SELECT events."offset" FROM events LEFT JOIN dedup ON dedup.key = events.key
WHERE events."offset" <= (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'merged_offset')
    AND events.accepted_at >= (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'swept_before')
    AND (dedup."offset" IS NOT events."offset" OR dedup.fingerprint IS NOT events.fingerprint)
LIMIT 1

-- name: sweep_to
SELECT key FROM dedup WHERE key > ? ORDER BY key LIMIT 1 OFFSET ?

-- name: sweep
DELETE FROM dedup WHERE key > ? AND key <= ? AND seen_at < ?
