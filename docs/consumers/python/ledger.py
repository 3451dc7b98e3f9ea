"""The effect of an event, once: finished outputs and used tokens, in a ledger."""

import json
import sqlite3
from collections.abc import Mapping

from events.chat import ChatData
from events.task import TaskData

db = sqlite3.connect("ledger.db", check_same_thread=False)  # one thread at a time uses it
db.executescript("""
    CREATE TABLE IF NOT EXISTS seen (source TEXT, id TEXT, PRIMARY KEY (source, id));
    CREATE TABLE IF NOT EXISTS outputs (task_id TEXT, kind TEXT, url TEXT);
    CREATE TABLE IF NOT EXISTS usage (chat_id TEXT, model TEXT, tokens INTEGER);
""")


def record(event: Mapping[str, str], data: str) -> None:
    with db:  # one transaction: the note that the event was seen, and its effect
        new = db.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (event["source"], event["id"])).rowcount
        if new:
            apply(event, data)
    print("new" if new else "repeated", event["type"], event["subject"], flush=True)


def apply(event: Mapping[str, str], data: str) -> None:
    match event["type"], event["dataschema"]:
        case "relay.task.succeeded", "urn:relay:schema:task:1":
            task: TaskData = json.loads(data)
            rows = [(task["task_id"], output["kind"], output["url"]) for output in task["outputs"]]
            db.executemany("INSERT INTO outputs VALUES (?, ?, ?)", rows)
        case "relay.chat.completed", "urn:relay:schema:chat:1":
            chat: ChatData = json.loads(data)
            tokens = (chat["usage"] or {}).get("total_tokens")
            db.execute("INSERT INTO usage VALUES (?, ?, ?)", (chat["chat_id"], chat["model"], tokens))
        case "relay.task.succeeded" | "relay.chat.completed", schema:
            raise SystemExit(f"{event['id']} follows {schema}, which is newer than this program: nothing was done")
