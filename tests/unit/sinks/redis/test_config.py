"""The Redis sink's configuration."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from relay.core.sink import Identity
from relay.sinks.redis import Config, connect
from relay.sinks.redis.config import Node


def config(**keys: Any) -> Config:
    return Config.model_validate({"type": "redis", **keys})


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
