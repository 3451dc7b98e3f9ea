"""The way to a Redis step by step: how far it goes, and what each step says where it ends."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.core.sink import Sink, SinkUnavailable, Stepwise
from relay.sinks.redis.shared_index import RedisIndex
from tests.integration.redis_publishing import Connect
from tests.services.redis import RedisServer, SentinelSet, owner_of

LOGIN = {"username": "relay", "password": "s3cret"}


@pytest.fixture
def closed() -> Iterator[int]:
    """A port that is taken and does not listen."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


async def walked(sink: Sink | RedisIndex) -> tuple[dict[str, str], SinkUnavailable | None]:
    """What each step found, and why the last one failed."""
    assert isinstance(sink, Stepwise)
    found: dict[str, str] = {}
    for name, take in sink.steps():
        found[name] = "failed"
        try:
            found[name] = await take()
        except SinkUnavailable as error:
            return found, error
    return found, None


async def test_all_steps_to_one_redis(make_sink: Connect, server: RedisServer, closed: int) -> None:
    """If this fails, an operator does not learn who was asked, and as which user."""
    server.cli("ACL", "SETUSER", "relay", "on", ">s3cret", "~{relay}:*", "+@all")
    sink = make_sink(server.url, **LOGIN)
    assert await walked(sink) == (
        {
            "resolve": "127.0.0.1 is 127.0.0.1",
            "connect": f"127.0.0.1:{server.port} takes connections",
            "authenticate": "let in as relay",
            "authorize": "may do on {relay}:* what relay does",
            "write": "claimed {relay}:checkpoint:relay-0",
        },
        None,
    )
    assert (await walked(make_sink(server.url)))[0]["authenticate"] == "let in as default, without a password"
    found, error = await walked(make_sink(f"redis://127.0.0.1:{closed}/0"))
    assert (list(found)[-1], error and error.code) == ("connect", "unreachable")
    found, error = await walked(make_sink("redis://nowhere.invalid:6379/0"))
    assert (list(found)[-1], error and error.code) == ("resolve", "unreachable")
    assert "its name cannot be resolved" in str(error)


@pytest.mark.parametrize("login", [{**LOGIN, "password": "wr0ng"}, {}], ids=["wrong", "none"])
async def test_a_login_that_is_refused_ends_at_its_step(
    make_sink: Connect, server: RedisServer, login: dict[str, str]
) -> None:
    """If this fails, a wrong or a missing password looks like a missing right."""
    server.cli("ACL", "SETUSER", "relay", "on", ">s3cret", "~*", "+@all")
    server.cli("CONFIG", "SET", "requirepass", "other")
    found, error = await walked(make_sink(server.url, **login))
    assert list(found) == ["resolve", "connect", "authenticate"]
    assert error is not None
    assert error.code == "auth_failed"
    assert "wr0ng" not in f"{error} {error.hint}"


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        (("~{relay}:*", "-xadd"), "XADD on {relay}:tasks"),
        (("~{relay}:[^t]*",), "the key {relay}:tasks"),
        (("~{relay}:*", "-select"), "select"),
        (("~{relay}:*", "-wait"), "wait"),
    ],
)
async def test_a_right_that_is_missing_is_named_by_its_step(
    make_sink: Connect, server: RedisServer, rules: tuple[str, ...], named: str
) -> None:
    """If this fails, an operator does not learn which command or key pattern the user lacks; or the check wrote."""
    server.cli("ACL", "SETUSER", "relay", "on", ">s3cret", "+@all", *rules)
    found, error = await walked(make_sink(server.url[:-1] + "1", wait_replicas=1, **LOGIN))
    assert list(found) == ["resolve", "connect", "authenticate", "authorize"]
    assert error is not None
    assert error.code == "forbidden"
    assert named in error.message
    assert server.cli("-n", "1", "DBSIZE") == b"0"


async def test_a_redis_that_takes_no_writes_ends_at_the_write(make_sink: Connect, redis_sentinel: SentinelSet) -> None:
    """If this fails, a replica looks like a user without rights."""
    found, error = await walked(make_sink(redis_sentinel.replica.url))
    assert (list(found)[-1], error and error.code) == ("write", "read_only")


async def test_tls_says_what_was_negotiated(
    make_sink: Connect, tls_server: RedisServer, certificates: Path, tmp_path: Path
) -> None:
    """If this fails, a certificate that is not trusted, missing or about to end looks like a Redis that is down."""
    url = f"rediss://127.0.0.1:{tls_server.port}/0"
    ours = {"ssl_certfile": str(certificates / "server.crt"), "ssl_keyfile": str(certificates / "server.key")}
    trusted = {"ssl_ca_certs": str(certificates / "ca.crt")}
    found, error = await walked(make_sink(url, **ours, **trusted))
    assert error is None
    assert found["tls"].startswith("TLSv1.3, TLS_")
    assert f"the certificate of 127.0.0.1:{tls_server.port} ends in 2 days" in found["tls"]
    for step, code, keys, says in (
        ("tls", "tls_failed", ours, "its certificate is not trusted"),
        ("tls", "tls_failed", trusted, "does not accept relay's certificate|closed the connection after"),
        ("resolve", "tls_files", {"ssl_ca_certs": str(tmp_path / "nowhere.pem")}, "nowhere.pem: No such file"),
    ):
        found, error = await walked(make_sink(url, **keys))
        assert (list(found)[-1], error and error.code) == (step, code)
        assert re.search(says, str(error))


async def test_a_port_without_tls_ends_at_its_step(make_sink: Connect, server: RedisServer) -> None:
    """If this fails, an operator looks for the fault in the certificates."""
    found, error = await walked(make_sink(f"rediss://127.0.0.1:{server.port}/0"))
    assert (list(found)[-1], error and error.code) == ("tls", "tls_failed")
    assert "redis://" in (error.hint if error else "")


async def test_sentinels_say_who_the_primary_is(make_sink: Connect, redis_sentinel: SentinelSet, closed: int) -> None:
    """If this fails, an operator does not learn that a sentinel is away, or which primary they name."""
    by = f"127.0.0.1:{redis_sentinel.sentinel.port}"
    primary = f"127.0.0.1:{redis_sentinel.primary.port}"
    where = [f"127.0.0.1:{closed}", by]
    found, error = await walked(make_sink("redis://ignored:1/0", sentinels=where, service_name="relay"))
    assert error is None
    assert list(found) == ["resolve", "sentinels", "connect", "authenticate", "authorize", "write"]
    assert found["sentinels"].startswith(f"relay is {primary}. {by} names {primary}.")
    assert f"No connection to Redis 127.0.0.1:{closed}" in found["sentinels"]
    assert found["connect"] == f"{primary} takes connections"
    found, error = await walked(make_sink("redis://ignored:1/0", sentinels=where, service_name="misspelt"))
    assert (list(found)[-1], error and error.code) == ("sentinels", "no_primary")


async def test_a_cluster_says_who_has_the_slot(
    make_sink: Connect, redis_cluster: list[RedisServer], closed: int
) -> None:
    """If this fails, an operator does not learn which of many nodes relay writes to, or that one is away."""
    key = "{relay}:checkpoint:relay-0"
    owner = owner_of(key, redis_cluster)
    node = next(node for node in redis_cluster if node is not owner)
    nodes = [f"127.0.0.1:{node.port}"]
    found, error = await walked(make_sink(f"redis://127.0.0.1:{closed}", cluster=True, startup_nodes=nodes))
    assert error is None
    assert list(found) == ["resolve", "connect", "authenticate", "cluster", "authorize", "write"]
    assert f"No connection to Redis 127.0.0.1:{closed}" in found["connect"]
    assert found["connect"].endswith(f"{nodes[0]} takes connections")
    assert found["cluster"] == f"127.0.0.1:{owner.port} has the slot of {key}"
    owner.cli("ACL", "SETUSER", "default", "-cluster|slots")
    found, error = await walked(make_sink(node.url, cluster=True))
    assert (list(found)[-1], error and error.code) == ("cluster", "forbidden")


async def test_the_shared_index_has_steps_too(server: RedisServer) -> None:
    """If this fails, an operator learns of an index that is away by its metric only."""
    server.cli("ACL", "SETUSER", "index", "on", ">s3cret", "~*", "+@all")
    url = f"redis://index:s3cret@127.0.0.1:{server.port}/0"
    index = RedisIndex({"url": url}, scope="k", identity="a", origin=lambda: "j", lease=1.0, window=1.0)
    found, error = await walked(index)
    await index.close()
    assert error is None
    assert list(found) == ["resolve", "connect", "authenticate", "authorize"]
    assert (found["authenticate"], found["authorize"]) == ("let in as index", "may run the script on {relay:k}:*")
