-- Migrates the layout from each version to the next: see layout.py. "-- name: to_2" begins the statements that make a
-- file of version 1 one of version 2, each ended by a semicolon at the end of a line. What is released is never
-- changed.

-- name: to_1
-- From a checkout before 0.1.0.
PRAGMA application_id = 1380731441;
ALTER TABLE checkpoints ADD COLUMN catch_up_to INTEGER NOT NULL DEFAULT 0;
ALTER TABLE open_streams RENAME TO open_chats;
ALTER TABLE open_chats RENAME COLUMN stream_id TO chat_id;
