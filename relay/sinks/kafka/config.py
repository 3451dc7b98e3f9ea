"""The keys of a Kafka sink, under the names that Kafka's clients use for them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from relay.core.sink import SinkConfig
from relay.core.units import Duration, Size


class Config(SinkConfig):
    """A Kafka sink.

    Sizes in bytes, durations in seconds once read. The order ``publish_timeout`` < ``transaction_timeout`` and
    ``publish_timeout`` < ``request_timeout`` is enforced: the relay must be the first to give a transaction up.
    """

    type: Literal["kafka"]
    bootstrap_servers: Annotated[str, Field(min_length=1)] = "localhost:9092"
    """Brokers to start from, ``host:port`` separated by commas."""
    prefix: Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{0,100}$")] = "relay."
    """Before each topic's name, and before the transactional id: one prefixed ACL covers them all."""
    content_mode: Literal["binary", "structured"] = "binary"
    """CloudEvents content mode."""

    create_topics: bool = True
    """Create missing topics at start. Otherwise they must exist."""
    partitions: Annotated[int, Field(ge=1, le=10_000)] = 6
    """Of a topic that the relay creates. Events of one subject share a partition."""
    replication_factor: Annotated[int, Field(ge=-1, le=100)] = -1
    """Of a topic that the relay creates; -1: the broker's ``default.replication.factor``."""

    compression_type: Literal["gzip", "lz4", "zstd", "snappy"] | None = None
    """All but gzip need the package ``cramjam``."""
    max_batch_events: Annotated[int, Field(ge=1, le=100_000)] = 3000
    """Events in one transaction, at most."""
    max_batch_bytes: Annotated[Size, Field(ge=1024)] = 4 * 1024 * 1024
    """Bytes of event data in one transaction, at most."""
    max_request_size: Annotated[Size, Field(ge=1024)] = 1024 * 1024
    """The largest record, headers included. Not above the broker's ``message.max.bytes``."""

    open_timeout: Annotated[Duration, Field(gt=0)] = 30.0
    """For connecting, checking topics, fencing predecessors and reading the checkpoint."""
    publish_timeout: Annotated[Duration, Field(gt=0)] = 10.0
    """For one transaction, from its begin to the broker's word that it is committed."""
    close_timeout: Annotated[Duration, Field(gt=0)] = 3.0
    """For closing connections."""
    request_timeout: Annotated[Duration, Field(gt=0)] = 20.0
    """For one answer of a broker."""
    transaction_timeout: Annotated[Duration, Field(gt=0)] = 15.0
    """After which the broker aborts the transaction of a relay that has died; until then its readers wait."""

    client_id: str | None = None
    """Default: ``relay-`` and the identity."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    ssl_cafile: str | None = None
    """PEM; default: the system's certificate authorities."""
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None
    ssl_password: SecretStr | None = None
    ssl_check_hostname: bool = True
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    sasl_plain_username: str | None = None
    sasl_plain_password: SecretStr | None = None

    def name_of(self, topic: str) -> str:
        return self.prefix + topic

    @field_validator("bootstrap_servers", mode="before")
    @classmethod
    def _addresses(cls, value: object) -> object:
        if isinstance(value, list) or (isinstance(value, str) and "://" in value):
            raise ValueError("must be one text without a scheme: host:port, separated by commas")
        return value

    @model_validator(mode="after")
    def _deadlines_in_order(self) -> Self:
        if self.publish_timeout >= min(self.transaction_timeout, self.request_timeout):
            raise ValueError("publish_timeout must be below transaction_timeout and request_timeout")
        return self

    @model_validator(mode="after")
    def _compression_available(self) -> Self:
        if self.compression_type is not None and not _can_compress(self.compression_type):
            raise ValueError(f"compression_type {self.compression_type} needs the package cramjam")
        return self

    @model_validator(mode="after")
    def _credentials_complete(self) -> Self:
        if self.security_protocol.startswith("SASL") and not (self.sasl_plain_username and self.sasl_plain_password):
            raise ValueError("security_protocol SASL_* needs sasl_plain_username and sasl_plain_password")
        if self.ssl_keyfile is not None and self.ssl_certfile is None:
            raise ValueError("ssl_keyfile needs ssl_certfile")
        return self


def _can_compress(codec: str) -> bool:
    from aiokafka import codec as codecs  # takes long to load, and most configurations do not ask

    return bool(getattr(codecs, f"has_{codec}")())
