"""What can go wrong with a task, as words: by rate for all of them, or for one by the request header ``X-Simulate``.

``X-Simulate: late=2s, doubled`` names the faults of that one task; rates then do not apply to it. ``X-Simulate: none``
is a task without any. The words are the fields of ``Fate``, with ``-`` for ``_``; the rates carry the same names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from random import Random

HEADER = "X-Simulate"

CONTRADICTIONS = ("status", "outputs")
SUBMIT_ERRORS = (400, 403, 429, 500)

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m)?")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, None: 1.0}


class UnknownFault(ValueError):
    """A word or value in ``X-Simulate`` that means nothing. The message lists what would."""


@dataclass(frozen=True, slots=True)
class Faults:
    """How often each fault strikes, 0 to 1 per task; the words are explained in ``Fate``.

    ``late_by`` and ``slow_by`` (seconds) are the delays where the header gives none.
    Raises ``ValueError`` for a rate outside 0 to 1.
    """

    lost: float = 0.0
    dropped: float = 0.0
    unanswered: float = 0.0
    doubled: float = 0.0
    late: float = 0.0
    before: float = 0.0
    contradict: float = 0.0
    resigned: float = 0.0
    reordered: float = 0.0
    progress: float = 0.0
    bare: float = 0.0
    malformed: float = 0.0
    unknown_event: float = 0.0
    unknown_status: float = 0.0
    fail: float = 0.0
    never_ends: float = 0.0
    error: float = 0.0
    slow: float = 0.0
    poll_error: float = 0.0
    late_by: float = 2.0
    slow_by: float = 1.0

    def __post_init__(self) -> None:
        for name in WORDS:
            rate = getattr(self, name)
            if not 0.0 <= rate <= 1.0:
                raise ValueError(f"The rate of {name!r} is {rate}. Give a number from 0 to 1.")


@dataclass(frozen=True, slots=True)
class Fate:
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
    """The task stays in ``TASK_STATUS_PROCESSING`` for ever."""
    error: int = 0
    """The submission is answered with this HTTP status, and no task is created."""
    slow: float = 0.0
    """The submission is answered so much later."""
    poll_error: int = 0
    """So many of the first polls of the task are answered with 500."""

    def words(self) -> tuple[str, ...]:
        """The faults that are on, as the header would name them."""
        return tuple(name.replace("_", "-") for name in WORDS if getattr(self, name))


WORDS = tuple(field.name for field in fields(Fate))

_Reader = Callable[[str | None, Faults], object]


def parse(header: str, faults: Faults) -> Fate:
    """The fate that a value of ``X-Simulate`` asks for. Raises ``UnknownFault``."""
    named: dict[str, str | None] = {}
    for item in filter(None, (part.strip() for part in header.split(","))):
        word, _, value = item.partition("=")
        named[word.strip().lower().replace("-", "_")] = value.strip() or None
    named.pop("none", None)
    return _fate(named, faults)


def draw(rng: Random, faults: Faults) -> Fate:
    """A fate by the rates. One number is drawn per word, so a rate that changes moves no other fault."""
    luck = {word: rng.random() for word in WORDS}
    kind = rng.choice(CONTRADICTIONS)
    struck: dict[str, str | None] = {word: None for word in WORDS if luck[word] < getattr(faults, word)}
    if "contradict" in struck:
        struck["contradict"] = kind
    return _fate(struck, faults)


def _fate(named: Mapping[str, str | None], faults: Faults) -> Fate:
    read: dict[str, object] = {}
    for word, value in named.items():
        reader = _READERS.get(word)
        if reader is None:
            known = ", ".join(["none", *(name.replace("_", "-") for name in WORDS)])
            raise UnknownFault(f"{HEADER} does not know {word.replace('_', '-')!r}. It knows: {known}.")
        read[word] = reader(value, faults)
    return Fate(**read)  # type: ignore[arg-type]  # each reader gives its own field's type


def _flag(value: str | None, _: Faults) -> bool:
    if value not in (None, "true", "false"):
        raise UnknownFault(f"{HEADER} takes no value {value!r} here. Name the word alone.")
    return value != "false"


def _count(default: int) -> _Reader:
    def read(value: str | None, _: Faults) -> int:
        if value is None:
            return default
        if not value.isdecimal() or not 1 <= int(value) <= 100:
            raise UnknownFault(f"{HEADER} cannot read the count {value!r}. Give a number from 1 to 100.")
        return int(value)

    return read


def _duration(field: str) -> _Reader:
    def read(value: str | None, faults: Faults) -> float:
        if value is None:
            return float(getattr(faults, field))
        match = _DURATION.fullmatch(value)
        if match is None:
            raise UnknownFault(f"{HEADER} cannot read the duration {value!r}. Write it as 250ms, 2s or 1m.")
        return float(match[1]) * _UNIT_SECONDS[match[2]]

    return read


def _contradiction(value: str | None, _: Faults) -> str:
    if value is not None and value not in CONTRADICTIONS:
        raise UnknownFault(f"{HEADER} cannot contradict in {value!r}. Write one of: {', '.join(CONTRADICTIONS)}.")
    return value or CONTRADICTIONS[0]


def _submit_error(value: str | None, _: Faults) -> int:
    if value is None:
        return 500
    if not value.isdecimal() or int(value) not in SUBMIT_ERRORS:
        known = ", ".join(map(str, SUBMIT_ERRORS))
        raise UnknownFault(f"{HEADER} cannot answer with {value!r}. Write one of: {known}.")
    return int(value)


_READERS: dict[str, _Reader] = {
    **dict.fromkeys(WORDS, _flag),
    "dropped": _count(1),
    "unanswered": _count(1),
    "doubled": _count(2),
    "poll_error": _count(1),
    "late": _duration("late_by"),
    "slow": _duration("slow_by"),
    "contradict": _contradiction,
    "error": _submit_error,
}
