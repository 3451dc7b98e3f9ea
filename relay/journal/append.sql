-- Statements of one group commit. {rows} is a list of row placeholders, {keys} of key placeholders.

-- name: known
-- One row for all keys: each further row would cost one more hand-over of the interpreter lock.
SELECT group_concat(hex(key) || ' ' || hex(fingerprint) || ' ' || "offset", ',') FROM dedup WHERE key IN ({keys})

-- name: insert_events
INSERT INTO events ("offset", accepted_at, topic, type, id, source, subject, time, dataschema, traceparent, sink, data)
VALUES {rows}

-- name: insert_dedup
INSERT INTO dedup (key, fingerprint, "offset", seen_at) VALUES {rows}

-- name: insert_dead
INSERT OR IGNORE INTO dead_letters (id, origin, reason, detail, raw, accepted_at, event_offset, event)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)

-- name: save_checkpoint
INSERT INTO checkpoints (sink, "offset", published, dead) VALUES (?, ?, ?, ?)
ON CONFLICT (sink) DO UPDATE SET "offset" = excluded."offset",
    published = published + excluded.published, dead = dead + excluded.dead
