-- Reads, prunes and maintains the journal.

-- name: fits
-- Where a page ends that has at most :limit events and :bytes bytes of data (the first event always fits). Found by the
-- lengths alone, which are in the head of each row: what does not fit is not touched. As a rule the limit of events
-- decides, and adding up is enough.
SELECT CASE WHEN sum(size) <= :bytes THEN max("offset") ELSE
    (SELECT coalesce(max(CASE WHEN bytes <= :bytes THEN "offset" END), min("offset"))
     FROM (SELECT "offset", sum(size) OVER (ORDER BY "offset" ROWS UNBOUNDED PRECEDING) AS bytes
           FROM (SELECT "offset", length(data) AS size FROM events WHERE {which} ORDER BY "offset" LIMIT :limit)))
END FROM (SELECT "offset", length(data) AS size FROM events WHERE {which} ORDER BY "offset" LIMIT :limit)

-- name: page
-- One row for the whole page (see dedup.sql). To put the rows in order would copy each; the caller does it, which costs
-- nothing where they come in order, as they do.
SELECT {in_columns} FROM events WHERE {which} AND "offset" <= ({fits})

-- name: rows
-- The same as rows, for events so large that to put them together takes longer than handing over.
SELECT {names} FROM events WHERE {which} AND "offset" <= ({fits}) ORDER BY "offset"

-- name: first_size
SELECT length(data) FROM events WHERE {which} ORDER BY "offset" LIMIT 1

-- name: newest_before
-- Where the newest wanted ones of a stretch are, :limit of them, with the size of their data. By the heads of the rows
-- alone, no further than needed, and one row for all: see page.
SELECT group_concat("offset" || ':' || size, ' ')
FROM (SELECT "offset", length(data) AS size FROM events
      WHERE "offset" < :before AND "offset" >= :first AND sink IS NULL AND (:subject IS NULL OR subject = :subject)
          AND (:types IS NULL OR type IN (SELECT value FROM json_each(:types)))
      ORDER BY "offset" DESC LIMIT :limit)

-- name: subjects_in
-- The subjects of a stretch that begin so, each with its newest offset, and whether it is a task, a chat, or itself.
SELECT subject, max("offset") AS newest, max(topic = 'tasks'), max(topic IN ('chat', 'chat-chunks')), max(id = subject)
FROM events WHERE "offset" >= :first AND "offset" < :before AND subject >= :prefix AND subject < :beyond
GROUP BY subject ORDER BY newest DESC LIMIT :limit

-- name: newest_below
SELECT max("offset") FROM events WHERE "offset" < ?

-- name: digests
-- Some values out of the data of events. What is no JSON to SQLite has none: a list must not end at one event.
SELECT CAST(json_group_array(json_array("offset", accepted_at, type, subject,
    json_extract(iif(json_valid(text), text, '{{}}'), {paths}))) AS BLOB)
FROM (SELECT "offset", accepted_at, type, subject, CAST(data AS TEXT) AS text FROM events
      WHERE "offset" IN (SELECT value FROM json_each(:offsets)))

-- name: accepted_from
SELECT "offset", accepted_at FROM events WHERE "offset" >= ? ORDER BY "offset" LIMIT 1

-- name: last_offset
SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0)

-- name: checkpoints
SELECT sink, "offset", published, dead, absorbed, passed, catch_up_to FROM checkpoints

-- name: last_of
SELECT max("offset") FROM (SELECT "offset" FROM events ORDER BY "offset" LIMIT ?)

-- name: first_younger
SELECT min("offset") FROM (SELECT "offset", accepted_at FROM events ORDER BY "offset" LIMIT ?) WHERE accepted_at >= ?

-- name: accepted_by
SELECT accepted_at FROM events WHERE "offset" <= ? ORDER BY "offset" DESC LIMIT 1

-- name: oldest
SELECT "offset", accepted_at FROM events ORDER BY "offset" LIMIT 1

-- name: newest
SELECT max("offset") FROM events

-- name: accepted_at
SELECT accepted_at FROM events WHERE "offset" > ? ORDER BY "offset" LIMIT 1

-- name: delete_events
DELETE FROM events WHERE "offset" <= ?

-- name: put_meta
INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)

-- name: meta
SELECT value FROM meta WHERE key = ?

-- name: rename_checkpoint
UPDATE OR IGNORE checkpoints SET sink = ? WHERE sink = ?

-- name: forget_last_offset
DELETE FROM sqlite_sequence WHERE name = 'events'

-- name: save_last_offset
INSERT INTO sqlite_sequence (name, seq) VALUES ('events', ?)

-- name: addressed
SELECT "offset", sink FROM events INDEXED BY events_addressed WHERE sink IS NOT NULL AND "offset" > ? ORDER BY "offset"

-- name: unkeyed
SELECT "offset" FROM events INDEXED BY events_unkeyed
WHERE (sink IS NOT NULL OR topic = 'dead-letters' OR type IN ('relay.task.conflicted', 'relay.task.progressed'))
    AND subject = ? AND "offset" > ? ORDER BY "offset" LIMIT ?
