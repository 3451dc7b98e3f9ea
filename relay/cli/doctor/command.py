"""Runs every check of ``relay doctor``, each with a time limit, and shows each result at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import typer

from relay.cli import configured, options
from relay.cli.doctor import local, network
from relay.cli.doctor.findings import Finding, judge_clock, judge_steadiness
from relay.cli.outcome import BAD_CONFIGURATION, FAILED
from relay.cli.output import STYLES, write_finding, write_json, write_line
from relay.cli.serve import run_loop

if TYPE_CHECKING:
    from pathlib import Path

    from relay.settings import ConfigError, Settings

WITHIN: Final = 75.0
"""Seconds for one check; a sink has a minute of its own."""

Found = Sequence[Finding]


def doctor(config: options.Config = None, json: options.Json = False) -> None:
    """Check all that relay needs, and say what to fix.

    It checks the configuration, the running relay, the journal and its disk, the clock, the sinks, the archive, the
    upstream and its key, and whether webhooks reach relay. It costs nothing and delivers nothing. It opens sinks as
    IDENTITY-check, as `relay check` does. Exit codes: 78 bad configuration, 1 something must be fixed, 0 otherwise.
    """
    from relay.settings import ConfigError

    try:
        settings = configured.load(config)
    except ConfigError as error:
        _end(_of_configuration(error), json, BAD_CONFIGURATION)
    found = run_loop(_examine(config, settings, progress=not json))
    _end(found, json, FAILED if any(each.status == "failed" for each in found) else 0)


def _of_configuration(error: ConfigError) -> list[Finding]:
    return [Finding("configuration", "failed", str(problem), code=error.code) for problem in error.problems]


def _end(found: Found, json: bool, code: int) -> None:
    if json:
        write_json({"ok": code == 0, "findings": [asdict(each) for each in found]})
    elif code == BAD_CONFIGURATION:
        for each in found:
            write_finding(each)
    else:
        counts = {status: sum(each.status == status for each in found) for status in STYLES}
        write_line((", ".join(f"{count} {status}" for status, count in counts.items() if count), "bold"))
    raise typer.Exit(code)


async def _examine(config: Path | None, settings: Settings, *, progress: bool) -> list[Finding]:
    found: list[Finding] = []
    async for some in _checks(config, settings):
        found += some
        for each in some if progress else ():
            write_finding(each)
    return found


async def _checks(config: Path | None, settings: Settings) -> AsyncIterator[Found]:
    """What each check found, in the order in which people read it; those over the network run side by side."""
    begun = time.time(), time.monotonic()
    yield _configuration(config, settings)
    relay = await asyncio.to_thread(network.check_relay, settings)
    running = relay is not None
    yield [relay or local.check_addresses(settings)]
    clock = _Clock()
    elsewhere = [
        asyncio.ensure_future(_bounded(name, check))
        for name, check in (
            *((f"sink {sink.label}", network.check_sink(settings, sink)) for sink in settings.sinks),
            *_index(settings),
            *_archive(settings),
            ("upstream", _upstream(settings, clock)),
            ("webhooks", _webhooks(settings, clock, running=running)),
        )
    ]
    for name, check in (
        ("journal", lambda: local.check_journal(settings, running=running)),
        ("space", lambda: [local.check_space(settings)]),
        ("disk", lambda: [local.check_disk(settings)]),
        ("certificates", lambda: local.check_certificates(settings)),
        ("descriptors", lambda: [local.check_descriptors(settings)]),
    ):
        yield await _bounded(name, asyncio.to_thread(check))
    for some in elsewhere:
        yield await some
    yield [judge_clock(clock.ahead, clock.source)]
    jumped = judge_steadiness(time.time() - begun[0], time.monotonic() - begun[1])
    yield [jumped] if jumped else []


def _configuration(config: Path | None, settings: Settings) -> list[Finding]:
    from relay.settings import warnings

    advice = [Finding("configuration", "warning", text, code="advice") for text in warnings(settings)]
    return advice or [Finding("configuration", "ok", f"{configured.find(config) or 'built-in defaults'}: valid")]


async def _bounded(name: str, check: Coroutine[Any, Any, Found]) -> Found:
    try:
        async with asyncio.timeout(WITHIN):
            return await check
    except TimeoutError:
        return [Finding(name, "failed", f"did not finish within {WITHIN:g} s", "Check it by hand.", "timeout")]


class _Clock:
    """By how much this clock is ahead, by the first answer with a date."""

    def __init__(self) -> None:
        self.ahead: float | None = None
        self.source = ""

    def heard(self, ahead: float | None, source: str) -> None:
        """Somebody answered, with or without the time."""
        if self.ahead is None and ahead is not None:
            self.ahead, self.source = ahead, source


def _index(settings: Settings) -> Sequence[tuple[str, Coroutine[Any, Any, Found]]]:
    login = settings.dedup.index_login
    return [("dedup.shared_index", network.check_index(login))] if login is not None else []


def _archive(settings: Settings) -> Sequence[tuple[str, Coroutine[Any, Any, Found]]]:
    url, options = settings.archive.url, settings.archive.store_options
    return [("archive", network.check_archive(url, options))] if url is not None else []


async def _upstream(settings: Settings, clock: _Clock) -> Found:
    found, ahead = await network.check_upstream(settings)
    clock.heard(ahead, settings.upstream.base_url)
    return found


async def _webhooks(settings: Settings, clock: _Clock, *, running: bool) -> Found:
    found, ahead = await asyncio.to_thread(lambda: network.check_webhooks(settings, running=running))
    if settings.server.public_url is not None and not running:
        clock.heard(ahead, settings.server.public_url)  # a relay that runs here would tell this very clock's time
    return [found] if found else []
