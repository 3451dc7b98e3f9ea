"""One poll, on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from relay.core.tasks.reconcile import PollAnswer, Unanswered
from relay.reconciler import poll as module
from relay.reconciler.poll import TaskResults
from relay.settings.model import UpstreamSettings
from relay.upstream import Upstream
from tests.services.scripted_upstream import Call, Script, ScriptedUpstream, answering, ok, scripted


@asynccontextmanager
async def asking(
    script: Script, api_key: str | None = None, within: float = 5.0
) -> AsyncIterator[tuple[ScriptedUpstream, TaskResults]]:
    async with scripted(script) as server:
        upstream = Upstream(UpstreamSettings(base_url=server.url))
        try:
            yield server, TaskResults(upstream, api_key, within=within)
        finally:
            await upstream.close()


async def test_a_poll_is_what_the_vendor_documents() -> None:
    """The upstream would refuse every poll."""
    async with asking(answering(ok()), "sk-1") as (server, poll):
        assert await poll("t-1:x") == PollAnswer(200, b"{}")
        [call] = server.calls
    assert call.line == "GET /v3/async/task-result?task_id=t-1%3Ax HTTP/1.1"
    assert call.header("authorization") == "Bearer sk-1"
    assert call.header("content-type") == "application/json"
    assert call.body == b""


async def test_without_a_key_none_is_sent() -> None:
    """A relay without a key would send an empty one, which the upstream takes for a wrong one."""
    async with asking(answering(ok())) as (server, poll):
        await poll("t1")
        assert server.calls[0].header("authorization") is None


async def test_connections_are_used_again() -> None:
    """Each poll would pay for a handshake."""
    async with asking(answering(ok())) as (server, poll):
        for _ in range(5):
            await poll("t1")
        assert server.connections == 1


async def test_an_answer_keeps_its_status_and_what_it_asks_for() -> None:
    """Retry-After would not be honoured."""
    limited = b"HTTP/1.1 429 Too Many\r\nRetry-After: 17\r\nContent-Length: 2\r\n\r\n{}"
    async with asking(answering(limited)) as (_, poll):
        assert await poll("t1") == PollAnswer(429, b"{}", 17.0)


async def test_a_redirect_is_an_answer() -> None:
    """The key would go wherever somebody points."""
    moved = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    async with asking(answering(moved)) as (server, poll):
        assert await poll("t1") == PollAnswer(302, b"")
        assert len(server.calls) == 1


async def _hang(call: Call) -> None:
    await call.until_gone()


async def _begin_and_hang(call: Call) -> None:
    await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    await call.until_gone()


async def _reset(call: Call) -> None:
    call.reset()


async def _garbage(call: Call) -> None:
    await call.send(b"SSH-2.0-x\r\n\r\n")
    call.writer.close()


@pytest.mark.parametrize(
    ("script", "within", "expected"),
    [
        (_hang, 0.2, "timeout"),
        (_begin_and_hang, 0.2, "timeout"),
        (_reset, 5.0, "unreachable"),
        (_garbage, 5.0, "unreachable"),
    ],
)
async def test_whatever_goes_wrong_is_an_answer_too(script: Script, within: float, expected: str) -> None:
    """A lost connection would look like a bug in the relay, or hold a poll's place forever."""
    async with asking(script, within=within) as (_, poll), asyncio.timeout(10):
        answer = await poll("t1")
    assert isinstance(answer, Unanswered)
    assert answer.result == expected


async def test_an_upstream_that_is_not_there_is_unreachable() -> None:
    """A poll would raise where nobody expects it."""
    async with scripted(answering(ok())) as server:
        url = server.url
    upstream = Upstream(UpstreamSettings(base_url=url))
    assert await TaskResults(upstream)("t1") == Unanswered("unreachable")
    await upstream.close()


async def test_an_endless_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken upstream would fill the relay's memory."""
    monkeypatch.setattr(module, "MAX_ANSWER", 1000)
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + b" " * 1001
    async with asking(answering(large)) as (_, poll):
        assert await poll("t1") == Unanswered("unreachable")
