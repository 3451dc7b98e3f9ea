"""Delivers one webhook, in the upstream's test mode, to each replica and waits until its event is on every sink.

Argument: the URL of the headless Service; its name has the address of each replica. The tokens' files hold one token on
each line, as relay reads them; without them it goes without a token. ``TIMEOUT_SECONDS`` is for all replicas together.
``TLS_CERT_FILE``: the only certificate that it trusts, by whatever name. ``PROXY_PROTOCOL``: it connects as proxies do.
"""

import http.client
import json
import os
import socket
import ssl
import sys
import time
import urllib.error
import urllib.request
import uuid
from urllib.parse import urlsplit

SETTLED = {"published", "absorbed"}
OWN_NAME = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"
"""The header of a proxy that asks in its own name (PROXY protocol, version 2)."""


class Failed(Exception):
    """What is wrong, and where to look."""


class Connection(http.client.HTTPConnection):
    def connect(self) -> None:
        super().connect()
        if os.environ.get("PROXY_PROTOCOL"):
            self.sock.sendall(OWN_NAME)
        if "TLS_CERT_FILE" in os.environ:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False  # replicas are asked by address
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            context.load_verify_locations(os.environ["TLS_CERT_FILE"])
            self.sock = context.wrap_socket(self.sock)


class Way(urllib.request.HTTPHandler):
    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(Connection, request)


opener = urllib.request.build_opener(Way, urllib.request.ProxyHandler({}))


def token(variable: str) -> str:
    try:
        with open(os.environ[variable], encoding="utf-8") as lines:
            return lines.readline().strip()
    except (KeyError, FileNotFoundError):
        return ""


def replicas(url: str) -> list[str]:
    """The URL of each replica."""
    parts = urlsplit(url)
    found = {info[4][0] for info in socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)}
    return [f"{parts.scheme}://{f'[{ip}]' if ':' in ip else ip}:{parts.port}" for ip in sorted(map(str, found))]


def ask(url: str, body: bytes | None = None, bearer: str = "") -> dict:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {bearer}"} if bearer else {})}
    with opener.open(urllib.request.Request(url, body, headers), timeout=10) as answer:
        return json.load(answer)


def read(url: str, path: str) -> dict:
    try:
        return ask(url + path, bearer=token("API_TOKEN_FILE"))
    except urllib.error.HTTPError as refused:
        if refused.code in (401, 403):
            raise Failed(f"{path} answers {refused.code}: is test.apiTokenKey a token of server.api_tokens?") from None
        raise


def deliver(url: str, task_id: str, deadline: float) -> None:
    """Until it is accepted: a replica that still starts refuses connections, one that cannot accept answers 503."""
    task = {"task_id": task_id, "task_type": "TXT_TO_IMG", "status": "TASK_STATUS_SUCCEED", "reason": ""}
    mode = {"test_mode": {"enabled": True, "return_task_status": "TASK_STATUS_SUCCEED"}}
    delivery = {"event_type": "ASYNC_TASK_RESULT", "payload": {"task": task, "extra": {"webhook": mode}}}
    path = "/".join(part for part in ("/webhooks/novita", token("WEBHOOK_TOKEN_FILE")) if part)
    while True:
        try:
            answer = ask(url + path, json.dumps(delivery).encode())
            print(f"{url}: delivered:", answer, flush=True)
            if answer["status"] == "dead":
                raise Failed("the webhook is a dead letter")
            return
        except (OSError, TimeoutError) as error:
            code = error.code if isinstance(error, urllib.error.HTTPError) else None
            if code in (401, 403):
                hint = (
                    "is test.webhookTokenKey a webhook token, and may this pod deliver (allow_from, signing_secrets)?"
                )
                raise Failed(f"the webhook is refused with {code}: {hint}") from None
            if time.monotonic() > deadline:
                raise Failed(f"the webhook is not accepted: {error}") from None
        time.sleep(0.5)


def await_sinks(url: str, task_id: str, deadline: float) -> None:
    """Until the event is on each sink; at once an error where a sink refuses it for good."""
    while True:
        subject = read(url, f"/v1/subjects/{task_id}")
        states = {each["sink"]: each["state"] for each in subject["publications"]}
        if "dead" in states.values():
            raise Failed(f"a sink refuses the event for good: {states}")
        if set(states.values()) <= SETTLED:
            print(f"{url}: published:", states or "there is no sink, the journal has it", flush=True)
            print(json.dumps(subject["events"][0]["event"]), flush=True)
            return
        if time.monotonic() > deadline:
            sinks = {each["label"]: each["trouble"] for each in read(url, "/v1/status")["sinks"]}
            raise Failed(f"the event is not on every sink: {states}, trouble: {json.dumps(sinks)}")
        time.sleep(0.5)


def main(url: str) -> None:
    deadline = time.monotonic() + float(os.environ.get("TIMEOUT_SECONDS", "90"))
    for replica in replicas(url):
        try:
            task_id = f"helm-test-{uuid.uuid4()}"
            deliver(replica, task_id, deadline)
            await_sinks(replica, task_id, deadline)
        except (Failed, OSError) as failure:
            sys.exit(f"{replica}: {failure}")


main(sys.argv[1])
