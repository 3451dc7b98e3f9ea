"""Reads all events from the relay itself, over HTTP, into the ledger: no broker needed."""

import json
import os
import time
from urllib.request import Request, urlopen

from ledger import db, record

URL = os.environ.get("RELAY_URL", "http://localhost:8080") + "/v1/events"
db.execute("CREATE TABLE IF NOT EXISTS position (id INTEGER PRIMARY KEY CHECK (id = 1), last_event_id TEXT)")


def follow() -> None:
    resume = db.execute("SELECT last_event_id FROM position").fetchone()
    headers = {"Accept": "text/event-stream", "Last-Event-ID": resume[0] if resume else "0"}
    if token := os.environ.get("RELAY_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    fields: dict[str, str] = {}
    with urlopen(Request(URL, headers=headers), timeout=60) as stream:  # a comment comes every 15 s
        for line in stream:
            name, _, fields[name] = line.decode().rstrip("\n").partition(": ")
            if line == b"\n" and "data" in fields:
                event = json.loads(fields["data"])
                record(event, json.dumps(event["data"]))
                with db:  # after the effect: a crash before this line repeats the event
                    db.execute("INSERT OR REPLACE INTO position VALUES (1, ?)", (fields["id"],))
                fields.clear()


while True:
    try:
        follow()
    except OSError as error:  # the relay is away or restarts
        print(error, flush=True)
    time.sleep(1)
