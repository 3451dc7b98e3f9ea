"""The keys of a Kafka sink, under the names that Kafka's clients use for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from relay.core.event import TOPICS
from relay.core.sink import SinkConfig
from relay.core.units import Duration, Size

_TopicName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{1,249}$")]
_Name = Annotated[str, Field(pattern=r"^[A-Za-z]+$")]
_Value = Annotated[str, Field(pattern=r"^[\x21-\x7E \t\r\n]+$")]
"""Of an extension (RFC 7628, 3.1)."""


class Config(SinkConfig):
    """A Kafka sink.

    Sizes in bytes, durations in seconds once read. The order ``publish_timeout`` < ``transaction_timeout`` and
    ``publish_timeout`` < ``request_timeout`` is enforced: the relay must be the first to give a transaction up.
    """

    RELOADED: ClassVar[frozenset[str]] = frozenset(
        {
            "ssl_password",
            "sasl_plain_username",
            "sasl_plain_password",
            "sasl_oauthbearer_client_id",
            "sasl_oauthbearer_client_secret",
            "sasl_oauthbearer_token",
        }
    )

    type: Literal["kafka"]
    bootstrap_servers: Annotated[str, Field(min_length=1)] = "localhost:9092"
    """Brokers to start from, ``host:port`` separated by commas."""
    prefix: Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{0,100}$")] = "relay."
    """Before each topic's name, and before the transactional id: one prefixed ACL covers them all."""
    topics: Mapping[str, _TopicName] = {}
    """Names that topics have instead of prefix and name."""
    content_mode: Literal["binary", "structured"] = "binary"
    """CloudEvents content mode."""

    create_topics: bool = True
    """Create missing topics at start. Otherwise they must exist."""
    partitions: Annotated[int, Field(ge=1, le=10_000)] = 6
    """Of a topic that the relay creates. Events of one subject share a partition."""
    replication_factor: Annotated[int, Field(ge=-1, le=100)] = -1
    """Of a topic that the relay creates; -1: the broker's ``default.replication.factor``."""

    compression_type: Literal["gzip", "lz4", "zstd", "snappy"] | None = None
    """All but gzip need the extra ``compression``."""
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
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "AWS_MSK_IAM"] = "PLAIN"
    sasl_plain_username: str | None = None
    sasl_plain_password: SecretStr | None = None
    sasl_oauthbearer_token_endpoint_url: Annotated[str, Field(pattern="^https?://[!-~]+$")] | None = None
    """Of the OIDC provider that issues tokens for ``sasl_oauthbearer_client_id`` (RFC 6749, 4.4)."""
    sasl_oauthbearer_client_id: str | None = None
    sasl_oauthbearer_client_secret: SecretStr | None = None
    sasl_oauthbearer_scope: str | None = None
    sasl_oauthbearer_extensions: Mapping[_Name, _Value] = {}
    """Sent to the broker beside the token (KIP-342)."""
    sasl_oauthbearer_token: SecretStr | None = None
    """Instead of an endpoint: a token that something else renews in ``sasl_oauthbearer_token_file``, as Kubernetes
    does for a service account."""
    aws_region: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,50}$")] | None = None
    """Of the MSK cluster, for ``AWS_MSK_IAM``; default: as ``bootstrap_servers`` names it, else ``AWS_REGION``."""

    @property
    def files(self) -> Sequence[str]:
        return [file for file in (self.ssl_cafile, self.ssl_certfile, self.ssl_keyfile) if file is not None]

    @property
    def client_certificate(self) -> str | None:
        return self.ssl_certfile if self.security_protocol in ("SSL", "SASL_SSL") else None

    @property
    def principal(self) -> str:
        """Whom the broker takes relay for, in words; what it makes of a token or a certificate is its own rule."""
        if self.security_protocol.startswith("SASL"):
            named = self.sasl_mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
            whom = f"User:{self.sasl_plain_username}" if named else "the principal of its token"
            return f"{whom}, logged in by {self.sasl_mechanism}"
        return "the principal of its certificate" if self.client_certificate else "User:ANONYMOUS, without a login"

    def name_of(self, topic: str) -> str:
        return self.topics.get(topic, self.prefix + topic)

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
    def _topics_known(self) -> Self:
        if unknown := sorted(self.topics.keys() - set(TOPICS)):
            raise ValueError(f"topics names {unknown[0]}, but the topics are {', '.join(TOPICS)}")
        names = [self.name_of(topic) for topic in TOPICS]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"topics must have names of their own, {twice[0]} is that of two")
        return self

    @model_validator(mode="after")
    def _compression_available(self) -> Self:
        if self.compression_type is not None and not _can_compress(self.compression_type):
            raise ValueError(
                f"compression_type {self.compression_type} needs the package cramjam: "
                "pip install 'relay-bridge[compression]'"
            )
        return self

    @model_validator(mode="after")
    def _credentials_complete(self) -> Self:
        if self.security_protocol.startswith("SASL"):
            self._check_login()
        if self.ssl_keyfile is not None and self.ssl_certfile is None:
            raise ValueError("ssl_keyfile needs ssl_certfile")
        return self

    def _check_login(self) -> None:
        if self.sasl_mechanism == "AWS_MSK_IAM":
            if find_spec("aws_msk_iam_sasl_signer") is None:
                raise ValueError("sasl_mechanism AWS_MSK_IAM needs Amazon's signer: pip install 'relay-bridge[msk]'")
        elif self.sasl_mechanism == "OAUTHBEARER":
            self._check_token()
        elif not (self.sasl_plain_username and self.sasl_plain_password):
            raise ValueError(f"sasl_mechanism {self.sasl_mechanism} needs sasl_plain_username and sasl_plain_password")

    def _check_token(self) -> None:
        endpoint = self.sasl_oauthbearer_token_endpoint_url
        if (endpoint is None) == (self.sasl_oauthbearer_token is None):
            raise ValueError(
                "sasl_mechanism OAUTHBEARER needs either sasl_oauthbearer_token_endpoint_url or "
                "sasl_oauthbearer_token_file"
            )
        if endpoint and not (self.sasl_oauthbearer_client_id and self.sasl_oauthbearer_client_secret):
            raise ValueError(
                "sasl_oauthbearer_token_endpoint_url needs sasl_oauthbearer_client_id and "
                "sasl_oauthbearer_client_secret"
            )
        if "auth" in self.sasl_oauthbearer_extensions:
            raise ValueError("sasl_oauthbearer_extensions has auth, which is the name under which the token is sent")


def _can_compress(codec: str) -> bool:
    from aiokafka import codec as codecs  # takes long to load, and most configurations do not ask

    return bool(getattr(codecs, f"has_{codec}")())
