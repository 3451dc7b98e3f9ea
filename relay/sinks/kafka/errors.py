"""Turns vendor exceptions into codes from a bounded set, each with a hint."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from aiokafka import errors as kafka

from relay.core.network import refuses_our_certificate, speaks_no_tls, why
from relay.core.sink import SinkUnavailable

TOO_LARGE = (kafka.MessageSizeTooLargeError, kafka.RecordListTooLargeError, kafka.RecordTooLargeError)
"""The only refusals held against an event; the operator can fix every other one, and the relay waits."""

OUT_OF_SEQUENCE = (kafka.OutOfOrderSequenceNumber, kafka.UnknownProducerId)
"""The broker misses records that the producer numbered before these."""

RECORD_TOO_LARGE = "record_too_large"

_SLOW = (
    "Are the brokers up? A port that takes connections and says nothing may be another service's, or one for TLS: see "
    "security_protocol."
)

_DENIED: dict[type[kafka.KafkaError], str] = {
    kafka.TopicAuthorizationFailedError: "topic",
    kafka.GroupAuthorizationFailedError: "group",
    kafka.ClusterAuthorizationFailedError: "cluster",
    kafka.TransactionalIdAuthorizationFailed: "transactional id",
}
"""What each is about; aiokafka names it, or a set of them, as the argument."""

_CODES: tuple[tuple[tuple[type[BaseException], ...], str, str], ...] = (
    ((kafka.ProducerFenced, kafka.InvalidProducerEpoch), "fenced", ""),
    (
        (
            kafka.OutOfOrderSequenceNumber,
            kafka.InvalidProducerIdMapping,
            kafka.InvalidTxnState,
            kafka.UnknownProducerId,
        ),
        "producer_lost",
        "",
    ),
    (
        (kafka.SaslAuthenticationFailed, kafka.AuthenticationFailedError, kafka.UnsupportedSaslMechanismError),
        "authentication",
        "Check sasl_mechanism, sasl_plain_username and sasl_plain_password.",
    ),
    (
        # Of a token that a broker has refused: aiokafka takes it for accepted, and goes on.
        (kafka.IllegalSaslStateError,),
        "authentication",
        "The broker has ended the login. relay logs in again: what it says then is the reason.",
    ),
    (
        (ssl.SSLError,),
        "tls_failed",
        "Check ssl_cafile, that the certificate names the hosts of bootstrap_servers, and that security_protocol fits "
        "the port.",
    ),
    (
        (kafka.KafkaConnectionError, kafka.NodeNotReadyError, kafka.NoBrokersAvailable, OSError),
        "unreachable",
        "Check bootstrap_servers and security_protocol, and whether the brokers are up.",
    ),
    (
        (kafka.UnknownTopicOrPartitionError, kafka.InvalidTopicError),
        "topics_missing",
        "Was a topic deleted? relay creates it again when it reopens the sink, if create_topics is true.",
    ),
    (
        (kafka.InvalidTransactionTimeout,),
        "transaction_timeout",
        "Set transaction_timeout below the broker's transaction.max.timeout.ms.",
    ),
    ((kafka.InvalidTimestampError,), "clock", "The broker rejects the records' timestamps: compare the clocks."),
    ((kafka.UnsupportedVersionError, kafka.IncompatibleBrokerVersion), "version", "Kafka 2.8 or newer is needed."),
    ((kafka.BrokerResponseError,), "broker_error", ""),
)


def no_connection(server: str, error: OSError) -> SinkUnavailable:
    """The address that could not be connected to, and why."""
    if isinstance(error, ssl.SSLError):
        hint = next(hint for types, code, hint in _CODES if code == "tls_failed")
        if speaks_no_tls(error):
            hint = "That port takes plain connections: name Kafka's TLS port, or set security_protocol accordingly."
        elif refuses_our_certificate(error):
            hint = "Set ssl_certfile and ssl_keyfile to a certificate that the broker trusts and that has not ended."
        return SinkUnavailable("tls_failed", f"No TLS connection to Kafka {server}: {why(error)}.", hint=hint)
    hint = "Check bootstrap_servers and security_protocol, and whether the broker is up."
    return SinkUnavailable("unreachable", f"No connection to Kafka {server}: {why(error)}.", hint=hint)


_LOGIN_HINTS = {
    "OAUTHBEARER": "Compare the token with what the broker expects: issuer, audience, its signature's key, the clocks. "
    "Check sasl_oauthbearer_scope and sasl_oauthbearer_extensions.",
    "AWS_MSK_IAM": "The role needs kafka-cluster:Connect on this cluster. Check aws_region, the clock, and the port, "
    "which has to be the one for IAM (9098).",
}


def refused_login(server: str, options: Mapping[str, Any], error: BaseException) -> SinkUnavailable:
    """Which mechanism the broker refused, and what it said; of a token, which one it was."""
    provider = options.get("sasl_oauth_token_provider")
    mechanism = provider.mechanism if provider is not None else options["sasl_mechanism"]
    which = f" with the token ({provider.description})" if provider is not None else ""
    hint = _LOGIN_HINTS.get(mechanism, "Check sasl_mechanism, sasl_plain_username and sasl_plain_password.")
    message = f"Kafka {server} refuses the login by {mechanism}{which}: {_text_of(error)}."
    return SinkUnavailable("authentication", message, hint=hint)


def unauthorized(what: str, whom: str = "") -> SinkUnavailable:
    """Not allowed (to ``whom``), and what would allow it."""
    whom = f" ({whom})" if whom else ""
    return SinkUnavailable(
        "authorization",
        f"Kafka does not allow {what}{whom}.",
        hint="Grant Read, Write, Describe (and Create) on topics and Write, Describe on transactional ids "
        "with the sink's prefix.",
    )


def unavailable(error: BaseException, doing: str, whom: str = "", transactional_id: str = "") -> SinkUnavailable:
    """``error``, met while ``doing`` something, as the port's exception. ``whom``: the broker's name for relay."""
    if isinstance(error, SinkUnavailable):
        return error
    if isinstance(error, TimeoutError):
        return SinkUnavailable("timeout", f"Kafka did not answer in time ({doing}).", hint=_SLOW)
    error = _unwrapped(error)
    if isinstance(error, tuple(_DENIED)):
        return unauthorized(f"{doing}: rights are missing on the {_denied(error, transactional_id)}", whom)
    for types, code, hint in _CODES:
        if isinstance(error, types):
            return SinkUnavailable(code, f"{doing[0].upper()}{doing[1:]} failed: {_text_of(error)}.", hint=hint)
    return SinkUnavailable("client_error", f"{doing[0].upper()}{doing[1:]} failed: {_text_of(error)}.")


def _unwrapped(error: BaseException) -> BaseException:
    """What ended aiokafka's sender, where it says only that something unexpected did."""
    while type(error) is kafka.KafkaError and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return error


def _denied(error: BaseException, transactional_id: str) -> str:
    kind = next(word for type_, word in _DENIED.items() if isinstance(error, type_))
    # A batch that is refused for its transactional id comes without it.
    unnamed = transactional_id if isinstance(error, kafka.TransactionalIdAuthorizationFailed) else ""
    names = error.args[0] if error.args else (unnamed or ())
    return " ".join([kind, *([names] if isinstance(names, str) else sorted(map(str, names)))])


def _text_of(error: BaseException) -> str:
    text = str(error)
    return (
        f"{type(error).__name__}: {text}" if text and type(error).__name__ not in text else text or type(error).__name__
    )
