from __future__ import annotations

from pathlib import Path

import pytest

from relay.settings import Settings, load, take_over
from relay.settings.reload import RELOADED
from relay.sinks.kafka import Config


def settings(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "relay.yaml"
    file.write_text(text)
    return load(file, {}, {})


BEFORE = """
server: {api_tokens: [an-api-token-0123456789abcd], port: 8080}
webhooks: {novita: {tokens: [a-webhook-token-0123456789ab]}}
log: {level: info}
"""
AFTER = """
server: {api_tokens: [another-token-0123456789abcd], port: 9999}
webhooks: {novita: {tokens: [a-webhook-token-0123456789ab], allow_from: [10.0.0.0/8]}}
proxy: {clients: {web: {key: a-client-key-0123456789abcd}}, chunks: each}
upstream: {api_key: the-upstreams-key}
log: {level: debug}
"""


def test_who_may_do_what_changes_and_everything_else_waits(tmp_path: Path) -> None:
    """A rotated secret would wait for a restart, or half a change of a listener would take effect."""
    before = settings(tmp_path, BEFORE)
    reloaded = take_over(before, settings(tmp_path, AFTER))
    assert reloaded.changed == (
        "server.api_tokens",
        "webhooks.novita.allow_from",
        "upstream.api_key",
        "proxy.clients",
        "log.level",
    )
    assert reloaded.waiting == ("server.port", "proxy.chunks")
    now = reloaded.settings
    assert now.server.port == 8080
    assert now.server.api_tokens[0].get_secret_value() == "another-token-0123456789abcd"
    assert set(now.proxy.clients) == {"web"}
    assert now.proxy.chunks == before.proxy.chunks
    assert now.webhooks.novita.tokens == before.webhooks.novita.tokens


def test_an_unchanged_configuration_changes_nothing(tmp_path: Path) -> None:
    """Each SIGHUP would look like a change."""
    before = settings(tmp_path, BEFORE)
    assert take_over(before, settings(tmp_path, BEFORE)) == (before, (), ())


@pytest.mark.parametrize("key", sorted(RELOADED))
def test_what_is_taken_over_is_a_key_of_the_configuration(key: str) -> None:
    """A renamed key would silently need a restart from then on."""
    part: object = Settings()
    for name in key.split("."):
        part = getattr(part, name)


def test_the_files_of_secrets_are_known(tmp_path: Path) -> None:
    """A rotated file would not be noticed."""
    (tmp_path / "tokens").write_text("a-webhook-token-0123456789ab\n")
    assert settings(tmp_path, BEFORE).secret_files == ()
    found = settings(tmp_path, f"webhooks: {{novita: {{tokens_file: {tmp_path}/tokens}}}}")
    assert found.secret_files == (tmp_path / "tokens",)
    assert take_over(settings(tmp_path, BEFORE), found).settings.secret_files == (tmp_path / "tokens",)


KEYED = """
server: {api_tokens: [an-api-token-0123456789abcd], public_url: "https://relay.example"}
upstream: {base_url: "https://old.example", api_key: the-key-of-old}
proxy: {clients: {web: {key: a-client-key-0123456789abcd}}}
"""


def test_a_key_goes_with_its_address(tmp_path: Path) -> None:
    """The old provider would get the key of the new one."""
    text = KEYED.replace("old", "new")
    reloaded = take_over(settings(tmp_path, KEYED), settings(tmp_path, text))
    assert reloaded.changed == ()
    assert reloaded.waiting == ("upstream.base_url", "upstream.api_key")
    assert reloaded.settings.upstream_key == "the-key-of-old"
    again = take_over(reloaded.settings, settings(tmp_path, text))
    assert again.waiting == reloaded.waiting


def test_no_door_opens_between_two_configurations(tmp_path: Path) -> None:
    """A key that waits would be added to the requests of anybody, once its clients are gone; /v1 would stand open."""
    bare = "upstream: {base_url: 'https://new.example'}"
    reloaded = take_over(settings(tmp_path, KEYED), settings(tmp_path, bare))
    assert reloaded.changed == ()
    held = ("server.public_url", "server.api_tokens", "upstream.base_url", "upstream.api_key", "proxy.clients")
    assert reloaded.waiting == held
    assert Settings.model_validate(dict(reloaded.settings)) == reloaded.settings


def test_a_key_that_is_taken_away_frees_its_clients(tmp_path: Path) -> None:
    """A revoked key would go on until the restart."""
    text = KEYED.replace(", api_key: the-key-of-old", "").replace("web: {key: a-client-key-0123456789abcd}", "")
    reloaded = take_over(settings(tmp_path, KEYED), settings(tmp_path, text))
    assert reloaded.changed == ("upstream.api_key", "proxy.clients")
    assert reloaded.settings.upstream_key is None


SINKS = """
sinks:
  - {type: kafka, bootstrap_servers: "a:1", security_protocol: SASL_SSL, sasl_plain_username: u,
     sasl_plain_password: old-password, ssl_cafile: ca.pem}
  - {type: kafka, name: other, bootstrap_servers: "b:1", security_protocol: SASL_SSL, sasl_plain_username: u,
     sasl_plain_password: old-password}
"""


def with_sinks(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "relay.yaml"
    file.write_text(text)
    return load(file, {}, {"kafka": Config})


def test_a_sink_takes_over_what_it_logs_in_with(tmp_path: Path) -> None:
    """A rotated password would wait for a restart, or be sent to another server than the one that it is for."""
    before = with_sinks(tmp_path, SINKS)
    written = with_sinks(tmp_path, SINKS.replace("old-password", "new-password").replace("b:1", "c:1"))
    reloaded = take_over(before, written)
    assert reloaded.changed == ("sinks.0.sasl_plain_password",)
    assert reloaded.waiting == ("sinks.1.bootstrap_servers", "sinks.1.sasl_plain_password")
    passwords = [sink.sasl_plain_password.get_secret_value() for sink in reloaded.settings.sinks]  # type: ignore[attr-defined]
    assert passwords == ["new-password", "old-password"]
    assert take_over(before, with_sinks(tmp_path, SINKS)) == (before, (), ())


def test_another_list_of_sinks_waits(tmp_path: Path) -> None:
    """Half a change of the sinks would take effect."""
    before = with_sinks(tmp_path, SINKS)
    written = with_sinks(tmp_path, SINKS.replace("name: other", "name: another").replace("old-", "new-"))
    assert take_over(before, written) == (before, (), ("sinks",))


def test_a_certificate_is_watched_like_a_secret(tmp_path: Path) -> None:
    """A renewed certificate would be used after the next restart only."""
    assert with_sinks(tmp_path, SINKS).watched_files == (Path("ca.pem"),)


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("redis://relay:new@one:6379/1", True),
        ("redis://other:new@one:6379/1", True),
        ("redis://one:6379/1", True),
        ("redis://relay:new@two:6379/1", False),
        ("redis://relay:new@one:6379/2", False),
        ("rediss://relay:new@one:6379/1", False),
        (None, False),
    ],
)
def test_another_login_at_the_shared_index_is_taken_over_and_another_index_waits(
    tmp_path: Path, url: str | None, taken: bool
) -> None:
    """A rotation would need a restart; or replicas would claim in two places, and publish twice."""
    before = settings(tmp_path, "dedup: {shared_index: 'redis://relay:old@one:6379/1'}")
    written = settings(tmp_path, f"dedup: {{shared_index: {url or 'null'}}}")
    reloaded = take_over(before, written)
    assert (reloaded.changed, reloaded.waiting) == (
        (("dedup.shared_index",), ()) if taken else ((), ("dedup.shared_index",))
    )
    assert reloaded.settings.dedup == (written if taken else before).dedup
