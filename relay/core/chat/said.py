"""What a part of a stream says, whatever came before it: for those who read a chat while it grows. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from relay.core.chat.api import Api
from relay.core.chat.events import Choice


def said(chunks: Iterable[Any], apis: Iterable[Api]) -> list[Choice]:
    """What some chunks add to the ``choices`` of their chat; empty if nothing. The chat's last event has the whole.

    They may be of any of the ``apis``: the chunks of one say nothing to the others. A tool call has its place among
    all parts of the answer, as the upstream numbers them. What only repeats earlier chunks is left out.
    """
    known = [chunk for chunk in chunks if type(chunk) is dict]
    for api in apis:
        answer = api.assembly()
        answer.piecemeal = True
        for chunk in known:
            answer.add(chunk)
        if answer.begun:
            return answer.choices()
    return []
