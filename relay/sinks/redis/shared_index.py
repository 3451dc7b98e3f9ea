"""The index that replicas share, kept in Redis. What is written into it, ``relay.core.publishing.claims`` decides.

One connection per sink, one script call per batch, each within ``TIMEOUT`` seconds, the connecting included; Redis or
Valkey, standalone, 6.2 or newer. Keys: ``{relay:<scope>}:`` and 16 bytes; each holds who claimed or published a fact,
what was stated and at which offset of the owner's journal, in 41 bytes at most, so that it costs Redis about 180 bytes
for the window. An owner is a replica *and* its journal: offsets of another journal say nothing.

Redis must not evict (``noeviction``), and should persist (AOF). What it loses can be repeated, and nothing else: the
events are in the journals.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError, RedisError

from relay.core.publishing.claims import KIND_LETTERS, Claimed, Fact, IndexUnavailable, Verdict
from relay.core.sink import SinkUnavailable, Step
from relay.sinks.redis.config import Config, Endpoints
from relay.sinks.redis.topology import Locator
from relay.sinks.redis.wire import Wire, failure

TIMEOUT = 0.5
"""Seconds that a batch waits for the index at most, twice: when claiming and when confirming."""

MAX_FACTS = 1000
"""Per script call: about four milliseconds in which Redis serves nobody else."""

INDEX_RIGHTS = "On all keys that begin with {relay: the index's user needs +evalsha +script|load +time +get +set +del."
"""What an ACL has to grant to the user of ``dedup.shared_index``; for a database other than 0 also ``+select``."""

_SCRIPT = files("relay.sinks.redis").joinpath("shared_index.lua").read_text(encoding="utf-8")
_SHA = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()
_VERDICTS: dict[str, Verdict] = {"o": "ours", "c": "contradicts", "a": "absorbed"}


def owner_of(identity: str, origin: str) -> bytes:
    """Eight bytes that stand for a replica and its journal (``Lineage.origin``)."""
    return hashlib.blake2b(f"{identity}\x1f{origin}".encode(), digest_size=8).digest()


class RedisIndex:
    """The port ``SharedIndex`` over Redis. ``lease`` and ``window`` in seconds; used by one task at a time.

    ``login``: ``url`` and the certificates, as keys of a Redis sink. ``origin`` is asked at each call: a journal may
    learn of a fork while the relay runs.
    """

    def __init__(
        self,
        login: Mapping[str, str],
        *,
        scope: str,
        identity: str,
        origin: Callable[[], str],
        lease: float,
        window: float,
    ) -> None:
        self._scope = f"{{relay:{scope}}}:"
        self._endpoints = _endpoints(login)
        self._outdated = False
        self._locator = Locator(self._endpoints, self._scope)
        self._identity, self._origin = identity, origin
        self._lease, self._window = int(lease * 1000), int(window * 1000)
        self._wire: Wire | None = None

    def reconfigure(self, login: Mapping[str, str]) -> None:
        """The next call has a connection of its own where the login has changed, or a certificate may have."""
        endpoints = _endpoints(login)
        if endpoints != self._endpoints or endpoints.tls is not None:
            self._endpoints, self._outdated = endpoints, True
            self._locator.reconfigure(endpoints)

    async def claim(self, facts: Sequence[Fact]) -> Claimed:
        """Raises ``IndexUnavailable``; what was claimed all the same is ours when asked again, or ends by its lease."""
        verdicts: list[Verdict] = []
        memory = b""
        async with self._bounded():
            for part in _parts(facts):
                letters, memory = await self._run("claim", self._lease, part)
                verdicts += [_VERDICTS[letter] for letter in letters.decode()]
                if len(letters) < len(part):
                    break
        return Claimed(verdicts, memory.decode())

    async def confirm(self, facts: Sequence[Fact]) -> int:
        """Raises ``IndexUnavailable``; confirming again changes nothing."""
        async with self._bounded():
            return sum([await self._run("confirm", self._window, part) for part in _parts(facts)])

    async def release(self, facts: Sequence[Fact]) -> None:
        """Ends claims of ours; what is confirmed stays. Raises ``IndexUnavailable``."""
        async with self._bounded():
            for part in _parts(facts):
                await self._run("release", self._lease, part)

    def steps(self) -> Sequence[Step]:
        """To its Redis, through the login, to the right to run the script; they raise ``RelayError``."""
        from relay.sinks.redis.steps import Way  # only people who look for what is wrong need it

        return [*Way(self._endpoints, f"{self._scope}none").steps(), ("authorize", self._authorize)]

    async def _authorize(self) -> str:
        async with self._bounded():
            await self._connected()
        return f"may run the script on {self._scope}*"

    async def close(self) -> None:
        """Raises nothing."""
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.close()

    def _drop(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.abort()

    @asynccontextmanager
    async def _bounded(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(TIMEOUT):
                yield
        except BaseException as error:
            self._drop()  # a late reply must not be taken for the answer to the next call
            if isinstance(error, TimeoutError):
                hint = "Is Redis overloaded, or far away? See dedup.shared_index."
                raise IndexUnavailable("timeout", f"No answer within {TIMEOUT:g} s.", hint=hint) from None
            if isinstance(error, SinkUnavailable):
                raise IndexUnavailable(error.code, error.message, hint=error.hint) from None
            raise

    async def _connected(self) -> Wire:
        """The connection; a new one has shown that its user may do all that the script does."""
        if self._outdated:
            self._outdated = False
            self._drop()
        if self._wire is None:
            self._wire = await self._locator.connect()
            answer = await self._call(self._wire, [f"{self._scope}none"], "reach", b"", self._lease)
            if denied := b", ".join(answer[1:]).decode():
                message = f"Redis {self._wire.node} does not allow its user to run {denied} on {self._scope}*."
                raise SinkUnavailable("forbidden", message, hint=INDEX_RIGHTS)
        return self._wire

    async def _run(self, operation: str, life: int, facts: Sequence[Fact]) -> Any:
        wire = await self._connected()
        scope = self._scope.encode()
        keys = [scope + name for fact in facts for name in (fact.key, fact.statement)]
        owner = owner_of(self._identity, self._origin())
        stated = [KIND_LETTERS[kind] + statement + b"%d" % offset for kind, _, statement, offset in facts]
        return await self._call(wire, keys, operation, owner, life, *stated)

    async def _call(self, wire: Wire, keys: Sequence[str | bytes], *args: str | bytes | int) -> Any:
        declared = (len(keys) + 1, f"{self._scope}memory", *keys)
        command: tuple[str | bytes | int, ...] = ("EVALSHA", _SHA, *declared, *args)
        try:
            return await wire.ask(*command)
        except NoScriptError:
            await wire.call("SCRIPT", "LOAD", _SCRIPT)
            return await wire.call(*command)
        except (RedisError, OSError) as error:
            raise failure(error, wire.node, INDEX_RIGHTS) from None


def _endpoints(login: Mapping[str, str]) -> Endpoints:
    timeouts = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT, "wait_timeout": TIMEOUT / 2}
    endpoints = Config.model_validate({"type": "redis", **timeouts, **login}).endpoints()
    return replace(endpoints, rights=INDEX_RIGHTS)


def _parts(facts: Sequence[Fact]) -> Iterator[Sequence[Fact]]:
    return (facts[start : start + MAX_FACTS] for start in range(0, len(facts), MAX_FACTS))
