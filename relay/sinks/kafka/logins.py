"""What the sink's connections log in with, renewed before it ends: certificates, passwords, tokens."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiokafka.abc import AbstractTokenProvider

from relay.core.sink import SinkUnavailable
from relay.sinks.kafka.config import Config
from relay.sinks.kafka.msk import described_url, msk_token
from relay.sinks.kafka.tokens import Token, described, fetch_token, token_of

RETRY_BACKOFF_MS = 100
_RENEWED_AFTER = 0.8
"""Of a credential's lifetime, as librdkafka does."""
_TRANSACTION = 10.0
"""Seconds that are left for a transaction under way; of a short lifetime a tenth."""
_RETRY_AFTER = 5.0
"""Seconds from one failed renewal to the next, while the credential is still good; less where it ends soon."""


@dataclass(frozen=True, slots=True, eq=False)
class Login:
    """``options`` are aiokafka's; ``due`` and ``ends`` are times of the event loop's clock, ``None`` for never."""

    options: dict[str, Any] = field(repr=False)
    due: float | None = None
    ends: float | None = None


def login_until(options: dict[str, Any], now: float, *lifetimes: float | None) -> Login:
    """A login that ends with the shortest of these lifetimes (seconds; ``None``: it has no end).

    No transaction should be begun that the broker would cut: so it ends some seconds earlier.
    """
    ending = [lifetime for lifetime in lifetimes if lifetime is not None]
    if not ending:
        return Login(options)
    lifetime = min(ending)
    return Login(options, now + _RENEWED_AFTER * lifetime, now + max(0.9 * lifetime, lifetime - _TRANSACTION))


class Logins:
    """The login of one sink, and the next one in time. ``obtain`` gets one, which may take a while or fail.

    ``renewed`` is called when there is a new one although nobody has asked.
    """

    def __init__(self, obtain: Callable[[], Awaitable[Login]], renewed: Callable[[Login], None]) -> None:
        self._obtain = obtain
        self._renewed = renewed
        self._held: Login | None = None
        self._renewing: asyncio.Task[None] | None = None

    @property
    def held(self) -> Login | None:
        """What is good now; ``None``: it has ended, or there is none yet."""
        held = self._held
        if held is not None and held.ends is not None and held.ends <= asyncio.get_running_loop().time():
            return None
        return held

    async def current(self) -> Login:
        """What is good now, obtained if need be. Raises what ``obtain`` does."""
        if (held := self.held) is not None:
            return held
        self.forget()
        self._held = held = await self._obtain()
        if held.due is not None:
            self._renewing = asyncio.create_task(self._keep_renewing(held))
        return held

    def forget(self) -> None:
        """Has the next one obtained: the configuration has changed, or this one is of no use."""
        self._held = None
        if self._renewing is not None:
            self._renewing.cancel()
            self._renewing = None

    async def _keep_renewing(self, login: Login) -> None:
        """Ends when the login does: who needs the next one then learns why there is none."""
        loop = asyncio.get_running_loop()
        while login.due is not None and login.ends is not None:
            await asyncio.sleep(login.due - loop.time())
            while (left := login.ends - loop.time()) > 0:
                with suppress(SinkUnavailable):
                    self._held = login = await self._obtain()
                    self._renewed(login)
                    break
                await asyncio.sleep(min(_RETRY_AFTER, left / 4 + 0.1))
            else:
                return


async def options_of(config: Config, client_id: str) -> tuple[dict[str, Any], float | None]:
    """What every aiokafka client needs to connect, and for how many seconds that is good; ``None``: no end is known.

    Raises ``SinkUnavailable`` where a TLS file cannot be read or no token is to be had.
    """
    options = connection_options(config, client_id)
    if not config.security_protocol.startswith("SASL") or config.sasl_mechanism not in ("OAUTHBEARER", "AWS_MSK_IAM"):
        return options, None
    token = await _token(config)
    options["sasl_mechanism"] = "OAUTHBEARER"  # which is how MSK takes IAM's tokens of other clients than Java's
    options["sasl_oauth_token_provider"] = OneToken(token.value, config)
    return options, token.lifetime


async def _token(config: Config) -> Token:
    if config.sasl_mechanism == "AWS_MSK_IAM":
        return await msk_token(config)
    if config.sasl_oauthbearer_token is None:
        return await fetch_token(config)
    token = token_of(config.sasl_oauthbearer_token.get_secret_value().strip())
    # The file is read again when it changes: until then there is nothing newer, and so no renewal.
    return Token(token.value, None)


class OneToken(AbstractTokenProvider):  # type: ignore[misc]
    """A token that is good for as long as the connections that it opens are used."""

    def __init__(self, token: str, config: Config) -> None:
        self._token = token
        self._extensions = config.sasl_oauthbearer_extensions
        self.mechanism = config.sasl_mechanism

    @property
    def description(self) -> str:
        """What may be shown of it."""
        return described_url(self._token) if self.mechanism == "AWS_MSK_IAM" else described(self._token)

    async def token(self) -> str:
        return self._token

    def extensions(self) -> Mapping[str, str]:
        return self._extensions


def connection_options(config: Config, client_id: str) -> dict[str, Any]:
    """What needs no waiting: all but a token. Raises ``SinkUnavailable`` where a TLS file cannot be read."""
    options: dict[str, Any] = {
        "bootstrap_servers": config.bootstrap_servers,
        "client_id": config.client_id or client_id,
        "request_timeout_ms": int(config.request_timeout * 1000),
        "retry_backoff_ms": RETRY_BACKOFF_MS,
        "security_protocol": config.security_protocol,
    }
    if config.security_protocol in ("SSL", "SASL_SSL"):
        options["ssl_context"] = _ssl_context(config)
    if config.security_protocol.startswith("SASL"):
        options["sasl_mechanism"] = config.sasl_mechanism
        options["sasl_plain_username"] = config.sasl_plain_username
        if config.sasl_plain_password is not None:
            options["sasl_plain_password"] = config.sasl_plain_password.get_secret_value()
    return options


def _ssl_context(config: Config) -> ssl.SSLContext:
    """Built for each login, so that changed certificates come with it."""
    try:
        context = ssl.create_default_context(cafile=config.ssl_cafile)
        context.check_hostname = config.ssl_check_hostname
        if config.ssl_certfile is not None:
            password = config.ssl_password.get_secret_value() if config.ssl_password else ""
            context.load_cert_chain(config.ssl_certfile, config.ssl_keyfile, password)
    except (OSError, ssl.SSLError) as error:
        raise SinkUnavailable(
            "tls_files",
            f"The TLS files of the Kafka sink cannot be used: {error.strerror or type(error).__name__}.",
            hint="Check ssl_cafile, ssl_certfile, ssl_keyfile and ssl_password: PEM files, readable by the relay.",
        ) from error
    return context
