"""The port of a source: the bytes of a delivery in, a value out. Nothing awaits, nothing reads a clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from relay.core.event import Draft
from relay.core.json_scan import Body

Via = Literal["webhook", "poll", "submit"]


class Delivery(NamedTuple):
    """What arrived, untouched. ``received_at`` is epoch milliseconds."""

    body: bytes
    received_at: int
    via: Via = "webhook"


@dataclass(frozen=True, slots=True)
class Ignored:
    """Understood, and no event under the current settings (a progress report while those are off)."""

    reason: str
    subject: str


@dataclass(frozen=True, slots=True)
class NotJSON:
    """Not one JSON document: answered with a 400, since nothing of it that means anything can be kept."""

    detail: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """JSON that this source cannot turn into an event: it becomes a dead letter. ``reason`` is a bounded code.

    ``subject`` is the task that it is about, where that much could be read.
    """

    reason: str
    detail: str
    subject: str | None = None


Normalized = Draft | Ignored | NotJSON | Unreadable


class Source(Protocol):
    """A source plug-in. ``name`` is the word in the configuration, the path and the metrics (``novita``)."""

    name: str

    def normalize(self, delivery: Delivery) -> Normalized: ...


class Submittable(Source, Protocol):
    """A source whose tasks are submitted through the relay."""

    def read_answer(self, path: str, body: Body, received_at: int) -> tuple[Draft, ...] | Unreadable:
        """What the upstream's 2xx answer to a submission says about a task, to be recorded in this order.

        Empty: it is about no task. ``Unreadable``: it is no JSON object, or names a task by something that is no id.
        ``path`` is that of the submission, without its query; ``received_at`` is epoch milliseconds.
        """
        ...
