"""The good sender beside every case, in a process of its own: what a case does to its own loop is not the relay's.

``python -m tests.hostile.sender PORT ADMIN_PORT PID PAUSE [CA]``. With a file of authorities deliveries go over TLS,
behind the header of a proxy. From one byte on its standard input to the next it
delivers and probes in turn, each on a connection of its own, and then prints what it saw: one ``Seen`` as JSON.
"""

from __future__ import annotations

import json
import os
import re
import select
import socket
import ssl
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

from relay.edge.http.proxy_protocol import OWN_NAME
from tests.services.raw_http import get, post
from tests.services.relay import TOKEN

WEBHOOK: Final = f"/webhooks/novita/{TOKEN}"
TIMEOUT: Final = 5.0
"""Seconds in which a good delivery must be acknowledged beside every case, on however busy a machine."""

_STDIN: Final = 0  # read without a buffer, which would hide from select what is in it


@dataclass
class Seen:
    """``acknowledged``: seconds that each delivery took; ``probed``: each probe, which needs no disk.

    ``standstill``: seconds of processor that the relay spent while one probe waited, at most: so long nobody else was
    served, and a busy machine does not change it. ``failed``: what went wrong, if anything did.
    """

    acknowledged: list[float] = field(default_factory=list)
    probed: list[float] = field(default_factory=list)
    standstill: float = 0.0
    failed: str = ""


class Sender:
    """Talks to one relay. ``pause``: seconds between a probe and the next delivery."""

    def __init__(self, port: int, admin_port: int, pid: int, pause: float, tls: ssl.SSLContext | None) -> None:
        self._port, self._admin_port, self._tls = port, admin_port, tls
        self._threads = Path(f"/proc/{pid}/task")
        self._pause = pause
        self._turns = count()

    def until_ended(self) -> Seen:
        """Delivers and probes until a byte is there to read, once at least."""
        seen = Seen()
        try:
            self._turn(seen)
            while not select.select([_STDIN], [], [], self._pause)[0]:
                self._turn(seen)
        except (OSError, AssertionError) as error:
            seen.failed = repr(error)
        return seen

    def _turn(self, seen: Seen) -> None:
        task = f'{{"task":{{"task_id":"good-{next(self._turns)}","status":"TASK_STATUS_SUCCEED"}}}}'
        started = time.perf_counter()
        reply = _ask(self._port, post(WEBHOOK, task.encode()), self._tls)
        seen.acknowledged.append(time.perf_counter() - started)
        assert b'"accepted"' in reply, reply
        spent, started = self._processor(), time.perf_counter()
        reply = _ask(self._admin_port, get("/livez"))
        seen.probed.append(time.perf_counter() - started)
        seen.standstill = max(seen.standstill, self._processor() - spent)
        assert b" 200 " in reply, reply

    def _processor(self) -> float:
        """Seconds that the relay's threads have run so far: https://docs.kernel.org/scheduler/sched-stats.html"""
        spent = 0
        for thread in self._threads.iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):
                spent += int((thread / "schedstat").read_text().split()[0])
        return spent / 1e9


def _ask(port: int, request: bytes, tls: ssl.SSLContext | None = None) -> bytes:
    """One request, sent in one piece as senders do, and its answer."""
    with ExitStack() as stack:
        connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), TIMEOUT))
        if tls is not None:
            connection.sendall(OWN_NAME)
            connection = stack.enter_context(tls.wrap_socket(connection, server_hostname="localhost"))
        connection.sendall(request)
        received = b""
        while not _is_whole(received):
            piece = connection.recv(65_536)
            assert piece, received
            received += piece
        return received


def _is_whole(received: bytes) -> bool:
    head, _, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    return length is not None and len(body) == int(length[1])


def main() -> None:
    port, admin_port, pid, pause, *authorities = sys.argv[1:]
    tls = ssl.create_default_context(cafile=authorities[0]) if authorities else None
    sender = Sender(int(port), int(admin_port), int(pid), float(pause), tls)
    while os.read(_STDIN, 1):
        seen = sender.until_ended()
        os.read(_STDIN, 1)
        print(json.dumps(asdict(seen)), flush=True)


if __name__ == "__main__":
    main()
