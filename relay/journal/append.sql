-- Statements of one group commit. {rows} is a list of row placeholders.

-- name: insert_events
INSERT INTO events ("offset", accepted_at, topic, type, id, source, subject, time, dataschema, traceparent, sink,
                    key, fingerprint, crc, data)
VALUES {rows}

-- name: insert_dead
INSERT OR IGNORE INTO dead_letters (id, origin, reason, detail, raw, accepted_at, event_offset, event, subject)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: save_checkpoint
INSERT INTO checkpoints (sink, "offset", published, dead, absorbed, passed, catch_up_to) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (sink) DO UPDATE SET "offset" = excluded."offset",
    published = published + excluded.published, dead = dead + excluded.dead,
    absorbed = absorbed + excluded.absorbed, passed = passed + excluded.passed,
    catch_up_to = max(catch_up_to, excluded.catch_up_to)
