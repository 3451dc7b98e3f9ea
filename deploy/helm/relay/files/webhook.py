"""Delivers one webhook, in the upstream's test mode, to a relay and waits for its event. Arguments: the relay's URL.

The tokens' files hold one token on each line, as the relay reads them; without them it goes without a token.
"""

import json
import os
import sys
import time
import urllib.request
import uuid


def token(variable: str) -> str:
    try:
        with open(os.environ[variable], encoding="utf-8") as lines:
            return lines.readline().strip()
    except (KeyError, FileNotFoundError):
        return ""


def ask(url: str, body: bytes | None = None, bearer: str = "") -> dict:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {bearer}"} if bearer else {})}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10) as answer:
        return json.load(answer)


def main(url: str) -> None:
    task_id = f"helm-test-{uuid.uuid4()}"
    task = {"task_id": task_id, "task_type": "TXT_TO_IMG", "status": "TASK_STATUS_SUCCEED", "reason": ""}
    mode = {"test_mode": {"enabled": True, "return_task_status": "TASK_STATUS_SUCCEED"}}
    delivery = {"event_type": "ASYNC_TASK_RESULT", "payload": {"task": task, "extra": {"webhook": mode}}}
    path = "/".join(part for part in ("/webhooks/novita", token("WEBHOOK_TOKEN_FILE")) if part)
    answer = ask(url + path, json.dumps(delivery).encode())
    print("delivered:", answer)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        page = ask(f"{url}/v1/events?topic=tasks&subject={task_id}", bearer=token("API_TOKEN_FILE"))
        if page["events"]:
            print("published:", json.dumps(page["events"][0]["event"]))
            return
        time.sleep(0.5)
    sys.exit(f"no event about {task_id} within 30 s")


main(sys.argv[1])
