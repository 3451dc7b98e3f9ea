"""What the simulator saw of its clients on the routes of conversations: the reference for checking a proxy."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

CLIENT_GONE = "client_gone"
STOPPED = "stopped"
KEYS = ("authorization", "x-api-key")
"""The headers that carry one."""


@dataclass(slots=True)
class Exchange:
    """One request and what became of it. Times in epoch milliseconds.

    ``number`` counts requests from 1. ``target`` is path and query as they came. ``status`` is ``None`` until the
    answer has begun. ``pieces`` and ``sent`` (bytes) count what was written to the connection. ``outcome`` is ``None``
    while the exchange goes on; then ``complete``, ``cut``, ``reset`` or ``hang`` as the answer was to end, or
    ``client_gone`` when the client closed the connection before that, or ``stopped`` with the simulator.
    """

    number: int
    method: str
    target: str
    headers: Mapping[str, str]
    body_bytes: int = 0
    body_sha256: str = ""
    status: int | None = None
    pieces: int = 0
    sent: int = 0
    outcome: str | None = None
    started_at: int = 0
    ended_at: int | None = None

    def end(self, outcome: str, now: int) -> None:
        """The first word about the end holds."""
        if self.outcome is None:
            self.outcome, self.ended_at = outcome, now


class Exchanges:
    """The newest ``retained`` requests, in the order of their arrival."""

    def __init__(self, retained: int) -> None:
        self._retained = retained
        self._seen: OrderedDict[int, Exchange] = OrderedDict()
        self._count = 0

    def __iter__(self) -> Iterator[Exchange]:
        return iter(tuple(self._seen.values()))

    def __len__(self) -> int:
        return len(self._seen)

    def enter(self, method: str, target: str, headers: Mapping[str, str], now: int) -> Exchange:
        """A request that has arrived, at ``now``."""
        self._count += 1
        exchange = self._seen[self._count] = Exchange(self._count, method, target, headers, started_at=now)
        if len(self._seen) > self._retained:
            self._seen.popitem(last=False)
        return exchange

    def open(self) -> list[Exchange]:
        """Those that go on."""
        return [exchange for exchange in self if exchange.outcome is None]

    def as_json(self, after: int = 0) -> dict[str, Any]:
        """For scripts: those numbered above ``after``. Credentials are left out."""
        return {"exchanges": [_as_json(exchange) for exchange in self if exchange.number > after]}


def _as_json(exchange: Exchange) -> dict[str, Any]:
    shown = {name: value for name, value in exchange.headers.items() if name.lower() not in KEYS}
    return {field.name: getattr(exchange, field.name) for field in fields(exchange)} | {"headers": shown}
