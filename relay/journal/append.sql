-- Statements of one group commit. {rows} is a list of row placeholders, {names} are those of the columns.

-- name: insert_events
INSERT INTO events ({names}) VALUES {rows}

-- name: save_checkpoint
INSERT INTO checkpoints (sink, "offset", published, dead, absorbed, passed, catch_up_to) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (sink) DO UPDATE SET "offset" = excluded."offset",
    published = published + excluded.published, dead = dead + excluded.dead,
    absorbed = absorbed + excluded.absorbed, passed = passed + excluded.passed,
    catch_up_to = max(catch_up_to, excluded.catch_up_to)
