-- Inspects the journal of a stopped relay: see inspect.py.

-- name: span
SELECT count(*), min("offset"), max("offset"), min(accepted_at) FROM events

-- name: dedup_keys
-- Keys of the newest events are in their rows only.
SELECT (SELECT count(*) FROM dedup) + (
    SELECT count(*) FROM events
    WHERE "offset" > (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'merged_offset')
      AND NOT EXISTS (SELECT 1 FROM dedup WHERE dedup.key = events.key))

-- name: sinks
SELECT sink, "offset", published, dead, absorbed, passed,
    (SELECT count(*) FROM events e WHERE e."offset" > c."offset" AND coalesce(e.sink, c.sink) = c.sink)
FROM checkpoints c ORDER BY sink

-- name: gaps
SELECT before + 1, "offset" - 1
FROM (SELECT "offset", lag("offset") OVER (ORDER BY "offset") AS before FROM events)
WHERE "offset" > before + 1 LIMIT 100
