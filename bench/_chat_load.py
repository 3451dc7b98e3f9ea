"""The load of ``bench/chat.py`` that wrk cannot make. Each prints one JSON object after ``RESULT``.

``python -m bench._chat_load streams PORT API CORE STREAMS FRAMES PACE_MS``: many paced streams at once, and how late
each of their frames arrives. A frame's delay is from the reading of the clock in its text to the read that brought it;
the first one's runs from the request.

``python -m bench._chat_load calls PORT API CORE RATE SECONDS``: so many calls a second without a stream, whether or not
earlier ones are answered. A call runs from when it was due to the last byte of its answer.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from collections import deque

from bench._chat_requests import PATHS, body

_MARK = re.compile(rb'"(?:content|text|delta)":"(\d{16})"')
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
WARM_UP = 1.0
"""Seconds at the beginning whose calls do not count."""


def request(api: str, query: str, *, stream: bool) -> bytes:
    """One request of an API, as it is sent."""
    content = body(api, stream=stream).encode()
    head = (
        f"POST {PATHS[api]}?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer bench\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


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


async def streams(port: int, api: str, number: int, frames: int, pace: int) -> dict[str, float]:
    """Opens all connections, starts the streams one after the other over one pace, and waits for all of them."""
    sent = request(api, f"frames={frames}&pace={pace}", stream=True)
    loop = asyncio.get_running_loop()
    opened = []
    for _ in range(number):
        _, stream = await loop.create_connection(lambda: Stream(sent), "127.0.0.1", port)
        opened.append(stream)
    print("OPEN", flush=True)
    for stream in opened:
        stream.start()
        await asyncio.sleep(max(pace / 1000 / number, 0.001))
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


class Caller(asyncio.Protocol):
    """One connection: a call, its answer, and then the next one that is due."""

    def __init__(self, load: Calls) -> None:
        self._load = load
        self._due = 0
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def call(self, due: int) -> None:
        self._due = due
        self._transport.write(self._load.request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._held += data
        end = self._held.find(b"\r\n\r\n") + 4
        if end == 3:
            return
        length = _LENGTH.search(self._held, 0, end)
        whole = len(self._held) >= end + int(length[1]) if length else self._held.endswith(b"0\r\n\r\n")
        if whole:
            good = self._held.startswith(b"HTTP/1.1 200")
            self._held = b""
            self._load.answered(self, time.monotonic_ns() - self._due, good)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self in self._load.idle:  # a server may close those that it has not heard of for a while
            self._load.idle.remove(self)
        else:
            self._load.failed += 1


class Calls:
    """An open loop over as many connections as it takes."""

    def __init__(self, sent: bytes) -> None:
        self.request = sent
        self.took: list[int] = []
        self.failed = self.asked = 0
        self.idle: list[Caller] = []
        self._late: deque[int] = deque()

    def due(self) -> None:
        """A call is due now."""
        now = time.monotonic_ns()
        self.asked += 1
        if self.idle:
            self.idle.pop().call(now)
        else:
            self._late.append(now)

    def answered(self, caller: Caller, took: int, good: bool) -> None:
        """A call has its answer."""
        self.took.append(took)
        self.failed += not good
        if self._late:
            caller.call(self._late.popleft())
        else:
            self.idle.append(caller)


async def calls(port: int, api: str, rate: int, seconds: int) -> dict[str, float]:
    """The calls of some seconds, after a warm-up."""
    load = Calls(request(api, "frames=0", stream=False))
    loop = asyncio.get_running_loop()
    for _ in range(100):
        _, caller = await loop.create_connection(lambda: Caller(load), "127.0.0.1", port)
        load.idle.append(caller)
    await _call_for(load, rate, WARM_UP)
    await asyncio.sleep(0.2)  # what was asked until now is answered
    load.took.clear()
    load.asked = 0
    print("STARTED", flush=True)
    await _call_for(load, rate, seconds)
    await asyncio.sleep(1)
    took, errors = sorted(load.took), load.failed + load.asked - len(load.took)
    return {"calls": len(took), "errors": errors, "p50": _quantile(took, 0.5), "p99": _quantile(took, 0.99)}


async def _call_for(load: Calls, rate: int, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    for number in range(int(rate * seconds)):
        await asyncio.sleep(started + number / rate - loop.time())
        load.due()


def _quantile(values: list[int], q: float) -> float:
    return values[min(len(values) - 1, int(len(values) * q))] / 1e6 if values else 0.0


if __name__ == "__main__":
    import uvloop

    port, api, numbers = int(sys.argv[2]), sys.argv[3], list(map(int, sys.argv[5:]))
    os.sched_setaffinity(0, {int(sys.argv[4])})
    load = streams(port, api, *numbers) if sys.argv[1] == "streams" else calls(port, api, *numbers)
    print("RESULT", json.dumps(uvloop.run(load)))
