"""Finds request targets that two servers could route differently. Pure.

The relay decides by the route what a client may use and what is recorded, and the upstream by its own reading of the
same bytes. What nobody writes by mistake and a server may rewrite is refused: a dotted segment (RFC 3986, 5.2.4) in any
spelling, a backslash that some take for a slash, and a fragment, which is never part of a request (RFC 9112, 3.2).
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

_SUSPECT: Final = re.compile(r"[#\\%]|/\.")
_SEPARATORS: Final = re.compile(r"[/\\]")
_DECODINGS: Final = 3
"""Some servers decode twice behind a proxy."""


def why_odd(target: str) -> str | None:
    """What is odd, as a sentence without the target itself; ``None`` for what every server reads alike."""
    if not _SUSPECT.search(target):
        return None
    if "#" in target:
        return "The target contains a fragment (#), which is never sent."
    path = target.partition("?")[0]
    for _ in range(_DECODINGS):
        if "\\" in path:
            return "The path contains a backslash."
        if any(segment.partition(";")[0] in (".", "..") for segment in _SEPARATORS.split(path)):
            return "The path contains a dot segment, which leads somewhere else."
        decoded = unquote(path)
        if decoded == path:
            return None
        path = decoded
    return "The path is percent-encoded too many times."
