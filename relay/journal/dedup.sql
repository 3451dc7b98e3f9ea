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

-- name: sweep_to
SELECT key FROM dedup WHERE key > ? ORDER BY key LIMIT 1 OFFSET ?

-- name: sweep
DELETE FROM dedup WHERE key > ? AND key <= ? AND seen_at < ?
