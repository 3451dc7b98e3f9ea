-- The webhook addresses of tasks: see task_addresses.py. Lists of rows come as one JSON array.

-- name: create
CREATE TABLE IF NOT EXISTS task_addresses (
    nonce   TEXT PRIMARY KEY,                   -- in hex, so that the oldest come first
    task_id TEXT NOT NULL,
    given   INTEGER NOT NULL                    -- 1: the upstream's answer to the submission named the task
) STRICT, WITHOUT ROWID

-- name: create_by_task
CREATE INDEX IF NOT EXISTS task_addresses_by_task ON task_addresses (task_id)

-- name: key
SELECT value FROM meta WHERE key = 'address_key'

-- name: put_key
INSERT OR IGNORE INTO meta VALUES ('address_key', ?)

-- name: find
SELECT task_id FROM task_addresses WHERE nonce = ?

-- name: has_given
SELECT EXISTS (SELECT 1 FROM task_addresses WHERE task_id = ? AND given)

-- name: written
-- [[nonce, task_id, given], ...]: those that are in the table as they are.
SELECT a.nonce, a.task_id, a.given FROM json_each(:rows) JOIN task_addresses a
ON a.nonce = json_extract(value, '$[0]') AND a.task_id = json_extract(value, '$[1]')
AND a.given >= json_extract(value, '$[2]')

-- name: bind
-- [[nonce, task_id, given], ...]. The first task stays, unless the upstream's answer to the submission says otherwise.
INSERT INTO task_addresses (nonce, task_id, given)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]')
FROM json_each(:rows) WHERE true
ON CONFLICT (nonce) DO UPDATE SET task_id = excluded.task_id, given = 1 WHERE excluded.given

-- name: expire
DELETE FROM task_addresses WHERE nonce IN
    (SELECT nonce FROM task_addresses WHERE nonce < ? ORDER BY nonce LIMIT ?)
