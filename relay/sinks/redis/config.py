"""The keys of a Redis sink, under redis-py's names where it has one, and the addresses that they lead to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator

from relay.core.network import authority
from relay.core.sink import SinkConfig
from relay.core.units import Duration, Size

Address = Annotated[str, Field(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[^:\s@/\[\]]+):[0-9]{1,5}$")]
"""``host:port`` or ``[ipv6]:port``."""


class Node(NamedTuple):
    """An address: ``host`` and ``port``, or a unix socket's path and port 0."""

    host: str
    port: int

    def __str__(self) -> str:
        return authority(self.host, self.port) if self.port else self.host


RIGHTS = (
    "On all keys with its prefix the sink's user needs +evalsha +script|load +type +time +hmget +hset +xadd,"
    " for retention +xtrim, for shared_window +get +set, for wait_replicas +wait, for a database other than 0 +select,"
    " for cluster +cluster|slots."
)
"""What an ACL has to grant to the sink's user, and no more."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where to look for the primary and with which of redis-py's connection arguments. Timeouts in seconds."""

    nodes: tuple[Node, ...]
    connect_timeout: float
    timeout: float
    tls: Mapping[str, Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    cluster: bool = False
    sentinels: tuple[Node, ...] = ()
    sentinel_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    service_name: str = ""
    rights: str = RIGHTS
    """What the user needs, for the message of a refusal."""


class Config(SinkConfig):
    """``sinks: - {type: redis, ...}``; the keys are redis-py's where it has one.

    ``url``: ``redis://[user:password@]host[:port][/db]``, ``rediss://`` for TLS, ``unix:///path?db=n``; with
    ``sentinels`` only its user, password, db and scheme count. ``prefix`` stands before each key and must hold a
    hash tag. ``startup_nodes``: further nodes to try if ``cluster`` is set and the url's does not answer.
    Timeouts bound each connection attempt and each answer.

    ``retention``: deletes entries older than that when new ones are added (``XTRIM MINID ~``, so some stay longer). It
    does not ask whether they were consumed: a consumer that is further behind loses events. Off by default.

    ``wait_replicas``: after each batch, and when opening, wait (up to ``wait_timeout``) until that many replicas
    have received all that was written, and do not go on before. It narrows the window in which a failover loses
    batches to the last one; it does not close it: a replica that has received is not thereby the one elected, nor
    has it fsynced (https://redis.io/docs/latest/commands/wait/).

    ``allow_eviction``: publish although ``maxmemory-policy`` is ``allkeys-*``. Redis may then evict a stream, or
    the checkpoint alone, which repeats every event that the journal still holds. (``volatile-*`` evicts only keys
    with an expiry, which only the facts of ``shared_window`` have.)

    ``shared_window``: several replicas feed these streams, and the script skips what another one has published here
    within it, or publishes it as the contradiction that it is. Each event then costs a key of about 170 bytes for as
    long, and 10 microseconds in Redis instead of 5, so a relay that is alone leaves it off.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    RELOADED: ClassVar[frozenset[str]] = frozenset({"username", "password", "sentinel_username", "sentinel_password"})

    type: Literal["redis"]
    url: SecretStr = SecretStr("redis://localhost:6379/0")
    prefix: str = "{relay}:"
    username: str | None = None
    password: SecretStr | None = None
    cluster: bool = False
    startup_nodes: tuple[Address, ...] = ()
    sentinels: tuple[Address, ...] = ()
    service_name: str | None = None
    sentinel_username: str | None = None
    sentinel_password: SecretStr | None = None
    ssl_ca_certs: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None
    ssl_cert_reqs: Literal["required", "optional", "none"] = "required"
    ssl_check_hostname: bool = True
    socket_timeout: Annotated[Duration, Field(gt=0)] = 5.0
    socket_connect_timeout: Annotated[Duration, Field(gt=0)] = 5.0
    max_batch_events: Annotated[int, Field(ge=1, le=10_000)] = 200
    max_batch_bytes: Annotated[Size, Field(ge=1)] = 1024 * 1024
    max_event_bytes: Annotated[Size, Field(ge=1)] = 64 * 1024 * 1024
    retention: Annotated[Duration, Field(gt=0)] | None = None
    wait_replicas: Annotated[int, Field(ge=0)] = 0
    wait_timeout: Annotated[Duration, Field(gt=0)] = 1.0
    allow_eviction: bool = False
    shared_window: Annotated[Duration, Field(gt=0)] | None = None

    @property
    def files(self) -> Sequence[str]:
        return [file for file in (self.ssl_ca_certs, self.ssl_certfile, self.ssl_keyfile) if file is not None]

    @property
    def client_certificate(self) -> str | None:
        return self.ssl_certfile if self.url.get_secret_value().startswith("rediss://") else None

    @field_validator("url")
    @classmethod
    def _url_is_understood(cls, url: SecretStr) -> SecretStr:
        _parse_url(url.get_secret_value())
        return url

    @field_validator("prefix")
    @classmethod
    def _prefix_has_hash_tag(cls, prefix: str) -> str:
        # Redis hashes what is between the first "{" and the first "}" after it, if anything is.
        tag = prefix.partition("{")[2].partition("}")
        if not (tag[0] and tag[1]):
            raise ValueError(
                f'prefix {prefix!r} has no hash tag, so its keys would not share a slot; write it like "{{relay}}:"'
            )
        return prefix

    @model_validator(mode="after")
    def _topology_is_consistent(self) -> Self:
        if bool(self.sentinels) != bool(self.service_name):
            raise ValueError("sentinels and service_name belong together: give both or neither")
        if self.cluster and self.sentinels:
            raise ValueError("cluster and sentinels exclude each other: a cluster elects its primaries itself")
        if self.startup_nodes and not self.cluster:
            raise ValueError("startup_nodes need cluster: true")
        if self.cluster and _parse_url(self.url.get_secret_value())[1].get("db", 0) != 0:
            raise ValueError("a Redis Cluster has database 0 only: drop the number at the end of the url")
        if self.wait_timeout >= self.socket_timeout:
            raise ValueError("wait_timeout must be shorter than socket_timeout, or relay would not wait for its answer")
        return self

    def name_of(self, topic: str) -> str:
        """The key of the topic's stream."""
        return self.prefix + topic

    def endpoints(self) -> Endpoints:
        """The addresses and redis-py's connection arguments, the secrets among them revealed."""
        node, options, tls = _parse_url(self.url.get_secret_value())
        return Endpoints(
            nodes=(node, *map(_node, self.startup_nodes)),
            connect_timeout=self.socket_connect_timeout,
            timeout=self.socket_timeout,
            tls=self._tls() if tls else None,
            options=options | _credentials(self.username, self.password),
            cluster=self.cluster,
            sentinels=tuple(map(_node, self.sentinels)),
            sentinel_options=_credentials(self.sentinel_username, self.sentinel_password),
            service_name=self.service_name or "",
        )

    def _tls(self) -> dict[str, Any]:
        keys = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")
        return {key: getattr(self, key) for key in keys}


def _credentials(username: str | None, password: SecretStr | None) -> dict[str, Any]:
    given = {"username": username, "password": password.get_secret_value() if password else None}
    return {key: value for key, value in given.items() if value is not None}


def _node(address: str) -> Node:
    host, _, port = address.rpartition(":")
    return Node(host.strip("[]"), int(port))


def _parse_url(url: str) -> tuple[Node, dict[str, Any], bool]:
    """Address, login and database, and whether TLS. Stricter than redis-py's own, which ignores what it does not
    know and takes any option from the query, the retries included. Messages do not repeat the url: it may hold a
    password."""
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ValueError("url must start with redis://, rediss:// (TLS) or unix://")
    query = parse_qs(parts.query)
    unix = parts.scheme == "unix"
    if set(query) - ({"db"} if unix else set()) or parts.fragment:
        raise ValueError("url takes no options after ? or #: set them as keys of the sink")
    db = query["db"][0] if "db" in query else "" if unix else parts.path.strip("/")
    if not db.isdecimal() and db:
        raise ValueError("url must end in a database number, like redis://host:6379/0")
    try:
        node = Node(unquote(parts.path), 0) if unix else Node(parts.hostname or "localhost", parts.port or 6379)
    except ValueError:
        raise ValueError("url must hold a port from 1 to 65535") from None
    login = {"username": parts.username, "password": parts.password}
    options: dict[str, Any] = {key: unquote(value) for key, value in login.items() if value}
    return node, options | {"db": int(db or 0)}, parts.scheme == "rediss"
