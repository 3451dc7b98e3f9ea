"""What the relay made of chats, as its consumers see it, and what had to come of each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

Json = dict[str, Any]

TERMINAL = frozenset({"relay.chat.completed", "relay.chat.failed", "relay.chat.cancelled"})


@dataclass(slots=True)
class Balance:
    """Streams against their events; all empty but ``ends`` when P6 holds."""

    ends: Counter[str] = field(default_factory=Counter)
    """Terminal events by outcome and reason."""
    missing: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    unstarted: list[str] = field(default_factory=list)
    """Ended without ``relay.chat.started``."""

    @property
    def holds(self) -> bool:
        """Whether each stream has exactly the one terminal event that it had to have."""
        return not (self.missing or self.doubled or self.wrong or self.unstarted)


def balance(expected: Mapping[str, set[tuple[str, str | None]]], events: Iterable[Json]) -> Balance:
    """Compares streams that clients were given, by id, each with the ends that it may have, with all events."""
    ends: dict[str, list[tuple[str, str | None]]] = defaultdict(list)
    started = set()
    for event in events:
        if event["type"] in TERMINAL:
            ends[event["subject"]].append((event["data"]["outcome"], event["data"]["reason"]))
        elif event["type"] == "relay.chat.started":
            started.add(event["subject"])
    found = Balance()
    for chat_id in expected.keys() | ends.keys() | started:
        found.ends.update(f"{outcome}: {reason}" for outcome, reason in ends[chat_id])
        if not ends[chat_id]:
            found.missing.append(chat_id)
        if len(ends[chat_id]) > 1:
            found.doubled.append(chat_id)
        if chat_id in expected and not set(ends[chat_id]) <= expected[chat_id]:
            found.wrong.append(f"{chat_id}: {ends[chat_id]}")
        if ends[chat_id] and chat_id not in started:
            found.unstarted.append(chat_id)
    return found


async def events_of(url: str, topic: str = "chat") -> list[Json]:
    """Every event of a topic that the relay's consumer API has, as ``GET /v1/events`` pages it."""
    found: list[Json] = []
    after = 0
    async with aiohttp.ClientSession() as session:
        while True:
            query = {"topic": topic, "after": str(after), "limit": "1000"}
            async with session.get(f"{url}/v1/events", params=query) as response:
                assert response.status == 200, await response.text()
                page = await response.json()
            found += [entry["event"] for entry in page["events"]]
            if page["next"] == after:
                return found
            after = page["next"]


def resident(pid: int) -> int:
    """Bytes of memory that a process has in RAM."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid)
