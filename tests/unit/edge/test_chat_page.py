"""``docs/chat.md`` says what the chat proxy does."""

from __future__ import annotations

import re
from pathlib import Path

from relay.core.units import parse_duration, parse_size
from relay.edge import recorder
from relay.edge.problems import KINDS
from relay.settings import Settings
from relay.telemetry import ChatSignals, Telemetry
from relay.telemetry.chat import MAX_MODELS

TEXT = (Path(__file__).parents[3] / "docs" / "chat.md").read_text(encoding="utf-8")
ERRORS = {
    "unauthorized",
    "model_not_allowed",
    "payload_too_large",
    "body_timeout",
    "bad_request",
    "too_many_streams",
    "overloaded",
    "draining",
    "upstream_unreachable",
    "upstream_reset",
    "upstream_timeout",
}
"""What ``tests/unit/edge/test_chat*.py`` and ``test_bodies.py`` see refused."""


def test_the_page_names_each_refusal_with_its_status() -> None:
    """A client would meet an answer that is documented nowhere, or under another status."""
    rows = re.findall(r"^\| `([a-z_]+)` \| (\d{3}) \|", TEXT, re.MULTILINE)
    assert {code: int(status) for code, status in rows} == {code: KINDS[code].status for code in ERRORS}


def test_the_page_gives_each_limit_with_its_default() -> None:
    """Somebody would rely on a limit that is another one."""
    rows = re.findall(r"^\| `(upstream|proxy)\.([a-z_]+)` \| (\S+) \|", TEXT, re.MULTILINE)
    assert len(rows) == 12
    settings = Settings()
    for section, key, default in rows:
        value = getattr(getattr(settings, section), key)
        assert value == _value(default), f"{section}.{key}"


def _value(text: str) -> float:
    if text.isdigit():
        return int(text)
    return parse_size(text) if text.endswith("iB") else parse_duration(text)


def test_the_page_names_each_figure_of_a_chat() -> None:
    """An operator would see a figure that is explained nowhere, or look for one that is not there."""
    named = set(re.findall(r"^\| `(relay_[a-z_]+)", TEXT, re.MULTILINE))
    telemetry = Telemetry()
    ChatSignals(telemetry)
    there = {family.name for family in telemetry.registry.collect()}
    assert {name.removesuffix("_total") for name in named} == {
        name for name in there if name.startswith("relay_stream")
    } | {"relay_upstream_up"}
    assert f"the first {MAX_MODELS} models" in TEXT


def test_the_page_tells_when_events_are_left_out() -> None:
    """An operator would not know what a full disk costs."""
    assert f"from {recorder.PRESSED >> 20} MiB on chunk events" in TEXT
    assert f"{recorder.FULL >> 20} MiB on new chats" in re.sub(r"\s+", " ", TEXT)
