"""Reaching what a configuration names: sinks, the shared index, the upstream."""

from __future__ import annotations

import asyncio
import http.client
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from relay.cli.client import connection_to, why
from relay.core.errors import RelayError

if TYPE_CHECKING:
    from relay.core.sink import Advice, Identity, SinkConfig

CHECK_SUFFIX: Final = "-check"
"""Behind the identity, so that the check fences no relay that is running."""

_SINK_WITHIN: Final = 60.0
_UPSTREAM_WITHIN: Final = 10.0


@dataclass(frozen=True, slots=True)
class Reached:
    """What became of one thing that was to be reached, and what it advises."""

    name: str
    ok: bool
    code: str | None = None
    message: str | None = None
    hint: str | None = None
    advice: tuple[Advice, ...] = ()


async def reach_sink(config: SinkConfig, identity: Identity) -> Reached:
    """Opens a sink, hears what it advises, and closes it again; the sink's own timeouts count, and a minute at most."""
    from relay.app import sink_plugins
    from relay.core.sink import Advising

    name = f"sink {config.label}"
    sink = sink_plugins()[config.type].connect(config, identity)
    try:
        async with asyncio.timeout(_SINK_WITHIN):
            await sink.open()
            advice = tuple(await sink.advice()) if isinstance(sink, Advising) else ()
    except RelayError as error:
        return Reached(name, False, error.code, error.message, error.hint or None)
    except TimeoutError:
        return Reached(name, False, "timeout", f"No answer within {_SINK_WITHIN:g} s.")
    finally:
        await sink.close()
    return Reached(name, True, message=f"opened as {identity.name}", advice=advice)


async def reach_index(url: str) -> Reached:
    """Runs the script of the shared index, in a place of its own."""
    from relay.sinks.redis.shared_index import RedisIndex

    name = "dedup.shared_index"
    index = RedisIndex(url, scope="check", identity="check", origin=lambda: "check", lease=1.0, window=1.0)
    try:
        await index.reach()
    except RelayError as error:
        return Reached(name, False, error.code, error.message, error.hint or None)
    finally:
        await index.close()
    return Reached(name, True, message="answers")


def reach_upstream(base_url: str) -> Reached:
    """Any answer over HTTP will do: without a key there is nothing to be had."""
    parts = urlsplit(base_url)
    connection = connection_to(parts, _UPSTREAM_WITHIN)
    try:
        connection.request("HEAD", parts.path or "/")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        message = f"{base_url} cannot be reached: {why(error)}."
        return Reached("upstream", False, "upstream_unreachable", message, "Check upstream.base_url and the network.")
    finally:
        connection.close()
    return Reached("upstream", True, message=f"{base_url} answers (HTTP {status})")
