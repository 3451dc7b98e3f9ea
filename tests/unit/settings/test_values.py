from __future__ import annotations

import base64

import pytest
from pydantic import BaseModel, ValidationError

from relay.settings.values import (
    Host,
    HttpUrl,
    Network,
    Port,
    ProxyUrl,
    RedisUrl,
    Secret,
    Sha256,
    SigningSecret,
    WebhookToken,
    is_loopback_host,
)


class Values(BaseModel):
    secret: Secret | None = None
    token: WebhookToken | None = None
    signing: SigningSecret | None = None
    redis: RedisUrl | None = None
    proxy: ProxyUrl | None = None
    sha256: Sha256 | None = None
    network: Network | None = None
    host: Host | None = None
    url: HttpUrl | None = None
    port: Port | None = None


def whsec(size: int) -> str:
    return "whsec_" + base64.b64encode(b"k" * size).decode()


@pytest.mark.parametrize(
    ("key", "value", "held"),
    [
        ("network", "10.0.0.0/8", "10.0.0.0/8"),
        ("network", "2001:db8::/32", "2001:db8::/32"),
        ("network", "192.0.2.7", "192.0.2.7"),
        ("host", "[::1]", "::1"),
        ("host", "relay.internal", "relay.internal"),
        ("url", "https://relay.example.com/in/", "https://relay.example.com/in"),
        ("url", "http://[::1]:8080", "http://[::1]:8080"),
        ("sha256", "AB" * 32, "ab" * 32),
        ("port", 0, 0),
        ("port", 65535, 65535),
    ],
)
def test_values_are_taken_and_put_into_one_form(key: str, value: object, held: object) -> None:
    """A valid configuration would be refused, or the same thing be held in two spellings."""
    assert getattr(Values.model_validate({key: value}), key) == held


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("secret", "sk_abc123"),
        ("token", "abc_DEF-123.~+="),
        ("signing", whsec(24)),
        ("signing", whsec(64)),
        ("signing", whsec(32).rstrip("=")),
        ("redis", "redis://:pw@host/0"),
        ("redis", "rediss://host"),
        ("redis", "unix:///run/redis.sock"),
        ("proxy", "http://user:pass%2Fword@proxy.example:3128"),
        ("proxy", "https://[::1]:443/"),
        ("proxy", "direct"),
    ],
)
def test_secrets_are_taken_as_they_are(key: str, value: str) -> None:
    """A valid secret would be refused or changed."""
    assert getattr(Values.model_validate({key: value}), key).get_secret_value() == value


@pytest.mark.parametrize(
    ("key", "value", "advice"),
    [
        ("secret", "", "is empty"),
        ("secret", "two words", "white space"),
        ("secret", "line\n", "white space"),
        ("secret", "schlüssel", "ASCII"),
        ("token", "a/b", "part of a URL"),
        ("token", "a?b", "part of a URL"),
        ("token", "", "is empty"),
        ("signing", "aGVsbG8=", "must begin with whsec_"),
        ("signing", "whsec_!!!!", "base64"),
        ("signing", whsec(23), "it holds 23"),
        ("signing", whsec(65), "it holds 65"),
        ("redis", "http://host", "redis://"),
        ("redis", "redis://host:99999", "database number"),
        ("redis", "redis://host/zero", "database number"),
        ("redis", "redis://host/0?timeout=1", "database number"),
        ("proxy", "proxy.example:3128", "http://user:password@proxy.example:3128"),
        ("proxy", "socks5://proxy.example", "http:// or https:// are possible"),
        ("proxy", "none", "direct: no proxy at all"),
        ("proxy", "http://user:pa/ss@proxy.example", "http://user:password@proxy.example:3128"),
        ("proxy", "http://proxy.example/path", "must end with the port"),
        ("proxy", "http://proxy.example?x", "must end with the port"),
        ("sha256", "ab" * 31, "64 hex digits"),
        ("sha256", "zz" * 32, "64 hex digits"),
        ("network", "10.1.2.3/8", "write 10.0.0.0/8"),
        ("network", "everywhere", "IP network"),
        ("host", "http://x", "host name"),
        ("host", "", "host name"),
        ("host", "*", "host name"),
        ("url", "relay.example.com", "https://"),
        ("url", "ftp://x", "https://"),
        ("url", "https://", "names a host"),
        ("url", "https://x:99999", "https://"),
        ("url", "https://[", "https://"),
        ("url", "https://x/?a=1", "without user, query"),
        ("url", "https://x/#a", "without user, query"),
        ("url", "https://user:pw@x", "without user, query"),
        ("port", 65536, "65535"),
        ("port", -1, "0"),
    ],
)
def test_other_values_are_refused_with_what_to_write(key: str, value: object, advice: str) -> None:
    """A mistake would surface as a strange failure at run time, or be refused without saying what to write."""
    with pytest.raises(ValidationError) as caught:
        Values.model_validate({key: value})
    assert advice in caught.value.errors()[0]["msg"]


@pytest.mark.parametrize(
    ("key", "value"),
    [("secret", "hush hush"), ("token", "hush/hush"), ("signing", "hush-hush"), ("signing", "whsec_hush-hush")],
)
def test_no_refusal_repeats_a_secret(key: str, value: str) -> None:
    """A mistyped secret would be printed by ``relay check`` and land in a build's log."""
    with pytest.raises(ValidationError) as caught:
        Values.model_validate({key: value})
    assert "hush" not in caught.value.errors()[0]["msg"]


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True), ("localhost", True), ("0.0.0.0", False),
     ("::", False), ("relay.internal", False), ("10.0.0.1", False), ("", False)],
)  # fmt: skip
def test_loopback_hosts_are_known(host: str, loopback: bool) -> None:
    """An exposed listener would be taken for a private one, and its operator not be warned."""
    assert is_loopback_host(host) is loopback
