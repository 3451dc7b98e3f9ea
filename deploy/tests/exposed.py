"""Which metrics a relay exposes."""

from __future__ import annotations

import re
from pathlib import Path

import aiohttp

from tests.services.relay import RelayProcess


async def of_a_fresh_relay(directory: Path) -> frozenset[str]:
    """The names of all metrics as a query says them: histograms with ``_bucket``, ``_sum`` and ``_count``.

    The relay has a sink and a shared index, which are away, and an archive: each part declares its metrics when it is
    built.
    """
    relay = RelayProcess(
        directory / "relay",
        sinks=[{"type": "kafka", "bootstrap_servers": "127.0.0.1:1"}],
        dedup={"shared_index": "redis://127.0.0.1:1/0"},
        archive={"url": (directory / "outputs").as_uri()},
    )
    await relay.start()
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{relay.admin_url}/metrics") as response:
            text = await response.text()
    finally:
        await relay.stop()
    names = set()
    for name, kind in re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE):
        names |= {f"{name}{end}" for end in ("_bucket", "_sum", "_count")} if kind == "histogram" else {name}
    return frozenset(names)


def names_in(text: str) -> set[str]:
    """The relay's metrics that a text or a query mentions."""
    return set(re.findall(r"\brelay_[a-z_]+\b", text))
