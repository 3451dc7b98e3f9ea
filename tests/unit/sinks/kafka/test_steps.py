"""The way to a Kafka step by step, as far as it goes without one."""

from __future__ import annotations

import asyncio

import pytest

from relay.core.sink import SinkUnavailable
from relay.sinks.kafka import Config
from relay.sinks.kafka.steps import Way


@pytest.mark.parametrize(
    ("protocol", "steps"),
    [
        ("PLAINTEXT", ["resolve", "connect"]),
        ("SSL", ["resolve", "connect", "tls", "authenticate"]),
        ("SASL_PLAINTEXT", ["resolve", "connect", "authenticate"]),
    ],
)
def test_there_are_only_the_steps_that_are_taken(protocol: str, steps: list[str]) -> None:
    """If this fails, the doctor reports on TLS where there is none."""
    user = {"sasl_plain_username": "relay", "sasl_plain_password": "word"}
    way = Way(Config(type="kafka", security_protocol=protocol, **user), "relay")
    assert [name for name, _ in way.steps()] == steps


async def step(name: str, **keys: str) -> str:
    return await dict(Way(Config(type="kafka", **keys), "relay").steps())[name]()


async def test_each_step_says_where_it_ends() -> None:
    """If this fails, a wrong name, a closed port and a missing file look alike."""
    with pytest.raises(SinkUnavailable, match=r"Kafka nowhere\.invalid:1: its name cannot be resolved"):
        await step("resolve", bootstrap_servers="nowhere.invalid:1")
    with pytest.raises(SinkUnavailable, match="No such file"):
        await step("resolve", security_protocol="SSL", ssl_cafile="nowhere.pem")
    assert await step("resolve", bootstrap_servers="127.0.0.1:1,[::1]:2") == "127.0.0.1 is 127.0.0.1; ::1 is ::1"
    with pytest.raises(SinkUnavailable, match=r"No connection to Kafka 127\.0\.0\.1:2"):
        await step("connect", bootstrap_servers="127.0.0.1:1,127.0.0.1:2")
    server = await asyncio.start_server(lambda _, writer: writer.transport.abort(), "127.0.0.1", 0)
    async with server:
        place = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        assert await step("connect", bootstrap_servers=f"127.0.0.1:1,{place}") == f"{place} takes connections"
