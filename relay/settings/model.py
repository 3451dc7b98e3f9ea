"""Every setting with its default, by section. Durations in seconds, sizes in bytes.

What each key is for, in the words of its users, stands beside it in ``config/relay.example.yaml``; a test holds the two
together.
"""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    SerializeAsAny,
    field_validator,
    model_validator,
)
from pydantic import ValidationInfo as Info
from pydantic_core import PydanticCustomError

from relay.core.network import UNIX
from relay.core.sink import SinkConfig
from relay.core.units import Duration, Size
from relay.settings.archive import ArchiveSettings
from relay.settings.tls import IndexTlsSettings, Section, TlsSettings
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

OnDisconnect = Literal["cancel", "drain"]
ClientName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
PositiveDuration = Annotated[Duration, Field(gt=0)]


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _require_room(section: str, max_body: int, max_inflight_bytes: int) -> None:
    if max_inflight_bytes < max_body:
        reason = f"must be at least {section}.max_body, or relay could never accept such a body"
        raise _conflict(f"{section}.max_inflight_bytes", reason)


def _require_port(section: str, host: str, tls: TlsSettings | None) -> None:
    if tls is not None and host.startswith(UNIX):
        reason = f"has no use on a unix socket, which nobody can read on the way: remove it, or {section}.host"
        raise _conflict(f"{section}.tls", reason)


class ServerSettings(Section):
    """The main listener. ``proxy_protocol``: each connection begins with the header of one of ``trusted_proxies``."""

    host: Host = "127.0.0.1"
    port: Port = 8080
    public_url: HttpUrl | None = None
    trusted_proxies: tuple[Network, ...] = ()
    api_tokens: tuple[Secret, ...] = ()
    drain_timeout: Duration = 30.0
    header_timeout: PositiveDuration = 10.0
    keepalive_timeout: Duration = 75.0
    send_timeout: PositiveDuration = 60.0
    max_consumers: Annotated[int, Field(ge=1)] = 2000
    max_connections: Annotated[int, Field(ge=1)] = 10_000
    tls: TlsSettings | None = None
    proxy_protocol: bool = False

    @property
    def is_public(self) -> bool:
        """Whether others than this machine's users reach it: through a proxy, to which ``public_url`` leads."""
        return self.public_url is not None and not is_loopback_host(urlsplit(self.public_url).hostname or "")

    @model_validator(mode="after")
    def _tls_has_a_port(self) -> Self:
        _require_port("server", self.host, self.tls)
        return self

    @model_validator(mode="after")
    def _somebody_may_connect(self) -> Self:
        if self.proxy_protocol and not self.trusted_proxies and not self.host.startswith(UNIX):
            raise _conflict(
                "server.trusted_proxies",
                "is empty while server.proxy_protocol is true, so relay would refuse every connection: add the "
                "networks of the proxies, like 10.0.0.0/8",
            )
        return self

    @model_validator(mode="after")
    def _the_api_is_guarded(self) -> Self:
        if self.is_public and not self.api_tokens:
            raise _conflict(
                "server.api_tokens",
                "is empty while server.public_url is set: behind a proxy every request looks local, so /v1 would be "
                "open to everybody. Add a token (openssl rand -hex 32), or remove server.public_url",
            )
        return self


class AdminSettings(Section):
    """The listener of the probes and the metrics."""

    host: Host = "127.0.0.1"
    port: Port = 9090
    tls: TlsSettings | None = None

    @model_validator(mode="after")
    def _tls_has_a_port(self) -> Self:
        _require_port("admin", self.host, self.tls)
        return self


class JournalSettings(Section):
    """The journal. ``max_backlog``: events that some sink has not got yet; at that many, deliveries get a 503.

    ``must_exist``: a start that does not find it fails, instead of beginning with an empty one.
    """

    path: Path = Path("var/relay.db")
    must_exist: bool = False
    retention: Duration = 7 * 86_400.0
    dead_letter_retention: Duration = 30 * 86_400.0
    max_size: Annotated[Size, Field(ge=1 << 20)] = 10 << 30
    max_backlog: Annotated[int, Field(ge=1)] = 1_000_000


class NovitaSettings(Section):
    """Who may deliver Novita's webhooks. Several tokens or secrets are valid at once, for rotation."""

    tokens: tuple[WebhookToken, ...] = ()
    signing_secrets: tuple[SigningSecret, ...] = ()
    signature_tolerance: PositiveDuration = 300.0
    allow_from: tuple[Network, ...] = ()


class WebhooksSettings(Section):
    """Limits of all webhooks, and the sources, each under its name.

    ``max_inflight_bytes`` counts the bodies of all deliveries together, as far as they have come.
    """

    max_body: Annotated[Size, Field(ge=1024)] = 1 << 20
    max_inflight_bytes: Annotated[Size, Field(ge=1024)] = 64 << 20
    body_timeout: PositiveDuration = 10.0
    novita: NovitaSettings = NovitaSettings()

    @model_validator(mode="after")
    def _a_body_fits(self) -> Self:
        _require_room("webhooks", self.max_body, self.max_inflight_bytes)
        return self


class UpstreamSettings(Section):
    """The API behind the proxy and the reconciler. There is no total timeout: a stream may last for hours.

    ``proxy``: the egress proxy, or ``direct``; ``None``: as ``HTTPS_PROXY`` and ``NO_PROXY`` say.
    """

    base_url: HttpUrl = "https://api.novita.ai"
    api_key: Secret | None = None
    connect_timeout: PositiveDuration = 5.0
    first_byte_timeout: PositiveDuration = 600.0
    idle_timeout: PositiveDuration = 300.0
    keepalive_timeout: Duration = 15.0
    ssl_cafile: Path | None = None
    proxy: ProxyUrl | None = None


class ClientSettings(Section):
    """One client of the proxy. No ``models``: all of them. No ``on_disconnect``: as ``proxy.on_disconnect`` says.

    Without one of the limits it has none. ``tokens_per_minute`` counts those of chats that have ended.
    """

    key: Secret | None = None
    key_sha256: Sha256 | None = None
    models: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    max_concurrent: Annotated[int, Field(ge=1)] | None = None
    requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    tokens_per_minute: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    on_disconnect: OnDisconnect | None = None

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if (self.key is None) == (self.key_sha256 is None):
            raise ValueError("needs exactly one of key and key_sha256")
        return self

    @property
    def key_digest(self) -> bytes:
        """SHA-256 of the client's key, however it was given."""
        if self.key is not None:
            return hashlib.sha256(self.key.get_secret_value().encode()).digest()
        return bytes.fromhex(self.key_sha256 or "")


class CaptureSettings(Section):
    """What is published of a chat."""

    content: bool = True
    request: Literal["none", "metadata", "full"] = "metadata"


class ProxySettings(Section):
    """The proxy in front of the upstream. ``max_inflight_bytes`` counts the bodies of all its requests together."""

    # Pydantic copies it, so that no two configurations share it.
    clients: dict[ClientName, ClientSettings] = {}  # noqa: RUF012
    chunks: Literal["off", "coalesced", "each"] = "coalesced"
    chunk_interval: Duration = 0.25
    on_disconnect: OnDisconnect = "cancel"
    drain_timeout: PositiveDuration = 300.0
    max_drain_size: Size = 16 << 20
    idle_timeout: PositiveDuration = 60.0
    max_retries: Annotated[int, Field(ge=0, le=10)] = 0
    capture: CaptureSettings = CaptureSettings()
    max_body: Annotated[Size, Field(ge=1024)] = 64 << 20
    max_inflight_bytes: Annotated[Size, Field(ge=1024)] = 256 << 20
    body_timeout: PositiveDuration = 300.0

    @model_validator(mode="after")
    def _a_body_fits(self) -> Self:
        _require_room("proxy", self.max_body, self.max_inflight_bytes)
        return self

    @field_validator("clients")
    @classmethod
    def _keys_differ(cls, clients: dict[str, ClientSettings]) -> dict[str, ClientSettings]:
        owners: dict[bytes, str] = {}
        for name, client in clients.items():
            owner = owners.setdefault(client.key_digest, name)
            if owner != name:
                raise ValueError(f"{owner} and {name} have the same key and cannot be distinguished")
        return clients

    def on_disconnect_of(self, client: str | None) -> OnDisconnect:
        """What happens to a stream when this client (``None``: an unnamed one) hangs up."""
        known = self.clients.get(client) if client is not None else None
        return (known.on_disconnect if known else None) or self.on_disconnect


class ReconcileSettings(Section):
    """Polling for tasks whose webhook does not come. ``max_rate`` is polls per second.

    ``unknown_timeout``: how long the upstream may not know a task, or not answer its last poll.
    """

    enabled: bool = True
    first_after: Duration = 60.0
    every: PositiveDuration = 30.0
    give_up_after: PositiveDuration = 86_400.0
    unknown_timeout: PositiveDuration = 600.0
    max_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 10.0
    concurrency: Annotated[int, Field(ge=1)] = 8

    @model_validator(mode="after")
    def _polls_at_least_once(self) -> Self:
        if self.give_up_after <= self.first_after:
            raise _conflict(
                "reconcile.give_up_after",
                "must be longer than reconcile.first_after, or tasks are abandoned before their first poll",
            )
        return self


class DedupSettings(Section):
    """How long, and how widely, repetitions are recognized."""

    window: PositiveDuration = 7 * 86_400.0
    shared_index: RedisUrl | None = None
    shared_index_tls: IndexTlsSettings | None = None

    @property
    def index_login(self) -> dict[str, str] | None:
        """The address and the certificates of the shared index, as keys of a Redis sink; ``None`` without one."""
        if self.shared_index is None:
            return None
        return {"url": self.shared_index.get_secret_value(), **(self.shared_index_tls or IndexTlsSettings()).keys}

    @property
    def files(self) -> tuple[Path, ...]:
        """The files with certificates."""
        return tuple(map(Path, (self.shared_index_tls or IndexTlsSettings()).keys.values()))


class TasksSettings(Section):
    """What task events contain. ``raw``: the upstream's own object, redacted."""

    progressed: bool = False
    raw: bool = True


class ConsoleSettings(Section):
    """The page at ``/``."""

    enabled: bool = True


class LogSettings(Section):
    """The log. ``auto``: text on a terminal, else JSON."""

    level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class TracingSettings(Section):
    """Spans for an OpenTelemetry collector. What is ``None`` is as the variables ``OTEL_*`` say.

    ``sample_ratio``: the part of the traces begun here that is recorded.
    """

    enabled: bool = False
    endpoint: HttpUrl | None = None
    sample_ratio: Annotated[float, Field(ge=0, le=1)] | None = None

    @field_validator("enabled")
    @classmethod
    def _is_installed(cls, enabled: bool) -> bool:
        return _require_opentelemetry(enabled)


class OtlpSettings(Section):
    """Metrics and events for an OpenTelemetry collector. ``endpoint``: ``None``: as the variables ``OTEL_*`` say.

    ``metrics`` are sent each ``interval``; ``events`` has the details of each chat, with ``content`` what was said.
    """

    endpoint: HttpUrl | None = None
    metrics: bool = False
    interval: Annotated[Duration, Field(ge=1)] = 60.0
    events: bool = False
    content: bool = False

    @field_validator("metrics", "events")
    @classmethod
    def _is_installed(cls, enabled: bool) -> bool:
        return _require_opentelemetry(enabled)


class TelemetrySettings(Section):
    """What is sent elsewhere beside spans."""

    otlp: OtlpSettings = OtlpSettings()


class Settings(Section):
    """The whole configuration. ``Settings()`` is the relay without any: on loopback, with no sink."""

    server: ServerSettings = ServerSettings()
    admin: AdminSettings = Field(default=AdminSettings(), validate_default=True)
    journal: JournalSettings = JournalSettings()
    webhooks: WebhooksSettings = WebhooksSettings()
    upstream: UpstreamSettings = UpstreamSettings()
    proxy: ProxySettings = Field(default=ProxySettings(), validate_default=True)
    reconcile: ReconcileSettings = ReconcileSettings()
    dedup: DedupSettings = DedupSettings()
    tasks: TasksSettings = TasksSettings()
    sinks: tuple[SerializeAsAny[SinkConfig], ...] = ()
    archive: ArchiveSettings = ArchiveSettings()
    console: ConsoleSettings = ConsoleSettings()
    log: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    identity: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")] | None = None
    _secret_files: tuple[Path, ...] = PrivateAttr(())
    _late_files: tuple[str, ...] = PrivateAttr(())

    @field_validator("admin")
    @classmethod
    def _listeners_differ(cls, admin: AdminSettings, info: Info) -> AdminSettings:
        server: ServerSettings | None = info.data.get("server")
        if server is None or admin.host != server.host:
            return admin
        if admin.host.startswith(UNIX):
            raise _conflict("admin.host", "is also server.host; give each listener a socket of its own")
        if admin.port == server.port != 0:
            raise _conflict("admin.port", "is also server.port on the same host; give each listener its own")
        return admin

    @field_validator("proxy")
    @classmethod
    def _injected_key_is_guarded(cls, proxy: ProxySettings, info: Info) -> ProxySettings:
        upstream: UpstreamSettings | None = info.data.get("upstream")
        if upstream is not None and upstream.api_key is not None and not proxy.clients:
            raise _conflict(
                "upstream.api_key",
                "is added to the requests of everyone who can reach relay, so clients must have keys of their own: "
                "add one under proxy.clients, or remove it",
            )
        return proxy

    @field_validator("sinks")
    @classmethod
    def _labels_differ(cls, sinks: tuple[SinkConfig, ...]) -> tuple[SinkConfig, ...]:
        labels = [sink.label for sink in sinks]
        for position, label in enumerate(labels):
            if label in labels[:position]:
                raise _conflict("sinks", f"two sinks have the label {label}: give each its own name")
        return sinks

    @property
    def webhooks_url(self) -> str | None:
        """What the webhook addresses of submitted tasks begin with; ``None`` without ``server.public_url``."""
        return f"{self.server.public_url}/webhooks/novita" if self.server.public_url is not None else None

    @property
    def address_life(self) -> float:
        """Seconds for which the webhook address of a task is good: as long as it is waited for or remembered."""
        return max(self.reconcile.give_up_after, self.dedup.window)

    @property
    def upstream_key(self) -> str | None:
        """The upstream's API key in clear, where the relay has one."""
        return self.upstream.api_key.get_secret_value() if self.upstream.api_key is not None else None

    @property
    def secret_files(self) -> tuple[Path, ...]:
        """The files that secrets were read from."""
        return self._secret_files

    @property
    def watched_files(self) -> tuple[Path, ...]:
        """All files whose change is one of the configuration: of secrets, of certificates, and what the sinks read."""
        listening = (file for tls in (self.server.tls, self.admin.tls) if tls is not None for file in tls.files)
        trusted = (self.upstream.ssl_cafile,) if self.upstream.ssl_cafile is not None else ()
        of_sinks = (Path(file) for sink in self.sinks for file in sink.files)
        return (*self._secret_files, *listening, *trusted, *self.dedup.files, *of_sinks)

    @property
    def late_files(self) -> tuple[str, ...]:
        """Files of secrets that did not answer: what they held before is in force."""
        return self._late_files

    def note_secret_files(self, files: Iterable[str], late: Sequence[str] = ()) -> None:
        """Remembers where secrets were read from; called once, by their reader."""
        self._secret_files = tuple(Path(file) for file in files)
        self._late_files = tuple(late)

    @property
    def identity_name(self) -> str:
        """Who this replica is to its sinks: as configured, else the host name. At most 100 of ``A-Za-z0-9._-``."""
        if self.identity is not None:
            return self.identity
        return re.sub(r"[^A-Za-z0-9._-]+", "-", socket.gethostname()).strip("-.")[:100] or "relay"


def _require_opentelemetry(enabled: bool) -> bool:
    if enabled and not _has_opentelemetry():
        raise ValueError("needs OpenTelemetry, which is not installed: pip install 'relay-bridge[otel]'")
    return enabled


def _has_opentelemetry() -> bool:
    """Whether the extra ``otel`` is installed. Looks for its last package, and imports nothing of it."""
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False


def _conflict(key: str, message: str) -> PydanticCustomError:
    """Two sections contradict each other: ``key`` is the one to point at, rather than where the rule is checked."""
    context: dict[str, Any] = {"at": key}
    return PydanticCustomError("conflict", "{message}", context | {"message": message})
