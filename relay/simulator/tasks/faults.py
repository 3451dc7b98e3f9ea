"""What can go wrong with a task, as directives: by rate for all, or for one by the request header ``X-Simulate``.

``X-Simulate: late=2s, doubled`` names the faults of that one task; rates then do not apply to it. ``X-Simulate: none``
is a task without any. The directives are the fields of ``Fate``, with ``-`` for ``_``; the rates carry the same names.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from random import Random

from relay.simulator.directives import (
    Directed,
    Reader,
    choice,
    count,
    directives_in,
    duration,
    flag,
    made,
    status,
    struck,
)
from relay.simulator.rates import Faults

CONTRADICTIONS = ("status", "outputs")
_MAX_OUTPUT = 10 << 30
SUBMIT_ERRORS = (400, 403, 404, 429, 500)


@dataclass(frozen=True, slots=True)
class Fate(Directed):
    """What goes wrong with one task. Durations in seconds; every field is off by default."""

    lost: bool = False
    """No webhook is ever sent; polling still shows the result."""
    dropped: int = 0
    """So many attempts are lost on the way: the receiver never sees them, the retry policy repeats them."""
    unanswered: int = 0
    """So many answers are lost on the way back: the receiver took the event and gets it again."""
    doubled: int = 0
    """So many copies of the event are sent at the same moment."""
    late: float = 0.0
    """The webhook comes so long after the task has ended."""
    before: bool = False
    """The webhook comes before the answer to the submission."""
    contradict: str = ""
    """A second event states something else: another terminal ``status``, or other ``outputs``."""
    resigned: bool = False
    """A second event names the same objects under newly signed URLs."""
    reordered: bool = False
    """An event of the running task comes after that of its end."""
    progress: bool = False
    """An event of the running task comes before that of its end."""
    bare: bool = False
    """The body of the webhook is the task result without its envelope."""
    malformed: bool = False
    """The body of the webhook is JSON without a task in it."""
    unknown_event: bool = False
    """The envelope names an ``event_type`` that is documented nowhere."""
    unknown_status: bool = False
    """The task ends in a status that is documented nowhere."""
    fail: bool = False
    """The task ends in ``TASK_STATUS_FAILED``."""
    never_ends: bool = False
    """The task stays in ``TASK_STATUS_PROCESSING`` forever."""
    error: int = 0
    """The submission is answered with this HTTP status, and no task is created."""
    slow: float = 0.0
    """The submission is answered so much later."""
    html: bool = False
    """The answer is a page of HTML under 200, and no task is created."""
    reset: bool = False
    """The task is created, and the connection breaks before the answer."""
    poll_error: int = 0
    """So many polls of the task are answered with 500, the first ones."""
    poll_missing: int = 0
    """So many polls are answered with 404, as if the task were unknown; they come before those answered with 500."""
    poll_limited: int = 0
    """So many polls are answered with 429; they come last of these."""
    output_size: int = 0
    """Each output has so many bytes."""
    output_broken: int = 0
    """So many requests for each output fail, the first ones: with a 503, a reset, half the bytes, in turns."""
    short_links: float = 0.0
    """The links of the outputs end so soon after they are signed; a poll signs them again."""


_ASKED_FOR = ("output_size", "output_broken", "short_links")
"""Never drawn by a rate: further draws would change what every seed brings."""
DIRECTIVES = tuple(field.name for field in fields(Fate) if field.name not in _ASKED_FOR)


def parse(header: str, faults: Faults) -> Fate:
    """The fate that a value of ``X-Simulate`` asks for. Raises ``UnknownFault``."""
    return made(Fate, directives_in(header), _READERS, faults)


def draw(rng: Random, faults: Faults) -> Fate:
    """A fate by the rates."""
    named = struck(rng, faults, DIRECTIVES)
    # Drawn also where it is not needed: a rate that changes must not move what else a seed brings.
    kind = rng.choice(CONTRADICTIONS)
    if "contradict" in named:
        named["contradict"] = kind
    return made(Fate, named, _READERS, faults)


_READERS: dict[str, Reader] = {
    **dict.fromkeys(DIRECTIVES, lambda value, _: flag(value)),
    **dict.fromkeys(("dropped", "unanswered", "poll_error", "poll_limited"), lambda value, _: count(value)),
    **dict.fromkeys(("doubled", "poll_missing"), lambda value, _: count(value, 2)),
    "output_size": lambda value, _: count(value, 1 << 20, _MAX_OUTPUT),
    "output_broken": lambda value, _: count(value),
    "short_links": lambda value, _: duration(value, 2.0),
    "late": lambda value, faults: duration(value, faults.late_by),
    "slow": lambda value, faults: duration(value, faults.slow_by),
    "contradict": lambda value, _: choice(value, CONTRADICTIONS),
    "error": lambda value, _: status(value, SUBMIT_ERRORS, 500),
}
