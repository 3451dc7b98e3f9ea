"""The port of a sink, and the values that cross it.

A sink never retries, logs or counts: the publisher does all three, once, around every sink.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from relay.core.errors import RelayError
from relay.core.event import Entry


class SinkConfig(BaseModel):
    """What every sink's ``Config`` starts from. ``name`` labels it in metrics and logs; default: its type."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    RELOADED: ClassVar[frozenset[str]] = frozenset()
    """Keys that a ``Reconfigurable`` sink takes over while it runs: what it logs in with."""

    type: str
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")] | None = None

    @property
    def label(self) -> str:
        return self.name or self.type

    @property
    def files(self) -> Sequence[str]:
        """Files that the sink itself reads, such as certificates: a change of one is a change of the configuration."""
        return ()

    @property
    def client_certificate(self) -> str | None:
        """The file, in PEM, of the certificate that the sink shows; ``None``: it shows none."""
        return None

    def name_of(self, topic: str) -> str:
        """What a topic is called on this sink."""
        return topic


@dataclass(frozen=True, slots=True)
class Identity:
    """Who publishes. ``name`` is stable per replica (it fences zombies), ``instance`` new at each process start."""

    name: str
    instance: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a sink has got in one journal: everything up to and including ``offset`` is settled there.

    ``dead`` and ``absorbed`` count what of it is not on the sink: kept as dead letters, and taken care of by another
    replica. They travel with the offset, so that a crash cannot part the loss balance from what it counts.

    ``earlier`` is how far the sink has got in the journals that published under the same name before, the latest
    first, at most ``MAX_EARLIER`` of them: a journal that comes back goes on where it was. ``handed_over``: what lies
    between where this journal really was and ``offset`` is published by a journal that shares it, under another name.
    """

    journal_id: str
    offset: int
    dead: int = 0
    absorbed: int = 0
    earlier: tuple[Checkpoint, ...] = ()
    handed_over: bool = False

    def of(self, journal_id: str) -> Checkpoint | None:
        """How far the sink has got in this journal, the present one or an earlier one."""
        return next((each for each in (self, *self.earlier) if each.journal_id == journal_id), None)

    def lineage(self) -> dict[str, Any]:
        """``earlier`` and ``handed_over`` as sinks keep them beside the rest: JSON, empty as a rule."""
        kept: dict[str, Any] = {"handed_over": True} if self.handed_over else {}
        if self.earlier:
            kept["earlier"] = [[each.journal_id, each.offset, each.dead, each.absorbed] for each in self.earlier]
        return kept

    def with_lineage(self, kept: Mapping[str, Any]) -> Checkpoint:
        """With what ``lineage`` made. Raises ``TypeError`` where it is something else."""
        earlier = tuple(Checkpoint(*each) for each in kept.get("earlier", ()))
        return replace(self, earlier=earlier, handed_over=bool(kept.get("handed_over")))


# They travel with every batch, so their number is bounded: a journal that was away for more starts than that begins
# as a new one.
MAX_EARLIER = 16


@dataclass(frozen=True, slots=True)
class Name:
    """Under what a checkpoint is kept: the relay's identity, and the sink's label where the sink keeps labels apart."""

    identity: str
    label: str


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What a journal under a new name takes over: the place of ``journal_id``, which it was before, up to ``upto``.

    Up to there both are the same. ``heir`` is its journal id now; ``dead`` and ``absorbed`` are its own counts, for
    where the former place lies beyond.
    """

    journal_id: str
    upto: int
    heir: str
    dead: int = 0
    absorbed: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest batch a sink takes at once, in events and in bytes of ``data``, and the seconds that it gives one."""

    events: int
    bytes: int
    seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries in journal order and the checkpoint that holds once they are all on the sink.

    ``checkpoint.offset`` may lie beyond the last entry: what is missing in between was refused and is kept as a
    dead letter, or was meant for another sink. ``entries`` may be empty: then only the checkpoint moves.

    ``seconds``: what the sink may take for it, where that is more than it usually does (``Limits.seconds``).
    """

    entries: Sequence[Entry]
    checkpoint: Checkpoint
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Published:
    """On the sink, for good, together with the checkpoint."""


@dataclass(frozen=True, slots=True)
class Absorbed:
    """Not published: another replica has published this very fact here. The checkpoint has moved past it."""


@dataclass(frozen=True, slots=True)
class Refused:
    """This very event will never be taken (too large, invalid). ``code`` is from a bounded set."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Withheld:
    """Not published, for another event's sake. ``suspect``: it is among those of which one was refused."""

    suspect: bool = False
    code: str = ""
    detail: str = ""


Outcome = Published | Absorbed | Refused | Withheld
"""Of one batch either all are ``Published`` or ``Absorbed`` (and the checkpoint moved), or none is (and it did not)."""


def without_topic(batch: Batch, topics: Collection[str]) -> Sequence[Outcome] | None:
    """The outcomes of a batch with events of topics that the sink has not: those of a newer release, before a
    downgrade. ``None``: there are none."""
    if all(entry.event.topic in topics for entry in batch.entries):
        return None
    return [Withheld() if entry.event.topic in topics else _of_no_topic(entry.event.topic) for entry in batch.entries]


def _of_no_topic(topic: str) -> Refused:
    return Refused("unknown_topic", f"This release has no topic {topic}; replay the event with a release that has it.")


class SinkUnavailable(RelayError):
    """The whole batch is unknown: reopen, read the checkpoint again, go on from there.

    ``retry_after`` (seconds) is set where the sink knows when to come back.
    """

    def __init__(self, code: str, message: str, *, hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(code, message, hint=hint, retriable=True)
        self.retry_after = retry_after


class SinkFenced(RelayError):
    """Another process publishes under the same identity: this one must stop, or events would be doubled."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__("fenced", message, hint=hint)


@dataclass(frozen=True, slots=True)
class Advice:
    """How a sink that works could keep its promises better. ``code`` is from a bounded set."""

    code: str
    message: str
    hint: str


class Sink(Protocol):
    """A place where events are published exactly once.

    ``open`` may be called again after ``SinkUnavailable`` or ``close``; it answers the checkpoint that the sink
    itself holds for ``Identity.name``, ``None`` if it has none. ``open``, ``publish`` and ``close`` are bounded in
    time by the sink's own settings, whatever the network does; ``close`` raises nothing.
    """

    limits: Limits

    async def open(self) -> Checkpoint | None: ...

    async def publish(self, batch: Batch) -> Sequence[Outcome]: ...

    async def close(self) -> None: ...


@runtime_checkable
class MayLoseWrites(Protocol):
    """A sink that may lose what it has acknowledged, like a Redis at a failover.

    ``check`` is called now and then while there is nothing to publish: it raises ``SinkUnavailable`` where the
    checkpoint is not what it was, or the sink is away. Otherwise the loss would show at the next event only.
    """

    async def check(self) -> None: ...


@runtime_checkable
class Renamable(Protocol):
    """A sink whose checkpoint can be carried over from a name that the relay had before.

    ``take_over`` is called while the sink is open. In one step it makes the place of the former journal the checkpoint
    of the heir, under the present name, and moves the former one to ``upto`` (``handed_over``), so that a process which
    still publishes under the former name leaves to the heir what both have. Answers the heir's checkpoint, ``None``
    where there is none to take over. Raises what ``open`` raises.
    """

    async def take_over(self, former: Name, inheritance: Inheritance) -> Checkpoint | None: ...


@runtime_checkable
class Glancing(Protocol):
    """A sink whose checkpoint can be read before it is opened, which would end a publisher under the same identity.

    ``glance`` changes nothing; it raises ``SinkUnavailable``.
    """

    async def glance(self) -> Checkpoint | None: ...


@runtime_checkable
class Reconfigurable(Protocol):
    """A sink that goes on with other credentials, without being opened again.

    ``reconfigure`` is called whenever the configuration was read again, also while a batch is under way. ``config``
    differs in ``RELOADED`` keys only, or not at all where just one of ``files`` has changed. It holds from the next
    batch on, whose ``publish`` raises ``SinkUnavailable`` where the server refuses the new credentials.
    """

    def reconfigure(self, config: Any) -> None: ...


Step = tuple[str, Callable[[], Awaitable[str]]]
"""A step on the way to a server: what it does, and how to take it. It answers what was found, or raises
``SinkUnavailable``."""


@runtime_checkable
class Stepwise(Protocol):
    """A sink whose opening can be watched step by step, by people who look for what is wrong.

    ``steps`` are to be taken in their order, up to the first that fails; after the last one the sink is open.
    """

    def steps(self) -> Sequence[Step]: ...


@runtime_checkable
class Advising(Protocol):
    """A sink that can tell, while it is open, where its server falls short of the promises.

    ``advice`` may raise what ``open`` raises.
    """

    async def advice(self) -> Sequence[Advice]: ...
