-- The outputs that are archived: see outputs.py. Lists of rows come as one JSON array, so that each statement is one
-- step.

-- name: create_outputs
CREATE TABLE IF NOT EXISTS outputs (
    id           INTEGER PRIMARY KEY,           -- in the order in which they became known
    task_id      TEXT NOT NULL,
    "index"      INTEGER NOT NULL,              -- among the outputs of its task
    kind         TEXT NOT NULL,                 -- image, video, audio
    format       TEXT,                          -- as the upstream names it
    link         TEXT,                          -- where it can be fetched
    date         TEXT NOT NULL,                 -- UTC, of the task's end
    deadline     INTEGER NOT NULL,              -- when the link ends; epoch milliseconds, like all instants here
    accepted_at  INTEGER NOT NULL,
    state        TEXT NOT NULL DEFAULT 'waiting', -- waiting; archived, lost
    attempts     INTEGER NOT NULL DEFAULT 0,    -- that failed
    due_at       INTEGER NOT NULL,              -- when it is tried next
    reason       TEXT,                          -- why the last try failed, or why it is lost
    retried_at   INTEGER,                       -- when somebody asked for it after it had been lost
    ended_at     INTEGER,
    store_key    TEXT,
    url          TEXT,                          -- of the archived copy
    size         INTEGER,
    sha256       TEXT,
    content_type TEXT,
    UNIQUE (task_id, "index")
) STRICT

-- name: create_waiting
CREATE INDEX IF NOT EXISTS outputs_waiting ON outputs (deadline, due_at) WHERE state = 'waiting'

-- name: create_ended
CREATE INDEX IF NOT EXISTS outputs_ended ON outputs (ended_at) WHERE ended_at IS NOT NULL

-- name: enter
-- [[task_id, index, kind, format, link, date, deadline], ...]. The outputs that a task had first stay its outputs.
INSERT INTO outputs (task_id, "index", kind, format, link, date, deadline, accepted_at, due_at)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
       json_extract(value, '$[3]'), json_extract(value, '$[4]'), json_extract(value, '$[5]'),
       json_extract(value, '$[6]'), :now, :due_at
FROM json_each(:rows) WHERE json_extract(value, '$[0]') NOT IN (SELECT task_id FROM outputs)
ON CONFLICT (task_id, "index") DO NOTHING

-- name: end
-- [data of the event, ...]
UPDATE outputs SET
    state = iif(ends.reason IS NULL, 'archived', 'lost'), ended_at = :now, reason = ends.reason,
    link = iif(ends.reason IS NULL, ends.source_url, outputs.link),
    store_key = ends.store_key, url = ends.url, size = ends.size, sha256 = ends.sha256,
    content_type = ends.content_type
FROM (SELECT json_extract(value, '$.task_id') AS task_id, json_extract(value, '$.index') AS "index",
             json_extract(value, '$.reason') AS reason, json_extract(value, '$.source_url') AS source_url,
             json_extract(value, '$.store_key') AS store_key, json_extract(value, '$.url') AS url,
             json_extract(value, '$.size') AS size, json_extract(value, '$.sha256') AS sha256,
             json_extract(value, '$.content_type') AS content_type FROM json_each(:ends)) AS ends
WHERE outputs.task_id = ends.task_id AND outputs."index" = ends."index"

-- name: due
-- What is due in a time that nobody waits was put there by a clock that was ahead.
SELECT task_id, "index", kind, format, link, date, deadline, coalesce(retried_at, accepted_at), attempts,
       retried_at IS NOT NULL
FROM outputs WHERE state = 'waiting' AND (due_at <= :now OR due_at > :far) ORDER BY deadline LIMIT :limit

-- name: next_due
SELECT min(due_at) FROM outputs WHERE state = 'waiting'

-- name: again
UPDATE outputs SET attempts = attempts + 1, due_at = :due_at, reason = :reason
WHERE task_id = :task_id AND "index" = :index AND state = 'waiting'

-- name: relink
UPDATE outputs SET link = :link, deadline = :deadline
WHERE task_id = :task_id AND "index" = :index AND state = 'waiting'

-- name: lost_again
UPDATE outputs SET state = 'lost', ended_at = :now, reason = :reason
WHERE task_id = :task_id AND "index" = :index AND state = 'waiting'

-- name: retry
UPDATE outputs SET
    due_at = :due_at, attempts = 0, ended_at = NULL, state = 'waiting',
    retried_at = iif(state = 'lost', :now, retried_at)
WHERE task_id = :task_id AND "index" = :index AND state <> 'archived'

-- name: expire
DELETE FROM outputs WHERE id IN (SELECT id FROM outputs WHERE ended_at < ? ORDER BY ended_at LIMIT ?)

-- name: waiting
SELECT count(*), min(deadline) FROM outputs WHERE state = 'waiting'

-- name: any_waiting
SELECT EXISTS (SELECT 1 FROM outputs WHERE state = 'waiting')

-- name: rows
SELECT id, task_id, "index", kind, state, reason, attempts, accepted_at, deadline, due_at, ended_at, store_key, url,
       size, sha256, content_type, link
FROM outputs

-- name: find
{rows} WHERE task_id = ? AND "index" = ?

-- name: about
{rows} WHERE task_id = ? ORDER BY "index" LIMIT ?

-- name: before
{rows} WHERE id < ? ORDER BY id DESC LIMIT ?
