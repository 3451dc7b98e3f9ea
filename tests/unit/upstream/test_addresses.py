"""A dead address of a host with several is passed by, and comes last for a while."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from relay.settings.model import UpstreamSettings
from relay.upstream import Upstream, UpstreamUnreachable
from relay.upstream.addresses import FORGOTTEN_AFTER, Addresses
from tests.services.scripted_upstream import answering, ok, scripted

Info = tuple[int, int, int, str, tuple[str, int]]


def info(address: str, port: int = 80) -> Info:
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))


ONE, TWO, THREE = info("192.0.2.1"), info("192.0.2.2"), info("192.0.2.3")


def test_who_was_late_comes_last_for_a_while() -> None:
    """Each new connection would wait for the dead address again."""
    addresses = Addresses()
    addresses.answered([ONE, TWO, THREE], TWO[4], 0.0)
    assert addresses.ordered([ONE, TWO, THREE], 1.0) == [TWO, THREE, ONE]
    assert addresses.ordered([ONE, TWO, THREE], FORGOTTEN_AFTER + 1) == [ONE, TWO, THREE]


def test_who_answers_is_late_no_more() -> None:
    """An address that came back would stay unused."""
    addresses = Addresses()
    addresses.answered([ONE, TWO], TWO[4], 0.0)
    addresses.answered([TWO, ONE], ONE[4], 1.0)
    assert addresses.ordered([ONE, TWO], 2.0) == [ONE, TWO]


@pytest.fixture
def dead() -> Iterator[int]:
    """A port that takes no connection and refuses none: its queue is full."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


async def test_one_dead_address_of_two_does_not_take_the_upstream_down(
    dead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every request would wait for ``connect_timeout``, and fail."""
    async with scripted(answering(ok())) as server:
        port = int(server.url.rpartition(":")[2])

        async def resolve(host: str, *_: object, **__: object) -> list[Info]:
            assert host == "upstream.test"
            return [info("127.0.0.1", dead), info("127.0.0.1", port)]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        upstream = Upstream(UpstreamSettings(base_url="http://upstream.test", connect_timeout=20.0))
        async with asyncio.timeout(10), upstream.exchange("GET", "/") as answer:
            assert answer.status == 200
        await upstream.close()


async def test_where_no_address_answers_the_upstream_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The relay would fail with an error that nobody expects."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

        async def resolve(*_: object, **__: object) -> list[Info]:
            return [info("127.0.0.1", port), info("127.0.0.2", port)]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        upstream = Upstream(UpstreamSettings(base_url="http://upstream.test", connect_timeout=5.0))
        with pytest.raises(UpstreamUnreachable):
            await upstream.connect()
        await upstream.close()
