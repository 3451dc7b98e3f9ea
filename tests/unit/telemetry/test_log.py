from __future__ import annotations

import logging
from typing import Any

import pytest

from relay import __version__
from relay.telemetry.log import LogRateLimiter, configure_logging
from relay.telemetry.signals.http import HttpSignals
from relay.telemetry.signals.journal import JournalSignals
from relay.telemetry.signals.process import ProcessSignals
from relay.telemetry.telemetry import Telemetry
from tests.unit.telemetry.log_reader import Log

SECRET = "t0k3n-0123456789"


def test_each_line_is_one_json_object(log: Log) -> None:
    """A collector of logs would not understand it."""
    configure_logging("info", "auto")
    telemetry = Telemetry()
    ProcessSignals(telemetry).started(url="http://127.0.0.1:1", sinks=["kafka"])
    JournalSignals(telemetry).journal_pruned(5)
    [line] = log.lines
    assert (line["event"], line["level"], line["version"]) == ("relay started", "info", __version__)
    assert line["timestamp"].endswith("Z")


def test_the_level_decides_what_is_written(log: Log) -> None:
    """Debug lines would fill the disk, or warnings stay unseen."""
    configure_logging("warning", "json")
    signals = ProcessSignals(Telemetry())
    signals.draining("signal")
    signals.warned("look here")
    assert [line["event"] for line in log.lines] == ["look here"]


@pytest.mark.parametrize("format", ["json", "console"])
def test_a_traceback_holds_no_secret(log: Log, format: Any) -> None:
    """Local variables and the messages of exceptions hold bodies, tokens and presigned addresses (P8)."""
    configure_logging("info", format)

    def fails(token: str) -> None:
        raise ValueError(f"at https://x.example/file.png?X-Amz-Signature={token} and /webhooks/novita/{token}")

    try:
        fails(SECRET)
    except ValueError as error:
        HttpSignals(Telemetry()).request_failed("POST", error)
    text = log.text
    assert "ValueError" in text
    assert "in fails" in text, "where it happened"
    assert SECRET not in text
    assert text.count("\n") == 1 or format == "console"


def test_suppressed_lines_are_counted_in_the_next_one() -> None:
    """The log would make a flood look like a trickle."""
    now = 100.0
    limiter = LogRateLimiter(lines=2, clock=lambda: now)
    assert [limiter.allow() for _ in range(5)] == [{}, {}, None, None, None]
    now = 101.5
    assert [limiter.allow() for _ in range(3)] == [{"similar_suppressed": 3}, {}, None]


def test_vendors_do_not_write_into_the_log(log: Log) -> None:
    """aiohttp logs request lines, and with them tokens."""
    configure_logging("debug", "json")
    for name in ("aiohttp.server", "aiohttp.access", "asyncio", "aiokafka.producer", "redis"):
        assert not logging.getLogger(name).isEnabledFor(logging.CRITICAL)
