"""W3C Trace Context: which parts of a sender's ``traceparent`` are valid, and how an event gets it. Pure.

https://www.w3.org/TR/trace-context/#traceparent-header
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from relay.core.event import Draft

TRACEPARENT: Final = "traceparent"
"""The header, and the attribute of an event (CloudEvents' extension for distributed tracing)."""

_IDS: Final = r"(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}"
_KNOWN: Final = re.compile(rf"00-{_IDS}-[0-9a-f]{{2}}")
_LATER: Final = re.compile(rf"(?!00|ff)[0-9a-f]{{2}}-({_IDS})-[0-9a-f]([0-9a-f])(?:-.*)?")
_SAMPLED: Final = 1


def traceparent_of(fields: Sequence[str]) -> str | None:
    """The trace that a message belongs to, from its fields of that name; ``None`` unless there is one, and it is valid.

    What comes in a version later than 00 goes on as 00: the two ids and whether it is sampled (section 4.2.2).
    """
    if len(fields) != 1:
        return None
    value = fields[0].strip(" \t")
    if _KNOWN.fullmatch(value):
        return value
    if later := _LATER.fullmatch(value):
        return f"00-{later[1]}-{int(later[2], 16) & _SAMPLED:02x}"
    return None


def is_sampled(traceparent: str) -> bool:
    """Whether somebody records the trace that a valid ``traceparent`` names."""
    return int(traceparent[-1], 16) & _SAMPLED == _SAMPLED


def continued(draft: Draft, traceparent: str | None) -> Draft:
    """The draft with its event in that trace; as it is without one."""
    if traceparent is None:
        return draft
    return draft._replace(event=draft.event._replace(traceparent=traceparent))
