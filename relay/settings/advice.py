"""Settings that are valid but probably a mistake. Each text says what will happen and what to do; none has a secret."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from pydantic import SecretStr

from relay.settings.model import Settings
from relay.settings.values import is_loopback_host

MIN_TOKEN = 22
"""Characters of a URL-safe alphabet (6 bits each) that can hold 128 random bits."""


def warnings(settings: Settings) -> list[str]:
    """What an operator should look at, in the order of the configuration; empty when there is nothing."""
    parts = (_exposure, _weak_secrets, _clear_text, _polls_without_key, _without_use)
    return [warning for part in parts for warning in part(settings)]


def _exposure(settings: Settings) -> Iterator[str]:
    server, tokens = settings.server, settings.webhooks.novita.tokens
    exposed = not is_loopback_host(server.host)
    if (exposed or server.is_public) and not tokens:
        yield (
            "webhooks.novita.tokens is empty, so relay accepts webhooks only at addresses that it gave to its own "
            "tasks, not for tasks of other replicas or webhooks configured by hand: add a token (openssl rand -hex "
            "32)."
        )
    if exposed and not server.api_tokens:
        yield (
            f"server.api_tokens is empty while server.host is {server.host}: /v1/** and the console refuse every "
            "request. Add a token (openssl rand -hex 32)."
        )


def _weak_secrets(settings: Settings) -> Iterator[str]:
    yield from _short("webhooks.novita.tokens", settings.webhooks.novita.tokens)
    yield from _short("server.api_tokens", settings.server.api_tokens)
    for name, client in settings.proxy.clients.items():
        yield from _short(f"proxy.clients.{name}.key", [client.key] if client.key else [])


def _short(key: str, secrets: Iterable[SecretStr]) -> Iterator[str]:
    if any(len(secret.get_secret_value()) < MIN_TOKEN for secret in secrets):
        yield f"{key} is easy to guess: it has fewer than {MIN_TOKEN} characters. Use openssl rand -hex 32."


def _clear_text(settings: Settings) -> Iterator[str]:
    if _is_clear(settings.server.public_url):
        yield "server.public_url begins with http://, so webhook tokens cross the network unencrypted: use https://."
    if _is_clear(settings.upstream.base_url):
        yield "upstream.base_url begins with http://, so API keys cross the network unencrypted: use https://."


def _is_clear(url: str | None) -> bool:
    parts = urlsplit(url or "")
    return parts.scheme == "http" and not is_loopback_host(parts.hostname or "")


def _polls_without_key(settings: Settings) -> Iterator[str]:
    """Of relays that tasks are submitted through. One that only receives webhooks polls for nothing."""
    submits = settings.server.public_url is not None or bool(settings.proxy.clients)
    local = is_loopback_host(urlsplit(settings.upstream.base_url).hostname or "")
    if settings.reconcile.enabled and submits and settings.upstream.api_key is None and not local:
        yield (
            "upstream.api_key is not set, so polls for tasks whose webhook is lost go without credentials, which "
            "the upstream will refuse: set it, or set reconcile.enabled to false."
        )


def _without_use(settings: Settings) -> Iterator[str]:
    if settings.dedup.shared_index is not None and all(sink.type != "kafka" for sink in settings.sinks):
        yield (
            "dedup.shared_index is set, but no sink needs it: it is for replicas that feed one Kafka; if they feed "
            "one Redis, set the sink's shared_window."
        )
    login = settings.dedup.index_login
    if settings.dedup.shared_index_tls is not None and not (login and login["url"].startswith("rediss://")):
        yield "dedup.shared_index_tls is set, but is used only if dedup.shared_index begins with rediss:// (TLS)."
    otlp = settings.telemetry.otlp
    if otlp.content and not otlp.events:
        yield "telemetry.otlp.content is true, but only events have content: set telemetry.otlp.events, or remove it."
