-- The registry of tasks: see tasks.py. Lists of rows come as one JSON array, so that each statement is one step and
-- the same for every number of rows.

-- name: create_tasks
CREATE TABLE IF NOT EXISTS tasks (
    id            INTEGER PRIMARY KEY,          -- in the order of registration
    task_id       TEXT NOT NULL UNIQUE,
    task_type     TEXT,                         -- the endpoint's name, then the upstream's
    state         TEXT NOT NULL,                -- submitted, running; succeeded, failed, abandoned
    reason        TEXT,                         -- of failed and abandoned
    submitted_at  INTEGER NOT NULL,             -- epoch milliseconds; of a task submitted elsewhere: registered
    due_at        INTEGER,                      -- when it is polled next; NULL: it has ended
    polls         INTEGER NOT NULL DEFAULT 0,   -- that were answered
    trouble       TEXT,                         -- what the last poll met instead of the task
    trouble_since INTEGER,
    ended_at      INTEGER,
    offsets       TEXT NOT NULL                 -- of its events, each with a space before it
) STRICT

-- name: create_due
CREATE INDEX IF NOT EXISTS tasks_due ON tasks (due_at) WHERE due_at IS NOT NULL

-- name: create_ended
CREATE INDEX IF NOT EXISTS tasks_ended ON tasks (ended_at) WHERE ended_at IS NOT NULL

-- name: create_states
-- How many there are in each state: counting a million rows for each scrape would hold up the commits.
CREATE TABLE IF NOT EXISTS task_states (
    state TEXT PRIMARY KEY,
    tasks INTEGER NOT NULL
) STRICT, WITHOUT ROWID

-- name: create_entered
CREATE TRIGGER IF NOT EXISTS task_entered AFTER INSERT ON tasks BEGIN
    INSERT INTO task_states VALUES (new.state, 1) ON CONFLICT (state) DO UPDATE SET tasks = tasks + 1;
END

-- name: create_moved
CREATE TRIGGER IF NOT EXISTS task_moved AFTER UPDATE OF state ON tasks WHEN old.state <> new.state BEGIN
    UPDATE task_states SET tasks = tasks - 1 WHERE state = old.state;
    INSERT INTO task_states VALUES (new.state, 1) ON CONFLICT (state) DO UPDATE SET tasks = tasks + 1;
END

-- name: create_left
CREATE TRIGGER IF NOT EXISTS task_left AFTER DELETE ON tasks BEGIN
    UPDATE task_states SET tasks = tasks - 1 WHERE state = old.state;
END

-- name: any_pending
SELECT EXISTS (SELECT 1 FROM tasks WHERE due_at IS NOT NULL)

-- name: enter
-- [[task_id, task_type, due_at, offset], ...]. One that is watched already keeps its row.
INSERT INTO tasks (task_id, task_type, state, submitted_at, due_at, offsets)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), 'submitted', :now, json_extract(value, '$[2]'),
       json_extract(value, '$[3]')
FROM json_each(:rows) WHERE true
ON CONFLICT (task_id) DO UPDATE SET offsets = tasks.offsets || excluded.offsets

-- name: follow
-- [[task_id, state or null, task_type or null, reason or null, offsets], ...]
UPDATE tasks SET
    state = coalesce(news.state, tasks.state),
    task_type = coalesce(news.task_type, tasks.task_type),
    reason = coalesce(tasks.reason, news.reason),
    due_at = iif(news.state IS NULL, tasks.due_at, NULL),
    ended_at = iif(news.state IS NULL, tasks.ended_at, :now),
    offsets = tasks.offsets || news.offsets
FROM (SELECT json_extract(value, '$[0]') AS task_id, json_extract(value, '$[1]') AS state,
             json_extract(value, '$[2]') AS task_type, json_extract(value, '$[3]') AS reason,
             json_extract(value, '$[4]') AS offsets FROM json_each(:rows)) AS news
WHERE tasks.task_id = news.task_id

-- name: due
-- Two looks into the index: with OR it would sort all that is due.
SELECT * FROM (SELECT task_id, task_type, submitted_at, polls, trouble, trouble_since FROM tasks
               WHERE due_at <= :now ORDER BY due_at LIMIT :limit)
UNION ALL
SELECT * FROM (SELECT task_id, task_type, submitted_at, polls, trouble, trouble_since FROM tasks
               WHERE due_at > :far ORDER BY due_at DESC LIMIT :limit)
LIMIT :limit

-- name: next_due
SELECT min(due_at) FROM tasks WHERE due_at IS NOT NULL

-- name: polled
-- [[task_id, due_at, state or null, task_type or null, polls to add, trouble, trouble_since], ...]
UPDATE tasks SET
    due_at = seen.due_at,
    state = coalesce(seen.state, tasks.state),
    task_type = coalesce(seen.task_type, tasks.task_type),
    polls = tasks.polls + seen.polls,
    trouble = seen.trouble,
    trouble_since = seen.trouble_since
FROM (SELECT json_extract(value, '$[0]') AS task_id, json_extract(value, '$[1]') AS due_at,
             json_extract(value, '$[2]') AS state, json_extract(value, '$[3]') AS task_type,
             json_extract(value, '$[4]') AS polls, json_extract(value, '$[5]') AS trouble,
             json_extract(value, '$[6]') AS trouble_since FROM json_each(:rows)) AS seen
WHERE tasks.task_id = seen.task_id AND tasks.due_at IS NOT NULL

-- name: watch
INSERT INTO tasks (task_id, state, submitted_at, due_at, offsets) VALUES (?, 'submitted', ?, ?, '')
ON CONFLICT (task_id) DO NOTHING

-- name: end
UPDATE tasks SET state = ?, due_at = NULL, ended_at = ?, offsets = offsets || ?
WHERE task_id = ? AND due_at IS NOT NULL

-- name: forget
DELETE FROM tasks WHERE task_id = ? AND due_at IS NOT NULL

-- name: expire
DELETE FROM tasks WHERE id IN (SELECT id FROM tasks WHERE ended_at < ? ORDER BY ended_at LIMIT ?)

-- name: rows
-- Known by a submission through relay or asked to be watched: the first event of it says so, as long as it is held.
SELECT id, task_id, task_type, state, reason, submitted_at, due_at, polls, trouble, trouble_since, ended_at,
    iif(offsets = '' OR (SELECT type FROM events WHERE "offset" = CAST(trim(offsets) AS INTEGER))
        <> 'relay.task.submitted', 'watch', 'submit'), offsets
FROM tasks

-- name: find
{rows} WHERE task_id = ?

-- name: before
{rows} WHERE id < ? ORDER BY id DESC LIMIT ?

-- name: overdue_before
-- Among so many that have been due for longest: sorting a million would hold up the commits.
{rows}
WHERE id IN (SELECT id FROM tasks WHERE due_at <= :now ORDER BY due_at LIMIT :most) AND id < :before
ORDER BY id DESC LIMIT :limit

-- name: longest
-- By how long they lasted, those that have not ended until now.
{rows}
WHERE id IN (
    SELECT id FROM (
        SELECT id, max(0, coalesce(ended_at, :now) - submitted_at) AS lasted
        FROM (SELECT id, state, task_type, submitted_at, due_at, ended_at FROM tasks ORDER BY id DESC LIMIT :scan)
        WHERE (:states IS NULL OR state IN (SELECT value FROM json_each(:states)))
            AND (:type IS NULL OR task_type = :type) AND (:overdue_at IS NULL OR due_at <= :overdue_at)
            AND (:since IS NULL OR submitted_at >= :since) AND (:until IS NULL OR submitted_at <= :until))
    WHERE (lasted, id) < (:lasted, :row) ORDER BY lasted DESC, id DESC LIMIT :limit)
ORDER BY max(0, coalesce(ended_at, :now) - submitted_at) DESC, id DESC

-- name: edge
-- The oldest of so many newest, and the one before it.
SELECT submitted_at FROM tasks ORDER BY id DESC LIMIT 2 OFFSET :scan - 1

-- name: registered
SELECT task_id FROM tasks WHERE task_id IN (SELECT value FROM json_each(?))

-- name: beginning_with
SELECT task_id FROM tasks WHERE task_id >= :prefix AND task_id < :beyond ORDER BY task_id LIMIT :limit

-- name: counts
SELECT state, tasks FROM task_states WHERE tasks > 0

-- name: overdue
SELECT count(*) FROM tasks WHERE due_at <= ?
