"""What a replay is: which events of the journal are published again, to which topic, and where it resumes. Pure.

A replay keeps its place on the sink, as publishing does, but under an identity of its own and in the name of its run
instead of a journal's. So whatever interrupts it, the same request finds the run and goes on after what is there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Final, Literal

import orjson

from relay.core.event import TOPICS, Entry
from relay.core.event_filter import EventFilter
from relay.core.sink import Checkpoint

IDENTITY_SUFFIX: Final = "-replay"
"""Behind the relay's identity, so that a replay fences no relay that is running."""

_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")
# The sinks' checkpoints are kept under such names: a replay into one would be read as a checkpoint.
_RESERVED: Final = "checkpoint"
_RUN: Final = re.compile(r"replay:([0-9a-f]{16}):([0-9]+)-([0-9]+):(.*)")
_OWN_TOPICS: Final = "*"


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asked for: a range as it was written, a filter, and a topic (``None``: each event its own).

    ``journal`` is the identity of the one whose offsets are meant. ``key`` keeps requests apart. Two of one key are the
    same replay, begun or to be continued.
    """

    journal: str
    begin: str
    end: str
    wanted: EventFilter
    topic: str | None

    @property
    def key(self) -> str:
        return blake2b(orjson.dumps(asdict(self), option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()

    @property
    def topics(self) -> Sequence[str]:
        """The topics that are published to."""
        return TOPICS if self.topic is None else (self.topic,)

    def readdressed(self, entry: Entry, label: str) -> Entry:
        """The entry as it is published: the same event, meant for this sink alone, so that nothing absorbs it."""
        event = entry.event if self.topic is None else entry.event._replace(topic=self.topic)
        return entry._replace(event=event, sink=label)


@dataclass(frozen=True, slots=True)
class Run:
    """A request under way: the offsets that it covers, decided when it began."""

    key: str
    first: int
    last: int
    topic: str | None

    @property
    def name(self) -> str:
        """What stands for the journal's identity in the checkpoint of a replay."""
        return f"replay:{self.key}:{self.first}-{self.last}:{self.topic or _OWN_TOPICS}"

    @classmethod
    def named(cls, name: str) -> Run | None:
        """The run of this name; ``None`` if no run has it."""
        match = _RUN.fullmatch(name)
        if match is None:
            return None
        key, first, last, topic = match.groups()
        return cls(key, int(first), int(last), None if topic == _OWN_TOPICS else topic)

    def at(self, offset: int, dead: int = 0) -> Checkpoint:
        """The checkpoint of this run; ``dead`` counts the events that the sink refused."""
        return Checkpoint(self.name, offset, dead)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a replay stands, given what the sink holds of it.

    ``begins``: nothing of it is there. ``continues``: it goes on after ``offset``. ``finished``: it has been done
    already. ``blocked``: another one, ``run``, is at ``offset`` and not done.
    """

    verdict: Literal["begins", "continues", "finished", "blocked"]
    run: Run
    offset: int
    dead: int = 0


def place(held: Checkpoint | None, wanted: Run, *, again: bool = False, abandon: bool = False) -> Place:
    """Where to begin. ``again``: a finished one starts over; ``abandon``: an unfinished other one is given up."""
    begins = Place("begins", wanted, wanted.first - 1)
    found = Run.named(held.journal_id) if held is not None else None
    if held is None or found is None:
        return begins
    finished = held.offset >= found.last
    if found.key != wanted.key:
        return begins if finished or abandon else Place("blocked", found, held.offset)
    if not finished:
        return Place("continues", found, held.offset, held.dead)
    return begins if again else Place("finished", found, held.offset, held.dead)


def why_no_topic(name: str, prefix: str) -> str | None:
    """What is wrong with a topic of one's own choice on a sink whose names begin with ``prefix``; ``None``: nothing."""
    if name in TOPICS:
        return f"consumers read {name}; use --same-topic to publish there"
    if prefix and name.startswith(prefix):
        return f"the sink adds the prefix {prefix}: write {name.removeprefix(prefix) or 'a name'}"
    if name.startswith(_RESERVED):
        return f"names that begin with {_RESERVED} are the relay's own"
    if not _TOPIC.fullmatch(name):
        return "a name has up to 100 letters, digits, dots, hyphens and underscores"
    return None
