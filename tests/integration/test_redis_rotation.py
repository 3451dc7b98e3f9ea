"""The Redis sink's credentials change while it publishes: passwords, certificates, and those that Redis refuses."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from relay.core.sink import Sink
from relay.sinks.redis import Config
from relay.sinks.redis.sink import RedisSink
from tests.integration.redis_publishing import Connect, batch, deliver, expected_ids, ids, unavailable
from tests.services.redis import RedisServer

RIGHTS = ("~{relay}:*", "+@all")


@pytest.fixture
async def server(server: RedisServer) -> RedisServer:
    """A Redis with a user ``relay``, whose password is ``old``."""
    server.cli("ACL", "SETUSER", "relay", "on", ">old", *RIGHTS)
    return server


def reconfigured(sink: Sink, url: str, **keys: Any) -> None:
    """The configuration was read again, and differs from that of ``make_sink`` in these."""
    assert isinstance(sink, RedisSink)
    timeouts = {"socket_timeout": "1s", "socket_connect_timeout": "1s", "wait_timeout": "200ms"}
    sink.reconfigure(Config.model_validate({"type": "redis", "url": url, **timeouts, **keys}))


def clients(server: RedisServer) -> list[str]:
    """The ids of the connections of ``relay``."""
    lines = server.cli("CLIENT", "LIST").decode().splitlines()
    return [line.split()[0] for line in lines if " user=relay " in line]


async def test_a_new_password_is_used_without_an_interruption(make_sink: Connect, server: RedisServer) -> None:
    """A rotation would be an outage, or the old password be needed for as long as the connection lives."""
    sink = make_sink(server.url, username="relay", password="old")
    await deliver(sink, 5)
    before = clients(server)
    server.cli("ACL", "SETUSER", "relay", ">new")
    reconfigured(sink, server.url, username="relay", password="new")
    server.cli("ACL", "SETUSER", "relay", "<old")
    await sink.publish(batch(6, 8))
    after = clients(server)
    assert (len(before), len(after), set(before) & set(after)) == (1, 1, set())
    assert ids(server.port) == expected_ids(8)


async def test_a_reload_that_changes_nothing_keeps_the_connection(make_sink: Connect, server: RedisServer) -> None:
    """Each reload, such as one for the level of the log, would cost a connection and its login."""
    sink = make_sink(server.url, username="relay", password="old")
    await deliver(sink, 5)
    before = clients(server)
    reconfigured(sink, server.url, username="relay", password="old")
    await sink.publish(batch(6, 8))
    assert clients(server) == before


async def test_a_password_that_is_refused_is_reported_and_loses_nothing(
    make_sink: Connect, server: RedisServer
) -> None:
    """A wrong secret would stay unnoticed until the connection breaks at night, or take events along."""
    sink = make_sink(server.url, username="relay", password="old")
    await deliver(sink, 5)
    reconfigured(sink, server.url, username="relay", password="wrong")
    refused = await unavailable(sink.publish(batch(6, 8)))
    assert refused.code == "auth_failed"
    assert "wrong" not in refused.message + refused.hint
    assert (await unavailable(sink.open())).code == "auth_failed"
    reconfigured(sink, server.url, username="relay", password="old")
    await deliver(sink, 10)
    assert ids(server.port) == expected_ids(10)
    assert len(clients(server)) == 1


async def test_a_new_certificate_is_used_for_the_next_batch(
    make_sink: Connect, tls_server: RedisServer, certificates: Path, tmp_path: Path
) -> None:
    """A certificate that is renewed in place would expire all the same, with the connection or at the next one."""
    names = {"ssl_ca_certs": "ca.crt", "ssl_certfile": "server.crt", "ssl_keyfile": "server.key"}
    for name in names.values():
        shutil.copy(certificates / name, tmp_path / name)
    paths = {key: str(tmp_path / name) for key, name in names.items()}
    url = f"rediss://127.0.0.1:{tls_server.port}/0"
    sink = make_sink(url, **paths)
    await deliver(sink, 5)
    (tmp_path / "server.key").write_text("no key")
    reconfigured(sink, url, **paths)
    assert (await unavailable(sink.publish(batch(6, 8)))).code == "tls_files"
    shutil.copy(certificates / "server.key", tmp_path / "server.key")
    reconfigured(sink, url, **paths)
    await deliver(sink, 10)
    assert await asyncio.to_thread(tls_server.cli, "XLEN", "{relay}:tasks") == b"10"
