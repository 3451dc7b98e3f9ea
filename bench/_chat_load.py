"""The paced part of ``bench/chat.py``: many streams at once, and how late each of their frames arrives.

``python -m bench._chat_load PORT PATH STREAMS FRAMES PACE_MS CORE`` prints one JSON object. A frame's delay is from the
reading of the clock in its text to the read that brought it; the first one's runs from the request.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time

_MARK = re.compile(rb'"(?:content|text|delta)":"(\d{16})"')
BODY = json.dumps(
    {"model": "deepseek/deepseek-v3", "stream": True, "messages": [{"role": "user", "content": "What? " * 100}]}
).encode()


class Stream(asyncio.Protocol):
    """One stream: its request, its frames, its end."""

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.first = 0
        self.delays: list[int] = []
        self.whole = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def start(self) -> None:
        self._sent = time.monotonic_ns()
        self._transport.write(self.request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        for mark in _MARK.finditer(data):
            if not self.first:
                self.first = now - self._sent
            self.delays.append(now - int(mark[1]))
        if data.endswith(b"0\r\n\r\n"):
            self.whole = True
            self._finish()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._finish()

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def run(port: int, route: str, streams: int, frames: int, pace: int) -> dict[str, float]:
    """Opens all connections, starts the streams one after the other over one pace, and waits for all of them."""
    path = f"{route}?frames={frames}&pace={pace}"
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
    )
    loop = asyncio.get_running_loop()
    opened = []
    for _ in range(streams):
        _, stream = await loop.create_connection(lambda: Stream(head.encode() + BODY), "127.0.0.1", port)
        opened.append(stream)
    print("OPEN", flush=True)
    for stream in opened:
        stream.start()
        await asyncio.sleep(max(pace / 1000 / streams, 0.001))
    print("STARTED", flush=True)
    await asyncio.gather(*(stream.done for stream in opened))
    delays = sorted(delay for stream in opened for delay in stream.delays)
    firsts = sorted(stream.first for stream in opened)
    return {
        "whole": sum(stream.whole for stream in opened),
        "frames": len(delays),
        "p50": _quantile(delays, 0.5),
        "p99": _quantile(delays, 0.99),
        "first_p50": _quantile(firsts, 0.5),
        "first_p99": _quantile(firsts, 0.99),
    }


def _quantile(values: list[int], q: float) -> float:
    return values[min(len(values) - 1, int(len(values) * q))] / 1e6 if values else 0.0


if __name__ == "__main__":
    import uvloop

    port, streams, frames, pace, core = map(int, (sys.argv[1], *sys.argv[3:7]))
    os.sched_setaffinity(0, {core})
    print("RESULT", json.dumps(uvloop.run(run(port, sys.argv[2], streams, frames, pace))))
