"""The Redis sink's configuration; what it does needs a server (tests/integration, tests/contract)."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from relay.core.event import Entry, Event
from relay.core.sink import Batch, Checkpoint, Identity, Inheritance, Limits, Name, Refused, SinkUnavailable, Withheld
from relay.sinks.redis.sink import Config, RedisSink, connect
from relay.sinks.redis.wire import Node


def config(**keys: Any) -> Config:
    return Config.model_validate({"type": "redis", **keys})


def test_defaults_are_those_of_the_contract() -> None:
    """Else ``{type: redis}`` would not mean what the documentation says."""
    made = config()
    assert made.url.get_secret_value() == "redis://localhost:6379/0"
    assert (made.prefix, made.label, made.retention, made.wait_replicas) == ("{relay}:", "redis", None, 0)
    assert made.endpoints().nodes == (Node("localhost", 6379),)
    assert connect(made, Identity("relay-0", "a")).limits == Limits(200, 1024 * 1024, 5.0)


@pytest.mark.parametrize("prefix", ["{relay}:", "eu{r}:", "{a}{}", "{{a}:", "x}{a}"])
def test_prefix_with_hash_tag_is_taken(prefix: str) -> None:
    """Else a prefix whose keys do share a slot would be refused."""
    assert config(prefix=prefix).prefix == prefix


@pytest.mark.parametrize("prefix", ["relay:", "", "{}relay:", "{relay:", "relay}:", "{}{relay}:", "}relay{"])
def test_prefix_without_hash_tag_is_refused(prefix: str) -> None:
    """Else the script's keys would lie in several slots, and a cluster refuse every batch."""
    with pytest.raises(ValidationError, match="hash tag"):
        config(prefix=prefix)


@pytest.mark.parametrize(
    ("url", "node", "options", "tls"),
    [
        ("redis://h", Node("h", 6379), {"db": 0}, False),
        ("rediss://u:p%40ss@h:7000/2", Node("h", 7000), {"db": 2, "username": "u", "password": "p@ss"}, True),
        ("redis://:secret@[::1]:7000/", Node("::1", 7000), {"db": 0, "password": "secret"}, False),
        ("unix:///run/r.sock?db=3", Node("/run/r.sock", 0), {"db": 3}, False),
    ],
)
def test_url_is_taken_apart(url: str, node: Node, options: dict[str, Any], tls: bool) -> None:
    """Else the sink would talk to another server, database or user than the url says."""
    made = config(url=url).endpoints()
    assert (made.nodes, made.options, made.tls is not None) == ((node,), options, tls)


@pytest.mark.parametrize(
    "url",
    [
        "http://:hunter2@h",
        "redis://:hunter2@h/x",
        "redis://:hunter2@h:99999/0",
        "redis://:hunter2@h/0?retry_on_timeout=yes",
        "h:6379:hunter2",
    ],
)
def test_bad_url_is_refused_without_showing_it(url: str) -> None:
    """Else a typing error would put the password into the log (promise P8), or options switch retries back on."""
    with pytest.raises(ValidationError, match="url") as caught:
        config(url=url)
    assert "hunter2" not in str(caught.value)


def test_secrets_are_not_shown() -> None:
    """Else logging the configuration, or an object made of it, would show a password (promise P8)."""
    made = config(url="redis://u:hunter2@h", password="hunter2", sentinel_password="hunter2")
    shown = f"{made!r} {made} {made.model_dump_json()} {made.endpoints()!r} {connect(made, Identity('n', 'i'))!r}"
    assert "hunter2" not in shown


def test_separate_password_wins_over_the_url() -> None:
    """Else a password from a file could not replace the one in a shared url."""
    options = config(url="redis://u:old@h", username="v", password="new").endpoints().options
    assert (options["username"], options["password"]) == ("v", "new")


def test_tls_keys_reach_the_client() -> None:
    """Else certificates that were configured would not be used."""
    tls = (
        config(url="rediss://h", ssl_ca_certs="/ca", ssl_cert_reqs="optional", ssl_check_hostname=False).endpoints().tls
    )
    assert tls is not None
    assert (tls["ssl_ca_certs"], tls["ssl_cert_reqs"], tls["ssl_check_hostname"]) == ("/ca", "optional", False)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"sentinels": ["h:26379"]}, "service_name"),
        ({"service_name": "relay"}, "sentinels"),
        ({"cluster": True, "sentinels": ["h:1"], "service_name": "relay"}, "exclude"),
        ({"startup_nodes": ["h:1"]}, "cluster"),
        ({"cluster": True, "url": "redis://h/1"}, "database 0"),
        ({"wait_timeout": "6s"}, "socket_timeout"),
        ({"wait_timeout": "5s"}, "socket_timeout"),
        ({"sentinels": ["no-port"], "service_name": "relay"}, "sentinels"),
    ],
)
def test_contradictory_keys_are_refused(keys: dict[str, Any], said: str) -> None:
    """Else a configuration that cannot work would be found out in production."""
    with pytest.raises(ValidationError, match=said):
        config(**keys)


def test_sentinels_and_startup_nodes_are_addresses() -> None:
    """Else an IPv6 address would be cut at the wrong colon."""
    assert config(sentinels=["[::1]:26379", "h:1"], service_name="r").endpoints().sentinels == (
        Node("::1", 26379),
        Node("h", 1),
    )
    assert config(cluster=True, startup_nodes=["h:7001"]).endpoints().nodes[1:] == (Node("h", 7001),)


def sized(offset: int, size: int) -> Entry:
    return Entry(offset, 0, Event("tasks", "t", f"id-{offset}", "s", "subject", "2026-01-01T00:00:00Z", bytes(size)))


async def test_an_event_of_exactly_the_largest_size_is_taken() -> None:
    """Else an event that Redis would take became a dead letter."""
    sink = connect(config(max_event_bytes=8), Identity("relay-0", "a"))
    largest, larger = sized(1, 8), sized(2, 9)
    refused, withheld = reversed(await sink.publish(Batch([largest, larger], Checkpoint("journal", 2))))
    assert (withheld, type(refused)) == (Withheld(), Refused)
    with pytest.raises(SinkUnavailable, match="not open"):
        await sink.publish(Batch([largest], Checkpoint("journal", 1)))


class Informed:
    """Stands for a connection to a Redis that says this of itself, or nothing."""

    node = Node("h", 1)

    def __init__(self, info: bytes | None) -> None:
        self._info = info

    async def call(self, *command: str) -> bytes:
        assert command == ("INFO", "persistence")
        if self._info is None:
            raise SinkUnavailable("forbidden", "That may not be asked.")
        return self._info


@pytest.mark.parametrize(
    ("info", "codes"),
    [
        (b"# Persistence\r\naof_enabled:0\r\n", ["not_persistent"]),
        (b"# Persistence\r\naof_enabled:1\r\n", []),
        (b"", []),
        (None, []),
    ],
)
async def test_a_redis_that_forgets_at_a_restart_is_reported(info: bytes | None, codes: list[str]) -> None:
    """Else an operator would learn of it from the events that consumers get twice."""
    sink = connect(config(), Identity("relay-0", "a"))
    assert isinstance(sink, RedisSink)
    with pytest.raises(SinkUnavailable, match="not open"):
        await sink.advice()
    sink._wire = Informed(info)  # type: ignore[assignment]
    assert [advice.code for advice in await sink.advice()] == codes


@pytest.mark.parametrize(
    ("held", "taken"),
    [(Checkpoint("journal", 3), Checkpoint("journal", 3)), (Checkpoint("another", 3), None), (None, None)],
)
async def test_a_sink_that_got_another_name_has_its_place_already(
    held: Checkpoint | None, taken: Checkpoint | None
) -> None:
    """Else who renames a Redis sink would have its journal published again, or the place of another one taken over."""
    sink = connect(config(name="renamed"), Identity("relay-0", "a"))
    assert isinstance(sink, RedisSink)
    sink._wire, sink._held = Informed(b""), held  # type: ignore[assignment]
    assert await sink.take_over(Name("relay-0", "redis"), Inheritance("journal", 5, "journal")) == taken
