from __future__ import annotations

import hashlib
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from relay.settings import ClientSettings, ProxySettings, Settings
from tests.unit.settings.specimens import Amber, Basalt

# Section 4 of the contract, letter by letter, without the examples under clients and sinks.
CONTRACT = """
server:    {host: 127.0.0.1, port: 8080, public_url: null, trusted_proxies: [], api_tokens: [], drain_timeout: 30s}
admin:     {host: 127.0.0.1, port: 9090}
journal:   {path: var/relay.db, retention: 7d, max_size: 10GiB}
webhooks:
  max_body: 1MiB
  novita:  {tokens: [], signing_secrets: [], allow_from: []}
upstream:  {base_url: "https://api.novita.ai", api_key: null, proxy: null}
proxy:
  clients: {}
  chunks: coalesced
  chunk_interval: 250ms
  on_disconnect: cancel
  capture: {content: true, request: metadata}
reconcile: {enabled: true, first_after: 60s, every: 30s, give_up_after: 24h, max_rate: 10, concurrency: 8}
dedup:     {window: 7d, shared_index: null}
sinks: []
archive:
  url: null
  key: "{date}/{task_id}/{index}.{ext}"
  options: {}
  concurrency: 4
  max_size: 2GiB
  allow_hosts: []
console:   {enabled: true}
identity:  null
"""

BEYOND_THE_CONTRACT = """
server:
  header_timeout: 10s
  keepalive_timeout: 75s
  max_connections: 10000
  send_timeout: 1m
  max_consumers: 2000
  proxy_protocol: false
  tls: null
admin: {tls: null}
dedup: {shared_index_tls: null}
journal:  {dead_letter_retention: 30d, must_exist: false, max_backlog: 1000000}
webhooks: {max_inflight_bytes: 64MiB, body_timeout: 10s, novita: {signature_tolerance: 5m}}
upstream: {connect_timeout: 5s, first_byte_timeout: 10m, idle_timeout: 5m, keepalive_timeout: 15s, ssl_cafile: null}
proxy:
  max_body: 64MiB
  max_inflight_bytes: 256MiB
  body_timeout: 5m
  drain_timeout: 5m
  max_drain_size: 16MiB
  idle_timeout: 1m
  max_retries: 0
reconcile: {unknown_timeout: 10m}
archive:  {secrets: {}, max_rate: 50, max_bandwidth: null, timeout: 15m, give_up_after: 24h}
tasks:    {progressed: false, raw: true}
log:      {level: info, format: auto}
tracing:  {enabled: false, endpoint: null, sample_ratio: null}
telemetry: {otlp: {endpoint: null, metrics: false, interval: 60s, events: false, content: false}}
"""

KEY = "k" * 32


def leaves(document: Any, path: str = "") -> set[str]:
    if not isinstance(document, dict) or not document:
        return {path}
    return {leaf for key, value in document.items() for leaf in leaves(value, f"{path}.{key}")}


@pytest.mark.parametrize("text", [CONTRACT, BEYOND_THE_CONTRACT])
def test_the_defaults_are_those_of_the_contract(text: str) -> None:
    """A relay without configuration would not be the one that is promised."""
    assert Settings.model_validate(yaml.safe_load(text)) == Settings()


def test_there_is_no_key_beyond_those_written_here() -> None:
    """A key would have come, or gone, without anybody deciding on its name and default."""
    named = leaves(yaml.safe_load(CONTRACT)) | leaves(yaml.safe_load(BEYOND_THE_CONTRACT))
    assert leaves(Settings().model_dump()) == named


def test_settings_cannot_be_changed_or_extended() -> None:
    """A part of the relay could change another's settings, or misspell a key in code."""
    with pytest.raises(ValidationError):
        Settings().server.port = 1  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Settings.model_validate({"server": {"prot": 1}})


@pytest.mark.parametrize(
    ("section", "advice"),
    [
        ({"webhooks": {"max_body": "128MiB"}}, "must be at least webhooks.max_body"),
        ({"proxy": {"max_body": "512MiB"}}, "must be at least proxy.max_body"),
        ({"reconcile": {"first_after": "48h"}}, "must be longer than reconcile.first_after"),
        ({"admin": {"port": 8080}}, "is also server.port"),
        ({"server": {"port": 9090}}, "is also server.port"),
        ({"upstream": {"api_key": KEY}}, "clients must have keys of their own"),
        ({"proxy": {"clients": {"a": {}}}}, "exactly one of key and key_sha256"),
        ({"proxy": {"clients": {"a": {"key": KEY, "key_sha256": "ab" * 32}}}}, "exactly one of key and key_sha256"),
        ({"proxy": {"clients": {"a b": {"key": KEY}}}}, "String should match pattern"),
        ({"proxy": {"clients": {"a": {"key": KEY}, "b": {"key": KEY}}}}, "a and b have the same key"),
        ({"sinks": [Amber(type="amber"), Amber(type="amber")]}, "two sinks have the label amber"),
        ({"sinks": [Amber(type="amber", name="x"), Basalt(type="basalt", topic="t", name="x")]}, "have the label x"),
        ({"identity": "no spaces"}, "String should match pattern"),
        ({"reconcile": {"max_rate": 0}}, "greater than 0"),
        ({"tracing": {"sample_ratio": 1.5}}, "less than or equal to 1"),
        ({"journal": {"max_size": "1KiB"}}, "greater than or equal to"),
    ],
)
def test_contradictions_are_refused(section: dict[str, Any], advice: str) -> None:
    """A configuration that cannot work, or that gives the upstream's key to anybody, would start."""
    with pytest.raises(ValidationError, match=advice):
        Settings.model_validate(section)


def test_free_ports_do_not_collide() -> None:
    """Two listeners on free ports, as the demo and the tests use them, would be refused."""
    assert Settings.model_validate({"server": {"port": 0}, "admin": {"port": 0}}).admin.port == 0


def test_an_injected_key_with_clients_in_front_is_fine() -> None:
    """The relay could not be given the upstream's key at all."""
    settings = Settings.model_validate(
        {"upstream": {"api_key": KEY}, "proxy": {"clients": {"web": {"key": KEY + "x"}}}}
    )
    assert settings.upstream.api_key is not None


def test_two_sinks_of_one_type_are_told_apart_by_name() -> None:
    """Two Kafka clusters could not be fed at once."""
    sinks = (Amber(type="amber"), Amber(type="amber", name="amber-eu"))
    assert [sink.label for sink in Settings(sinks=sinks).sinks] == ["amber", "amber-eu"]


def test_a_client_key_has_one_digest_however_it_is_given() -> None:
    """A client whose key is configured as its SHA-256 would not be recognized."""
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    clear = ClientSettings.model_validate({"key": KEY})
    hashed = ClientSettings.model_validate({"key_sha256": digest.upper()})
    assert clear.key_digest == hashed.key_digest == bytes.fromhex(digest)


def test_a_client_inherits_what_happens_when_it_hangs_up() -> None:
    """``proxy.on_disconnect: drain`` would be without effect for every client that is named."""
    clients = {"plain": {"key": "a" * 32}, "own": {"key": "b" * 32, "on_disconnect": "cancel"}}
    proxy = ProxySettings.model_validate({"on_disconnect": "drain", "clients": clients})
    assert [proxy.on_disconnect_of(name) for name in ("plain", "own", "unknown", None)] == [
        "drain",
        "cancel",
        "drain",
        "drain",
    ]


@pytest.mark.parametrize(
    ("host_name", "identity"),
    [("relay-0", "relay-0"), ("Büro Mac.local", "B-ro-Mac.local"), ("...", "relay"), ("x" * 200, "x" * 100)],
)
def test_the_identity_defaults_to_the_host_name(monkeypatch: pytest.MonkeyPatch, host_name: str, identity: str) -> None:
    """A host name with odd characters would make an identity that Kafka or Redis refuses."""
    monkeypatch.setattr(socket, "gethostname", lambda: host_name)
    assert Settings().identity_name == identity
    assert Settings(identity="mine").identity_name == "mine"


def test_settings_do_not_show_their_secrets() -> None:
    """A secret would reach a log through ``repr`` or a dump."""
    settings = Settings.model_validate(
        {
            "server": {"api_tokens": [KEY]},
            "webhooks": {"novita": {"tokens": [KEY]}},
            "upstream": {"api_key": KEY},
            "proxy": {"clients": {"a": {"key": KEY}}},
            "dedup": {"shared_index": f"redis://:{KEY}@host"},
            "sinks": [Amber.model_validate({"type": "amber", "password": KEY, "tls": True})],
        }
    )
    assert KEY not in repr(settings) + str(settings) + settings.model_dump_json() + repr(settings.model_dump())


def test_paths_and_levels_take_their_usual_spellings() -> None:
    """The journal's path would not be a path, or ``LOG_LEVEL=INFO``, which everybody writes, would be refused."""
    settings = Settings.model_validate({"log": {"level": "WARNING"}, "journal": {"path": "/data/j.db"}})
    assert (settings.log.level, settings.journal.path) == ("warning", Path("/data/j.db"))


def test_the_webhooks_address_begins_with_the_public_one() -> None:
    """The upstream would deliver to nowhere."""
    public = {"public_url": "https://relay.example/base/", "api_tokens": ["t"]}
    assert Settings().webhooks_url is None
    assert Settings.model_validate({"server": public}).webhooks_url == "https://relay.example/base/webhooks/novita"


def test_the_address_of_a_task_is_good_for_as_long_as_it_is_waited_for() -> None:
    """The result of a slow task would be refused."""
    assert Settings().address_life == 7 * 86_400
    waiting = {"reconcile": {"give_up_after": 10 * 86_400.0}}
    assert Settings.model_validate(waiting).address_life == 10 * 86_400
