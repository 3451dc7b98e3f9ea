"""The probes and the metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from relay.core.errors import RelayError
from relay.edge.api import probes as module
from relay.edge.api.probes import Probes
from relay.telemetry.metrics import CONTENT_TYPE
from tests.services.raw_http import ask, get, post
from tests.unit.edge.serving import routed


async def nothing() -> None: ...


def probes(
    *, stalled: float = 0.0, reasons: tuple[str, ...] = (), look: Callable[[], Awaitable[None]] = nothing
) -> AbstractAsyncContextManager[str]:
    served = Probes(
        stalled_for=lambda: stalled, unready=lambda: reasons, exposition=lambda: b"metric 1\n", before_scrape=look
    )
    return routed(served.routes())


async def test_a_relay_that_works_is_alive_and_ready() -> None:
    """It would be restarted, or sent nothing."""
    async with probes() as url:
        alive, ready = await ask(url, get("/livez")), await ask(url, get("/readyz"))
        assert (alive.status, alive.json) == (200, {"status": "alive"})
        assert (ready.status, ready.json) == (200, {"status": "ready", "reasons": []})
        assert (await ask(url, get("/livez", method="HEAD"), "HEAD")).status == 200


async def test_what_keeps_it_from_being_ready_is_said_and_does_not_kill_it() -> None:
    """An operator would see a 503 without a reason, or a full backlog restart the relay in circles."""
    async with probes(reasons=("draining", "backlog_full: 5 events wait")) as url:
        ready = await ask(url, get("/readyz"))
        assert (ready.status, ready.json["reasons"]) == (503, ["draining", "backlog_full: 5 events wait"])
        assert (await ask(url, get("/livez"))).status == 200


@pytest.mark.parametrize(("seconds", "status"), [(29.9, 200), (30.1, 503)])
async def test_a_writer_that_hangs_is_not_alive(seconds: float, status: int) -> None:
    """A relay whose disk hangs would answer 503 forever instead of being restarted elsewhere."""
    async with probes(stalled=seconds) as url:
        reply = await ask(url, get("/livez"))
        assert reply.status == status
        if status == 503:
            assert reply.json == {"status": "stalled", "reasons": ["a commit has taken 30 s"]}


async def test_metrics_are_in_prometheus_format() -> None:
    """Prometheus refuses another content type."""
    async with probes() as url:
        reply = await ask(url, get("/metrics"))
        assert (reply.status, reply.body) == (200, b"metric 1\n")
        assert reply.headers["content-type"] == CONTENT_TYPE


async def test_a_journal_that_hangs_or_fails_does_not_hide_the_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Just when something is wrong there would be nothing to see."""
    monkeypatch.setattr(module, "LOOK_FOR", 0.05)

    async def hangs() -> None:
        await asyncio.sleep(60)

    async def fails() -> None:
        raise RelayError("journal_broken", "m")

    for look in (hangs, fails):
        async with probes(look=look) as url:
            assert (await ask(url, get("/metrics"))).status == 200


async def test_anything_else_is_a_problem() -> None:
    """The admin listener would answer in another language than the main one."""
    async with probes() as url:
        assert (await ask(url, get("/"))).code == "not_found"
        assert (await ask(url, post("/metrics"))).code == "method_not_allowed"
