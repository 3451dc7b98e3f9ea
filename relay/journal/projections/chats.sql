-- The open chats: see chats.py. Lists come as one JSON array, so that each statement is one step.

-- name: create
CREATE TABLE IF NOT EXISTS open_chats (
    chat_id TEXT PRIMARY KEY,
    "offset"  INTEGER NOT NULL,                 -- of its relay.chat.started
    opened_at INTEGER NOT NULL                  -- epoch milliseconds
) STRICT, WITHOUT ROWID

-- name: open
-- [[chat_id, offset], ...]
INSERT OR IGNORE INTO open_chats (chat_id, "offset", opened_at)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), :now FROM json_each(:rows)

-- name: close
-- [chat_id, ...]
DELETE FROM open_chats WHERE chat_id IN (SELECT value FROM json_each(:ids))

-- name: all
SELECT chat_id, "offset", opened_at FROM open_chats ORDER BY "offset"

-- name: count
SELECT count(*) FROM open_chats

-- name: page
SELECT s.chat_id, s."offset", s.opened_at,
    json_extract(CAST(e.data AS TEXT), '$.model'), json_extract(CAST(e.data AS TEXT), '$.client'),
    json_extract(CAST(e.data AS TEXT), '$.api')
FROM open_chats s LEFT JOIN events e USING ("offset")
WHERE s."offset" < ? ORDER BY s."offset" DESC LIMIT ?

-- name: beginning_with
SELECT chat_id FROM open_chats WHERE chat_id >= :prefix AND chat_id < :beyond ORDER BY chat_id LIMIT :limit

-- name: chunks
-- Where the newest chunk events of open chats are.
SELECT subject, group_concat("offset") FROM (
    SELECT subject, "offset" FROM events
    WHERE "offset" > max((SELECT min("offset") FROM open_chats), (SELECT max("offset") FROM events) - :scan)
      AND topic = 'chat-chunks' AND subject IN (SELECT chat_id FROM open_chats)
    ORDER BY "offset")
GROUP BY subject

-- name: events
SELECT {names} FROM events WHERE "offset" IN (SELECT value FROM json_each(?)) ORDER BY "offset"
