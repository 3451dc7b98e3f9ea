-- What a journal lacks that was made by an earlier release: see layout.py.

-- name: add_crc
-- Rows of before have none.
ALTER TABLE events ADD COLUMN crc INTEGER

-- name: view_without_crc
-- Stands before the table of that name.
CREATE TEMP VIEW events AS SELECT *, NULL AS crc FROM main.events

-- name: add_catch_up
ALTER TABLE checkpoints ADD COLUMN catch_up_to INTEGER NOT NULL DEFAULT 0

-- name: view_without_catch_up
CREATE TEMP VIEW checkpoints AS SELECT *, 0 AS catch_up_to FROM main.checkpoints

-- name: add_dead_subject
ALTER TABLE dead_letters ADD COLUMN subject TEXT

-- name: fill_dead_subject
UPDATE dead_letters SET subject = json_extract(event, '$.subject')

-- name: index_dead_subject
CREATE INDEX IF NOT EXISTS dead_letters_subject ON dead_letters (subject)

-- name: index_dead_age
CREATE INDEX IF NOT EXISTS dead_letters_age ON dead_letters (accepted_at)

-- name: index_addressed
-- Those few events are asked for at each start, which would read all others to find them. No other event touches it.
CREATE INDEX IF NOT EXISTS events_addressed ON events (sink) WHERE sink IS NOT NULL

-- name: index_unkeyed
-- What is said about a task or a stream beyond its beginning and its end, which are found by their keys. It is rare
-- (or asked for: tasks.progressed); no other event touches this index.
CREATE INDEX IF NOT EXISTS events_unkeyed ON events (subject)
WHERE sink IS NOT NULL OR topic = 'dead-letters' OR type IN ('relay.task.conflicted', 'relay.task.progressed')
