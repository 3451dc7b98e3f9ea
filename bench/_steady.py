"""An open-loop sender: ``python -m bench._steady URL RATE SECONDS [FILLER [STATUS]]``; SIGTERM ends it early.

Latency counts from when a request was due. ``FILLER`` bytes of a field that nobody reads make a delivery large.
``STATUS``: of the tasks, by default TASK_STATUS_SUCCEED, with an output.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
import uuid
from typing import cast
from urllib.parse import urlsplit

import uvloop

BODY = (
    '{"event_type":"ASYNC_TASK_RESULT","payload":{"task":{"eta":0,"progress_percent":0,"reason":"",'
    '"status":"TASK_STATUS_SUCCEED","task_id":"%s","task_type":"TXT_TO_IMG"},"extra":{"seed":"41"},'
    '"images":[{"image_url":"https://out.example/1.jpeg?X-Amz-Date=20231114T221324Z&X-Amz-Expires=3600",'
    '"image_url_ttl":"3600","image_type":"jpeg","nsfw_detection_result":null}],"videos":[],"audios":[]}}'
)
CONNECTIONS = 64


class Line(asyncio.Protocol):
    """One connection; free when its answer is in."""

    def __init__(self, free: list[Line], latencies: list[float]) -> None:
        self.free, self.latencies, self.due = free, latencies, 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # of uvloop, which is no subclass
        self.free.append(self)

    def data_received(self, data: bytes) -> None:
        assert data.startswith(b"HTTP/1.1 200"), data
        self.latencies.append(time.perf_counter() - self.due)
        self.free.append(self)


async def run(url: str, rate: float, seconds: float, filler: int = 0, status: str = "TASK_STATUS_SUCCEED") -> str:
    """Sends and answers the percentiles; the server has to stay up until then."""
    parts = urlsplit(url)
    free: list[Line] = []
    latencies: list[float] = []
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    for _ in range(CONNECTIONS):
        await loop.create_connection(lambda: Line(free, latencies), parts.hostname, parts.port)
    head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: %d\r\n\r\n"
    body_of = BODY.replace("TASK_STATUS_SUCCEED", status)
    template = body_of.replace('"seed"', f'"filler":"{"x" * filler}","seed"') if filler else body_of
    started, sent = time.perf_counter(), 0
    while (now := time.perf_counter()) < started + seconds and not stopped.is_set():
        while free and started + sent / rate <= now:
            line = free.pop(0)  # in turn: relay closes connections on which nothing is asked
            line.due = started + sent / rate
            body = (template % uuid.uuid4()).encode()
            line.transport.write((head % len(body)).encode() + body)
            sent += 1
        await asyncio.sleep(0.0005)
    lasted = time.perf_counter() - started
    await asyncio.sleep(1.0)
    latencies.sort()
    p50, p99 = (latencies[int(len(latencies) * share)] * 1e3 for share in (0.5, 0.99))
    return f"open loop {sent / lasted:,.0f}/s: ack p50 {p50:.1f} ms, p99 {p99:.1f} ms, {len(latencies)} of {sent} acked"


if __name__ == "__main__":
    url, rate, seconds, *more = sys.argv[1:]
    print(uvloop.run(run(url, float(rate), float(seconds), int(more[0]) if more else 0, *more[1:])))
