"""One connection to one broker: what every client begins with, but a failure says which step it was and why.

aiokafka only logs what went wrong, and takes a refused token for accepted: the broker answers it with the reason, and
refuses the login only when the client has asked for more (RFC 7628, 3.2.3).
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.conn import AIOKafkaConnection, OAuthAuthenticator, collect_hosts
from aiokafka.errors import (
    AuthenticationFailedError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.admin import SaslAuthenticateResponse_v1

from relay.sinks.kafka.errors import no_connection, refused_login

REFUSED = (SaslAuthenticationFailed, AuthenticationFailedError, UnsupportedSaslMechanismError)


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a broker has agreed to. ``session_lifetime``: seconds after which it ends the connection (KIP-368)."""

    server: str
    tls: ssl.SSLObject | None
    session_lifetime: float | None


async def greet(options: dict[str, Any]) -> Greeting:
    """Connects to the first bootstrap server that lets it, logs in, and hangs up.

    Raises ``SinkUnavailable`` with what the last one said; a refused login is raised at once, since the others would
    refuse it, too.
    """
    failure: Exception | None = None
    for host, port in servers(options):
        try:
            return await _greet(host, port, options)
        except (OSError, KafkaError) as error:
            failure = error if isinstance(error, TimeoutError | KafkaError) else no_connection(f"{host}:{port}", error)
    assert failure is not None
    raise failure


def servers(options: dict[str, Any]) -> Sequence[tuple[str, int]]:
    """The bootstrap servers in the order in which they are configured."""
    return [(host, port) for host, port, _ in collect_hosts(options["bootstrap_servers"], randomize=False)]


async def _greet(host: str, port: int, options: dict[str, Any]) -> Greeting:
    others = {key: value for key, value in options.items() if key not in ("bootstrap_servers", "retry_backoff_ms")}
    connection = _Connection(host, port, **others)
    server = f"{host}:{port}"
    try:
        await connection.connect()
        tls = connection._writer.transport.get_extra_info("ssl_object")
    except REFUSED as error:
        raise refused_login(server, options, error) from error
    except KafkaConnectionError as error:
        # TLS 1.3: the client's certificate is looked at when the handshake is over for the client.
        raise error.__cause__ if isinstance(error.__cause__, ssl.SSLError) else error from error
    except OSError as error:
        raise _in_plain_words(error) if options.get("ssl_context") else error from error
    finally:
        if connection._writer is not None:
            connection._writer.transport.abort()
            connection.close()
    return Greeting(server, tls, connection.session_lifetime)


def _in_plain_words(error: OSError) -> OSError:
    """A port without TLS hangs up on the handshake, and so looks like one that is down."""
    hung_up = isinstance(error, ssl.SSLEOFError | ConnectionResetError | ConnectionAbortedError)
    return ssl.SSLError(0, "the broker closed the connection during the TLS handshake") if hung_up else error


class _Connection(AIOKafkaConnection):  # type: ignore[misc]
    """Hears what the broker says about the login."""

    session_lifetime: float | None = None

    async def send(self, request: Any, expect_response: bool = True) -> Any:
        response = await super().send(request, expect_response)
        if isinstance(response, SaslAuthenticateResponse_v1) and response.session_lifetime_ms:
            self.session_lifetime = response.session_lifetime_ms / 1000
        return response

    def authenticator_oauth(self) -> Any:
        return _Bearer(sasl_oauth_token_provider=self._sasl_oauth_token_provider)


class _Bearer(OAuthAuthenticator):  # type: ignore[misc]
    async def step(self, payload: bytes | None) -> Any:
        return (b"\x01", True) if self._token_sent and payload else await super().step(payload)
