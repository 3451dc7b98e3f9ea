"""The Kafka sink's configuration."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka import codec
from pydantic import SecretStr, ValidationError

from relay.core.sink import Identity
from relay.sinks.kafka import Config, connect

BEARER = {"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"}


def config(**keys: Any) -> Config:
    return Config(type="kafka", **keys)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"publish_timeout": "20s"}, "publish_timeout"),
        ({"publish_timeout": "15s"}, "publish_timeout"),  # as long as the broker waits
        ({"security_protocol": "SASL_SSL"}, "sasl_plain_username"),
        ({"security_protocol": "SASL_SSL", "sasl_plain_username": "relay"}, "sasl_plain_password"),
        ({"ssl_keyfile": "/key.pem"}, "ssl_certfile"),
        ({"prefix": "relay/"}, "prefix"),
        ({"topics": {"task": "a"}}, "topics names task, but the topics are tasks, chat"),
        ({"topics": {"tasks": "a/b"}}, "topics"),
        ({"topics": {"tasks": "relay.chat"}}, "topics must have names of their own, relay.chat is that of two"),
        (BEARER, "either sasl_oauthbearer_token_endpoint_url or sasl_oauthbearer_token_file"),
        ({**BEARER, "sasl_oauthbearer_token": "t", "sasl_oauthbearer_token_endpoint_url": "https://a"}, "either"),
        ({**BEARER, "sasl_oauthbearer_token_endpoint_url": "https://a"}, "sasl_oauthbearer_client_id and"),
        ({**BEARER, "sasl_oauthbearer_token": "t", "sasl_oauthbearer_extensions": {"auth": "a"}}, "has auth"),
        ({**BEARER, "sasl_oauthbearer_token": "t", "sasl_oauthbearer_extensions": {"a": "\1"}}, "extensions"),
        ({"bootstrap": "localhost"}, "bootstrap"),
    ],
)
def test_settings_that_cannot_work_are_refused(keys: dict[str, Any], message: str) -> None:
    """If this fails, a mistake in the configuration shows only in production."""
    with pytest.raises(ValidationError, match=message):
        config(**keys)


def test_a_codec_that_is_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """If this fails, a missing package shows only when the first event is published, and then each time."""
    monkeypatch.setattr(codec, "has_zstd", lambda: False)
    with pytest.raises(ValidationError, match=r"pip install 'relay-bridge\[compression\]'"):
        config(compression_type="zstd")
    assert config(compression_type="gzip").compression_type == "gzip"


def test_settings_are_read_with_their_units_and_keep_secrets() -> None:
    """If this fails, durations or sizes are taken in the wrong unit, or a password shows in a dump."""
    read = config(publish_timeout="250ms", max_request_size="2MiB", ssl_password="hidden-word", max_batch_events=7)
    assert (read.publish_timeout, read.max_request_size) == (0.25, 2 * 1024 * 1024)
    assert read.ssl_password == SecretStr("hidden-word")
    assert "hidden-word" not in repr(read)
    assert connect(read, Identity("relay-0", "i")).limits.events == 7


def test_a_signer_that_is_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """If this fails, a missing package shows only when the sink is opened, and then each time."""
    monkeypatch.setattr("relay.sinks.kafka.config.find_spec", lambda name: None)
    with pytest.raises(ValidationError, match=r"pip install 'relay-bridge\[msk\]'"):
        config(security_protocol="SASL_SSL", sasl_mechanism="AWS_MSK_IAM")


def test_topics_may_have_names_of_their_own() -> None:
    """If this fails, a company whose topics have names by rules of its own cannot use the relay."""
    named = config(prefix="p.", topics={"tasks": "acme.tasks"})
    assert [named.name_of(topic) for topic in ("tasks", "chat")] == ["acme.tasks", "p.chat"]


def test_certificates_are_files_to_watch() -> None:
    """If this fails, a renewed certificate is used after the next restart only."""
    assert config().files == []
    assert config(ssl_cafile="/ca", ssl_certfile="/cert", ssl_keyfile="/key").files == ["/ca", "/cert", "/key"]
