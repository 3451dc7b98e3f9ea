"""The Redis sink with a user that may do what the documentation says, less than that, or less from now on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from relay.core.sink import Absorbed, Checkpoint, Published, Sink
from relay.sinks.redis.wire import RIGHTS
from tests.integration.redis_publishing import Connect, deliver, expected_ids, ids, unavailable
from tests.integration.test_redis_replicas import batch, kinds
from tests.services.redis import RedisProcess, RedisServer, until
from tests.unit.drafts import draft

PAGE = Path("docs/how-to/redis-sentinel.md")
ACL = next(line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("ACL SETUSER relay "))
RULES = tuple(ACL.replace("<token>", "s3cret").split()[3:])
GRANTED = tuple(rule for rule in RULES if rule.startswith("+"))
IN_A_SCRIPT = ("type", "time", "hmget", "hset", "xadd", "xtrim", "get", "set")
EVERYTHING: dict[str, Any] = {"shared_window": "1h", "retention": "1h", "wait_replicas": 1}


@pytest.fixture
async def server(redis_process: RedisProcess) -> RedisServer:
    """A primary with a replica, and the user of the documentation."""
    primary = redis_process("--repl-diskless-sync-delay", "0")
    await primary.start()
    replica = redis_process("--replicaof", "127.0.0.1", str(primary.port))
    await replica.start()
    await until(lambda: b"state=online" in primary.cli("INFO", "replication"))
    primary.cli("ACL", "SETUSER", "relay", *RULES)
    return primary


def limited(make: Connect, server: RedisServer, *, database: int = 0, **keys: Any) -> Sink:
    """A sink with all features on, as the user of the documentation."""
    url = f"redis://127.0.0.1:{server.port}/{database}"
    patient = {"socket_timeout": "10s", "wait_timeout": "9s"}
    return make(url, **{"username": "relay", "password": "s3cret", **patient, **EVERYTHING, **keys})


def test_the_hint_and_the_page_grant_the_same() -> None:
    """Somebody who does what the error says would be refused again, or grant more than is needed."""
    assert set(re.findall(r"\+[a-z|]+", RIGHTS)) == set(GRANTED)


async def test_what_the_page_grants_is_enough(make_sink: Connect, server: RedisServer) -> None:
    """An operator who copies the rights from the page would have a relay that cannot do all that it is asked to."""
    a = limited(make_sink, server, name="a", database=1)
    b = limited(make_sink, server, name="b", database=1)
    await a.open()
    await b.open()
    assert list(await a.publish(batch(draft("1", says="x"), draft("2")))) == [Published()] * 2
    assert list(await b.publish(batch(draft("1", says="y"), draft("2")))) == [Published(), Absorbed()]
    assert server.cli("-n", "1", "XLEN", "{relay}:tasks") == b"3"


async def test_what_the_page_grants_is_enough_in_a_cluster(
    make_sink: Connect, redis_cluster: list[RedisServer]
) -> None:
    """The rights of the page would do for a single Redis only."""
    for node in redis_cluster:
        node.cli("ACL", "SETUSER", "relay", *RULES)
    await deliver(limited(make_sink, redis_cluster[0], cluster=True, wait_replicas=0), 3)
    for node in redis_cluster:
        node.cli("ACL", "SETUSER", "relay", "-cluster|slots")
    error = await unavailable(limited(make_sink, redis_cluster[0], cluster=True, wait_replicas=0).open())
    assert (error.code, error.hint) == ("forbidden", RIGHTS)
    assert "cluster|slots" in error.message


@pytest.mark.parametrize("command", [rule[1:] for rule in GRANTED if rule != "+cluster|slots"])
async def test_a_missing_right_is_refused_at_open_by_name(
    make_sink: Connect, server: RedisServer, command: str
) -> None:
    """A right that is missing would show in the middle of a batch, as an error that names nothing."""
    server.cli("ACL", "SETUSER", "relay", f"-{command}")
    error = await unavailable(limited(make_sink, server, database=1).open())
    assert (error.code, error.hint) == ("forbidden", RIGHTS)
    assert f"RUN THE '{command}' COMMAND".upper() in error.message.upper() or f" {command.upper()}" in error.message
    assert server.cli("-n", "1", "DBSIZE") == b"0"


async def test_all_that_is_missing_is_named_at_once(make_sink: Connect, server: RedisServer) -> None:
    """An operator would grant one right after the other, each after another refusal."""
    server.cli("ACL", "SETUSER", "relay", "-xadd", "-set")
    error = await unavailable(limited(make_sink, server).open())
    assert "XADD on {relay}:tasks" in error.message
    assert "SET on {relay}:fact:" in error.message


@pytest.mark.parametrize("command", ["wait", "get", "set", "xtrim", "select"])
async def test_what_is_not_used_is_not_needed(make_sink: Connect, server: RedisServer, command: str) -> None:
    """A relay would ask for rights that it never makes use of."""
    server.cli("ACL", "SETUSER", "relay", f"-{command}")
    sink = limited(make_sink, server, wait_replicas=0, shared_window=None, retention=None)
    await deliver(sink, 3)
    assert ids(server.port) == expected_ids(3)


@pytest.mark.parametrize("pattern", ["~{relay}:[^f]*", "~{relay}:[^f]* %R~{relay}:fact:*"])
async def test_a_key_that_is_out_of_reach_is_named(make_sink: Connect, server: RedisServer, pattern: str) -> None:
    """An operator would not learn which key the user's patterns leave out."""
    server.cli("ACL", "SETUSER", "relay", "resetkeys", *pattern.split())
    error = await unavailable(limited(make_sink, server).open())
    assert error.code == "forbidden"
    assert "the key {relay}:fact:" in error.message
    assert server.cli("DBSIZE") == b"0"


@pytest.mark.parametrize("command", IN_A_SCRIPT)
async def test_a_right_that_is_taken_away_repeats_nothing(
    make_sink: Connect, server: RedisServer, command: str
) -> None:
    """P2 broken: a batch would stop in its middle, and each further try append its first events again."""
    sink = limited(make_sink, server)
    await sink.open()
    await sink.publish(batch(draft("1")))
    server.cli("ACL", "SETUSER", "relay", f"-{command}")
    error = await unavailable(sink.publish(batch(draft("2"), draft("3"), after=1)))
    assert (error.code, error.hint) == ("forbidden", RIGHTS)
    assert (await unavailable(sink.open())).code == "forbidden"
    server.cli("ACL", "SETUSER", "relay", f"+{command}")
    held = await sink.open()
    assert held == Checkpoint("journal", 3 if command == "xtrim" else 1)
    if command != "xtrim":  # which comes last, when events and checkpoint are there
        await sink.publish(batch(draft("2"), draft("3"), after=1))
    assert [id for id, _ in kinds(server)] == ["1:succeeded", "2:succeeded", "3:succeeded"]
    other = limited(make_sink, server, name="other", instance="other")
    await other.open()
    repeated = await other.publish(batch(draft("1"), draft("2"), draft("3")))
    assert list(repeated) == [Absorbed()] * 3, "what is on the stream is known"


@pytest.mark.parametrize("command", ["XTRIM", "SET", "XADD"])
async def test_a_command_that_was_renamed_away_is_named(
    make_sink: Connect, redis_process: RedisProcess, command: str
) -> None:
    """A server that does not know a command would fail in the middle of a batch."""
    server = redis_process("--rename-command", command, "")
    await server.start()
    error = await unavailable(make_sink(server.url, shared_window="1h", retention="1h").open())
    assert error.code == "forbidden"
    assert f"{command} on " in error.message
