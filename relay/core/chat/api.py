"""The port of an API of conversations: what differs between chat completions, messages and the like.

The proxy, the queue, the journal and recovery know none of them: they get one of these, found by the path of a request
or by the word ``api`` in an event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from relay.core.chat.assembly import Assembly


@dataclass(frozen=True, slots=True)
class Said:
    """The members of a request that hold what was said. ``system``: ``None`` where it is one of the messages."""

    messages: str = "messages"
    system: str | None = None


@dataclass(frozen=True, slots=True)
class Api:
    """``relay/apis/<name>.py`` has one as ``API``; its name in events, filters and metrics is that of the file.

    ``prefixes``: of the paths of the same vendor's API, each with a slash at both ends: their errors have its shape.
    ``route``: what a path behind one of them ends with that begins a chat; the longest one of all APIs counts.
    ``base``: the path of the base URL that its SDKs are to be given. ``beside``: routes that they go to besides.
    ``error_body``: the status, code and message of a refusal as JSON, in the shape that clients of this API read.
    ``error_frame``: the same as an event of a stream, its blank line included. ``example``: a request, for the
    description of relay's routes.
    """

    prefixes: tuple[str, ...]
    route: str
    assembly: type[Assembly]
    error_body: Callable[[int, str, str], bytes]
    error_frame: Callable[[int, str, str], bytes]
    example: Mapping[str, Any]
    base: str
    said: Said = Said()
    beside: tuple[str, ...] = ()
