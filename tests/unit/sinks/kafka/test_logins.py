"""When a login is renewed, and what happens when it cannot be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

import pytest

from relay.core.sink import SinkUnavailable
from relay.sinks.kafka import Config
from relay.sinks.kafka.logins import Login, Logins, connection_options, login_until, options_of
from tests.unit.virtual_time import virtually


def in_no_time(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """The test on a loop whose hours take no time."""

    @wraps(test)
    def run() -> None:
        virtually(test())

    return run


class Provider:
    """Hands logins out that are good for 100 s, and notes when; unless it is away."""

    def __init__(self, *lifetimes: float | None) -> None:
        self.lifetimes = lifetimes or (100.0,)
        self.away = False
        self.asked: list[float] = []
        self.renewed: list[Login] = []
        self.logins = Logins(self.obtain, self.renewed.append)

    async def obtain(self) -> Login:
        now = asyncio.get_running_loop().time()
        self.asked.append(round(now))
        if self.away:
            raise SinkUnavailable("unreachable", "away")
        return login_until({}, now, *self.lifetimes)


@in_no_time
async def test_a_login_is_renewed_before_it_ends() -> None:
    """If this fails, the broker ends the connections in the middle of a transaction."""
    provider = Provider(500.0, None, 100.0)
    first = await provider.logins.current()
    assert await provider.logins.current() is first
    await asyncio.sleep(170)
    assert provider.asked == [0, 80, 160]
    assert provider.logins.held is provider.renewed[-1]
    provider.logins.forget()
    await asyncio.sleep(1000)
    assert provider.asked == [0, 80, 160]


@in_no_time
async def test_what_has_no_end_is_never_renewed() -> None:
    """If this fails, a password is checked again and again, or nothing is left to publish with."""
    provider = Provider(None)
    first = await provider.logins.current()
    await asyncio.sleep(100_000)
    assert provider.logins.held is first
    assert provider.asked == [0]


@in_no_time
async def test_a_login_that_cannot_be_renewed_is_used_to_its_end() -> None:
    """If this fails, publishing stops as soon as the provider is away, or goes on with what no broker takes."""
    provider = Provider()
    first = await provider.logins.current()
    provider.away = True
    await asyncio.sleep(89)
    assert provider.logins.held is first
    assert provider.asked[:3] == [0, 80, 83]
    await asyncio.sleep(2)
    assert provider.logins.held is None
    with pytest.raises(SinkUnavailable, match="away"):
        await provider.logins.current()
    provider.away = False
    assert (await provider.logins.current()).ends == 181


@in_no_time
async def test_a_renewal_may_come_late() -> None:
    """If this fails, one that failed at first is not taken over when it succeeds."""
    provider = Provider()
    await provider.logins.current()
    provider.away = True
    await asyncio.sleep(82)
    provider.away = False
    await asyncio.sleep(2)
    assert provider.logins.held is provider.renewed[0]
    assert provider.asked == [0, 80, 83]


async def test_a_token_of_ones_own_is_read_again_and_not_renewed() -> None:
    """If this fails, a token in a file that something else renews is taken for the relay's own to renew."""
    keys = {"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER", "sasl_oauthbearer_token": " token\n"}
    config = Config(type="kafka", **keys, sasl_oauthbearer_extensions={"pool": "a"})
    options, lifetime = await options_of(config, "relay-0")
    provider = options["sasl_oauth_token_provider"]
    assert lifetime is None
    assert (await provider.token(), provider.extensions()) == ("token", {"pool": "a"})
    assert "token" not in repr(Login(options))


def test_a_password_is_sent_as_it_was() -> None:
    """If this fails, the login of SASL_PLAINTEXT is another one than configured."""
    keys = {"security_protocol": "SASL_PLAINTEXT", "sasl_plain_username": "relay", "sasl_plain_password": "word"}
    options = connection_options(Config(type="kafka", **keys), "relay-0")
    assert (options["sasl_mechanism"], options["sasl_plain_password"]) == ("PLAIN", "word")
    assert "ssl_context" not in options
