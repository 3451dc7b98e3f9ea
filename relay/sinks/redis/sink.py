"""Redis Streams: events exactly once, by a Lua script that appends a batch and compares and sets the checkpoint.

Needs Redis >= 6.2 or Valkey. Keys, all in one hash slot because of the tag in the prefix: one stream per topic
(``{relay}:tasks``, ...) and one hash per identity (``{relay}:checkpoint:<identity>``).

Exactly once. The script (``sink.lua``) writes only if the checkpoint is the one this sink last knew, so a batch
sent twice is written once, and after a lost reply the checkpoint shows what happened. Streams and checkpoint are
written by one script in one slot: whatever a crash or a failover takes away, it takes away from both, as a suffix
of the history. ``open`` then answers an older checkpoint, or none, and the publisher sends the rest again.

Who owns the checkpoint. Each process claims it with an ``epoch``, the time of the claim by Redis' clock in
milliseconds, at least one more than the epoch it finds. Every write names the claim. A sink that finds another
claim must tell two cases apart: a *later* epoch is a younger process under the same identity, so this one is a
zombie and is fenced for good; an *earlier* one, or none, is an older state of this Redis (an old dump, a lost
failover, FLUSHALL), which still holds the claim of a predecessor: the sink puts its own epoch back and goes on. It
does not take a new one, because a zombie that came back first would otherwise outrank the process that fenced it.

Several replicas may feed one set of streams, each with a checkpoint of its own. With ``shared_window`` the script also
keeps which facts are on the streams, and skips those that another replica has published: in the same slot, by the same
script, so that no claim and no second look are needed.

Limits. Redis replicates asynchronously: a failover can lose acknowledged batches. The relay sends them again, but
consumers may have seen the lost entries before, under other entry ids; the CloudEvents ``id`` stays the same.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence, Set
from importlib.resources import files
from typing import Any

from redis.exceptions import NoPermissionError, NoScriptError, RedisError

from relay.core.cloudevents import redis_fields
from relay.core.event import TOPICS, Entry, Event
from relay.core.publishing.claims import KIND_LETTERS, Fact, as_contradiction, facts_of
from relay.core.sink import (
    Absorbed,
    Advice,
    Batch,
    Checkpoint,
    Identity,
    Inheritance,
    Limits,
    Name,
    Outcome,
    Published,
    Refused,
    SinkFenced,
    SinkUnavailable,
    Step,
    Withheld,
    without_topic,
)
from relay.sinks.redis import places
from relay.sinks.redis.config import RIGHTS, Config, Node
from relay.sinks.redis.topology import Locator
from relay.sinks.redis.wire import Wire, failure

MIN_VERSION = (6, 2)
SCRIPT = files("relay.sinks.redis").joinpath("sink.lua").read_text(encoding="utf-8")
SHA = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
_NO_FACT = ("", "", "", "")
_NO_FACTS_KEY = b"none"
"""No fact's key, which are longer: with it the script proves that it may read and write such keys."""


def _checkpoint_key(config: Config, identity: str) -> str:
    return f"{config.prefix}checkpoint:{identity}"


class RedisSink:
    """See the module's text. ``publish`` is called by one task at a time.

    One connection, and another one when the credentials change.
    """

    def __init__(self, config: Config, identity: Identity, topics: Sequence[str] = TOPICS) -> None:
        self.limits = Limits(config.max_batch_events, config.max_batch_bytes, config.socket_timeout)
        self._config = config
        self._identity = identity
        self._keys = (_checkpoint_key(config, identity.name), *map(config.name_of, topics))
        self._places = {topic: place for place, topic in enumerate(topics, start=2)}
        self._outdated = False
        self._locator = Locator(config.endpoints(), self._keys[0])
        self._options = (len(topics), _milliseconds(config.retention), _milliseconds(config.shared_window))
        self._facts_under = f"{config.prefix}fact:".encode() if config.shared_window is not None else b""
        self._max_event_bytes = config.max_event_bytes
        self._wire: Wire | None = None
        self._successor: asyncio.Task[Node] | None = None
        self._epoch = ""
        self._fenced = False
        self._held: Checkpoint | None = None

    async def open(self) -> Checkpoint | None:
        await self.close()
        if self._fenced:
            raise self._fence()
        self._outdated = False  # before: credentials may change again meanwhile
        wire = await self._locator.connect()
        try:
            await self._inspect(wire)
            self._held = await self._claim(wire)
            await self._replicated(wire)
        except BaseException:
            wire.abort()
            raise
        self._wire = wire
        if self._config.sentinels:
            self._successor = asyncio.create_task(self._locator.successor(wire.node))
        return self._held

    def steps(self) -> Sequence[Step]:
        """To the node that has the keys, through the login, to the rights, to a claim of the checkpoint."""
        from relay.sinks.redis.steps import Way  # only people who look for what is wrong need it

        way = Way(self._config.endpoints(), self._keys[0])
        return [*way.steps(), ("authorize", self._authorize), ("write", self._write)]

    async def _authorize(self) -> str:
        wire = await self._locator.connect()
        try:
            await self._run_proven(wire, "prove")
        finally:
            await wire.close()
        return f"may do on {self._config.prefix}* what relay does"

    async def _write(self) -> str:
        await self.open()
        return f"claimed {self._keys[0]}"

    async def glance(self) -> Checkpoint | None:
        """The checkpoint as it is now; claims nothing. Raises ``SinkUnavailable``."""
        return await places.glance(await self._locator.connect(), self._keys[0])

    def reconfigure(self, config: Config) -> None:
        """The next batch has a connection of its own where the credentials have changed, or a file may have."""
        if config != self._config or config.files:
            self._config, self._outdated = config, True
            self._locator.reconfigure(config.endpoints())

    async def publish(self, batch: Batch) -> Sequence[Outcome]:
        if (refused := without_topic(batch, self._places)) is not None:
            return refused
        if any(len(entry.event.data) > self._max_event_bytes for entry in batch.entries):
            return self._refuse(batch)
        if self._wire is None:
            raise SinkUnavailable("not_open", "The Redis sink is not open.")
        wire = self._wire
        try:
            self._refuse_predecessor(wire)
            if self._outdated:
                wire = self._wire = await self._renewed(wire)
            absorbed = await self._append(wire, batch)
            await self._replicated(wire)
        except UnicodeEncodeError:
            return self._refuse(batch)  # raised before anything was sent
        except BaseException:
            # Whatever happened to the batch, a late reply must not be taken for the answer to the next command.
            self._wire = None
            wire.abort()
            raise
        return [Absorbed() if entry.offset in absorbed else Published() for entry in batch.entries]

    async def check(self) -> None:
        """Whether Redis still holds the checkpoint that it acknowledged, or a failover has lost it with its events."""
        if self._held is not None:
            await self.publish(Batch([], self._held))

    async def take_over(self, former: Name, inheritance: Inheritance) -> Checkpoint | None:
        """Carries the checkpoint over from another identity. The hash has no label in its name."""
        if self._wire is None:
            raise SinkUnavailable("not_open", "The Redis sink is not open.")
        if former.identity == self._identity.name:  # only the label is another
            return self._held if self._held is not None and self._held.of(inheritance.journal_id) else None
        key = _checkpoint_key(self._config, former.identity)
        try:
            taken = await places.take_over(self._wire, self._claimed(), key, inheritance)
        except BaseException:
            await self.close()
            raise
        self._held = taken or self._held
        return taken

    def _claimed(self) -> places.Claimed:
        return places.Claimed(self._keys[0], self._identity.instance, self._epoch)

    async def advice(self) -> Sequence[Advice]:
        """Whether Redis keeps what it has acknowledged when it is restarted. Silent where it may not be asked."""
        if self._wire is None:
            raise SinkUnavailable("not_open", "The Redis sink is not open.")
        info = _parse_info(await _ask_if_allowed(self._wire, "INFO", "persistence") or b"")
        if info.get("aof_enabled") != "0":
            return []
        message = f"Redis {self._wire.node} has appendonly off: after a restart it is back at its last snapshot."
        hint = "Set appendonly yes. Otherwise relay can only publish again what its journal still holds."
        return [Advice("not_persistent", message, hint)]

    async def close(self) -> None:
        wire, self._wire = self._wire, None
        successor, self._successor = self._successor, None
        if successor is not None:
            successor.cancel()
            await asyncio.wait([successor])
        if wire is not None:
            await wire.close()

    async def _renewed(self, wire: Wire) -> Wire:
        """A connection to the same node that has logged in with the present credentials, instead of this one."""
        self._outdated = False
        await wire.close()
        renewed = await self._locator.connect()
        if renewed.node != wire.node:
            renewed.abort()
            message = f"{renewed.node} is the primary, and no longer {wire.node}."
            raise SinkUnavailable("failed_over", message, hint="relay continues there by itself.")
        return renewed

    def _refuse_predecessor(self, wire: Wire) -> None:
        """A primary that has been replaced and lives on takes writes which nobody will read."""
        if self._successor is not None and self._successor.done():
            message = f"The sentinels name {self._successor.result()} as the primary, and no longer {wire.node}."
            raise SinkUnavailable("failed_over", message, hint="relay continues there by itself.")

    def _refuse(self, batch: Batch) -> Sequence[Outcome]:
        return [_refusal(entry.event, self._max_event_bytes) or Withheld() for entry in batch.entries]

    async def _append(self, wire: Wire, batch: Batch) -> Set[int]:
        """Answers the offsets of what another replica had published already."""
        held = self._held or Checkpoint("", 0)
        if batch.checkpoint.earlier != held.earlier:
            await places.remember(wire, self._claimed(), batch.checkpoint)
        offset = held.offset if self._held else ""
        target = batch.checkpoint
        moved = (held.journal_id, offset, target.journal_id, target.offset, target.dead, target.absorbed)
        keys, events = self._events(batch.entries)
        answer = await self._run(wire, "publish", keys, *moved, *events, within=batch.seconds)
        if answer[0] == b"MISMATCH":
            message = f"The checkpoint on Redis {wire.node} is not the one the relay left there."
            raise SinkUnavailable("checkpoint_moved", message, hint="Redis lost writes; relay publishes them again.")
        self._held = target
        return {int(offset) for offset in answer[1:]}

    def _events(self, entries: Sequence[Entry]) -> tuple[Sequence[bytes], Sequence[str | bytes | int]]:
        """The keys of the facts among the entries, and what the script is to know of each entry."""
        facts = {fact.offset: fact for fact in facts_of(entries)} if self._facts_under else {}
        keys: list[bytes] = []
        events: list[str | bytes | int] = []
        for entry in entries:
            fact = facts.get(entry.offset)
            place = len(self._keys) + len(keys) + 1
            events += (entry.offset, self._places[entry.event.topic])
            events += _NO_FACT if fact is None else _stated(entry, fact, place)
            if fact is not None:
                keys += (self._facts_under + fact.key, self._facts_under + fact.statement)
            fields = redis_fields(entry.event)
            events.append(len(fields))
            events += fields
        return keys, events

    async def _claim(self, wire: Wire) -> Checkpoint | None:
        _, epoch, *_ = await self._run_proven(wire, "claim")
        self._epoch = epoch.decode()
        return await places.read(wire, self._keys[0])  # it moves no more but by our own hand, or by a later claim

    async def _run_proven(self, wire: Wire, operation: str) -> Any:
        """Proves that the user has all rights, and then does what the operation says."""
        if self._config.wait_replicas:
            await wire.call("WAIT", 0, 1)  # answers at once, and whether it may be asked
        # Loaded here and not by NOSCRIPT alone, so that a server that forbids scripts shows when opening.
        await wire.call("SCRIPT", "LOAD", SCRIPT)
        keys = [self._facts_under + _NO_FACTS_KEY] if self._facts_under else []
        try:
            return await self._run(wire, operation, keys)
        except SinkUnavailable as error:
            if error.code == "forbidden" and "access" in error.message:  # as Redis says it of keys, not of commands
                await self._find_forbidden_key(wire, keys)
            raise

    async def _find_forbidden_key(self, wire: Wire, more: Sequence[bytes]) -> None:
        """Raises ``SinkUnavailable`` with its name; Redis says of several keys only that one of them is forbidden."""
        keys: list[str | bytes] = [*self._keys, *more]
        for key in keys:
            try:
                await wire.ask("EVALSHA", SHA, 1, key, "reach")
            except NoPermissionError:
                name = key.decode() if isinstance(key, bytes) else key
                message = f"Redis {wire.node} does not allow its user to read and write the key {name}."
                raise SinkUnavailable("forbidden", message, hint=RIGHTS) from None
            except (RedisError, OSError) as error:
                raise failure(error, wire.node) from None

    async def _run(
        self, wire: Wire, operation: str, keys: Sequence[bytes], *args: str | bytes | int, within: float = 0.0
    ) -> Any:
        """Run the script; raises ``SinkFenced`` and ``SinkUnavailable``."""
        header = (operation, self._identity.instance, self._epoch, *self._options)
        count = len(self._keys) + len(keys)
        command: tuple[str | bytes | int, ...] = ("EVALSHA", SHA, count, *self._keys, *keys, *header, *args)
        try:
            answer = await wire.ask(*command, within=within)
        except NoScriptError:
            # The cache is volatile: SCRIPT FLUSH, or a replica was promoted under the same address.
            await wire.call("SCRIPT", "LOAD", SCRIPT)
            answer = await wire.call(*command)
        except (RedisError, OSError) as error:
            raise failure(error, wire.node) from None
        if answer[0] == b"FENCED":
            self._fenced = True
            raise self._fence()
        if answer[0] == b"DENIED":
            denied = ", ".join(map(_denied, answer[1::2], answer[2::2]))
            raise SinkUnavailable("forbidden", f"Redis {wire.node} denies its user {denied}.", hint=RIGHTS)
        if answer[0] == b"WRONGTYPE":
            key, found = answer[1].decode(), answer[2].decode()
            message = f"The key {key} on Redis {wire.node} is a {found}, not the relay's."
            raise SinkUnavailable("wrong_type", message, hint="Another application uses it: choose another prefix.")
        return answer

    def _fence(self) -> SinkFenced:
        return SinkFenced(
            f"Another process has claimed {self._keys[0]} on Redis.",
            hint="Give each replica its own identity, and each sink on one Redis its own prefix.",
        )

    async def _replicated(self, wire: Wire) -> None:
        wanted = self._config.wait_replicas
        if not wanted:
            return
        reached = await wire.call("WAIT", wanted, int(self._config.wait_timeout * 1000))
        if reached < wanted:
            message = f"Only {reached} of {wanted} replicas have received the last write to Redis {wire.node}."
            raise SinkUnavailable("too_few_replicas", message, hint="See wait_replicas, and INFO replication.")

    async def _inspect(self, wire: Wire) -> None:
        """Refuse a server that cannot keep the promises. What it forbids us to look at is taken for right."""
        info = _parse_info(await _ask_if_allowed(wire, "INFO") or b"")
        version = info.get("redis_version", "")
        if version and tuple(int(part) for part in version.split(".")[:2]) < MIN_VERSION:
            raise SinkUnavailable("unsupported", f"Redis {wire.node} is {version}; 6.2 or newer is needed.")
        policy = info.get("maxmemory_policy", "")
        evicting = ("allkeys", "volatile") if self._facts_under else ("allkeys",)
        if policy.startswith(evicting) and info.get("maxmemory") != "0" and not self._config.allow_eviction:
            raise SinkUnavailable(
                "eviction_enabled",
                f"Redis {wire.node} may evict the sink's keys (maxmemory-policy {policy}).",
                hint="Set maxmemory-policy noeviction, or accept lost and repeated events with allow_eviction: true.",
            )
        setting = await _ask_if_allowed(wire, "CONFIG", "GET", "proto-max-bulk-len")
        bulk = int(setting[1]) if setting else self._config.max_event_bytes
        self._max_event_bytes = min(self._config.max_event_bytes, bulk)


async def _ask_if_allowed(wire: Wire, *command: str) -> Any:
    """Managed services and ACLs forbid some commands; then ``None``."""
    try:
        return await wire.call(*command)
    except SinkUnavailable as error:
        if error.code not in ("forbidden", "rejected"):
            raise
        return None


def _parse_info(raw: bytes) -> dict[str, str]:
    pairs = (line.partition(":") for line in raw.decode("utf-8", "replace").splitlines())
    return {key: value for key, colon, value in pairs if colon}


def _refusal(event: Event, max_bytes: int) -> Refused | None:
    if len(event.data) > max_bytes:
        return Refused("too_large", f"{len(event.data)} bytes of data; Redis takes {max_bytes} (max_event_bytes).")
    try:
        "".join(value for _, value in event.attributes()).encode()
    except UnicodeEncodeError:
        return Refused("invalid", "An attribute holds a lone surrogate, which UTF-8 cannot carry.")
    return None


def _milliseconds(seconds: float | None) -> str:
    """As the script takes an age: '' for none, and never 0."""
    return "" if seconds is None else str(max(1, int(seconds * 1000)))


def _denied(command: bytes, key: bytes) -> str:
    return f"{command.decode()} on {key.decode()}" if key else command.decode()


def _stated(entry: Entry, fact: Fact, place: int) -> tuple[bytes, int, str, str]:
    """The fact, its key's place, and the event's id and type should it contradict another replica's."""
    other = as_contradiction(entry).event
    return KIND_LETTERS[fact.kind] + fact.statement, place, other.id, other.type
