"""Assembles what the model said, the ``choices`` of a terminal event: what all APIs of conversations share.

Each API reads its own chunks into one of these (``relay/apis``). Anything in a chunk may be missing, null or of another
type; nothing here raises for it. What is kept is bounded. ``tests/unit/core/chat/test_tap.py`` holds the bounds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal

from relay.core.chat.error import error_of
from relay.core.chat.events import Choice, Tokens, ToolCall, UpstreamError

MAX_TEXT: Final = 1_000_000
"""Characters of all texts of a stream that are kept: more than an event can carry."""

MAX_PARTS: Final = 1024
"""Choices, and tool calls of one choice, that are kept."""

MAX_WORD: Final = 1024
"""Characters of an id, a name, a role or a finish reason that are kept."""

_MANY: Final = 512
"""Pieces of a text after which they are joined: each costs 50 bytes on top of its own."""


Irregularity = Literal["after_end", "mislabelled", "not_json", "out_of_order", "unknown_event"]
"""How an answer breaks the rules of its API: something came after the end, the ``Content-Type`` is that of another kind
of answer, an event is not a JSON object, a part's place is not the next one or the part never began, or the API has no
such event. It reaches the client all the same, and events say of it what can be read.
"""


class Assembly(ABC):
    """What an answer has said so far. ``content``: whether its texts are kept. ``max_text``: how much of them.

    ``begun``: content, reasoning or a tool call came. ``finished``: a choice has its ``finish_reason``. ``done``: the
    chunk came with which the API ends an answer. ``truncated``: texts were left out, because there were too many.
    ``irregular``: what about the answer is not as its API has it.
    """

    sentinel: ClassVar[bytes] = b""
    """What the data of the event begins with that ends a stream and is no chunk. Empty: a chunk ends it."""

    named: ClassVar[bool] = False
    """Whether each event has a line with its name, which its chunk repeats as ``type``."""

    piecemeal: bool = False
    """Whether this is a part of an answer only: what came before is unknown (see ``said.py``)."""

    def __init__(self, *, content: bool = True, max_text: int = MAX_TEXT) -> None:
        self.completion_id: str | None = None
        self.model: str | None = None
        self.usage: dict[str, Any] | None = None
        self.error: UpstreamError | None = None
        self.begun = False
        self.finished = False
        self.done = False
        self.truncated = False
        self.irregular: set[Irregularity] = set()
        self.following = 0
        """The place of the next part that begins, in the APIs that announce each."""
        self._content = content
        self._room = max_text
        self._choices: dict[int, Parts] = {}

    @abstractmethod
    def add(self, chunk: dict[str, Any]) -> None:
        """One chunk of a stream."""

    @abstractmethod
    def add_body(self, document: dict[str, Any]) -> None:
        """The whole answer to a request that asked for no stream."""

    @abstractmethod
    def tokens(self) -> Tokens:
        """What ``usage`` says, in the words that are the same for all APIs."""

    @classmethod
    @abstractmethod
    def without_texts(cls, chunk: dict[str, Any]) -> dict[str, Any]:
        """What of a chunk may be published without content: only what is known to hold no text of the model."""

    def only_text(self, chunk: Any) -> tuple[list[str], str] | None:
        """If all that a chunk would add, were it added again, is one text: where that is kept, and the text."""
        return None

    def passed_over(self, name: str) -> None:  # noqa: B027 - most APIs end with an event that is small
        """An event with this name was too large to be read."""

    @staticmethod
    def alike(frames: list[bytes]) -> list[bytes]:
        """The frames, none with a LF in it, without what differs in each and is no text: so that a template fits."""
        return frames

    @property
    def empty(self) -> bool:
        """Whether no choice came."""
        return not self._choices

    def keep(self, texts: list[str], said: list[str]) -> None:
        """What ``only_text`` found in some chunks: the texts of each, in order, for one place."""
        whole = "".join(said)
        if whole and len(whole) <= self._room:
            self.keep_text(texts, whole)
        else:
            for text in said:
                self.keep_text(texts, text)

    def choices(self) -> list[Choice]:
        """The choices in the order of their index."""
        return [self._choices[index].choice(index, self._content) for index in sorted(self._choices)]

    def name(self, document: dict[str, Any]) -> None:
        """Takes the answer's id and its model from where both stand, unless they are known."""
        if self.completion_id is None or self.model is None:
            self.completion_id = self.completion_id or word(document.get("id"))
            self.model = self.model or word(document.get("model"))

    def find_error(self, document: dict[str, Any]) -> bool:
        """Takes the error that a chunk or a body reports, and says whether it does; the first one stays."""
        error = error_of(document)
        self.error = self.error or error
        return error is not None

    def add_other(self, chunk: dict[str, Any]) -> None:
        """A chunk that the API does not have: an error, or something unknown."""
        if not self.find_error(chunk):
            self.irregular.add("unknown_event")

    def announce(self, index: int) -> None:
        """A part of a stream begins at this place."""
        if index != self.following:
            self.irregular.add("out_of_order")
        self.following = index + 1

    def finish(self, parts: Parts, reason: str) -> None:
        """A choice has ended."""
        parts.finish_reason = reason[:MAX_WORD]
        self.finished = True

    def parts(self, index: int) -> Parts | None:
        """The choice with this index; ``None``: there are too many."""
        parts = self._choices.get(index)
        if parts is None:
            if len(self._choices) >= MAX_PARTS:
                self.truncated = True
                return None
            parts = self._choices[index] = Parts()
        return parts

    def add_call(self, parts: Parts, index: Any, call_id: Any, kind: Any, name: Any) -> Call | None:
        """The tool call that something belongs to, with what is new about it; ``None``: there are too many."""
        self.begun = True
        if type(index) is int and index > len(parts.calls):
            self.irregular.add("out_of_order")
        name = word(name)
        call = parts.call(index, word(call_id), name)
        if call is None:
            self.truncated = True
            return None
        call.id = call.id or word(call_id)
        call.type = call.type or word(kind)
        call.name = call.name or name
        return call

    def keep_text(self, texts: list[str], text: str) -> None:
        """One more piece of a text, as far as there is room."""
        if text:
            self.begun = True
            self._room -= len(text)
            if self._room < 0:
                self.truncated = self._content
                return
        # The first empty text makes the difference between "" and null; further ones add nothing.
        elif texts:
            return
        if self._content:
            texts.append(text)
            if len(texts) == _MANY:
                texts[:] = ("".join(texts),)


class Parts:
    """What one choice has said so far."""

    __slots__ = ("calls", "content", "finish_reason", "reasoning", "role", "sections")

    def __init__(self) -> None:
        self.role: str | None = None
        self.content: list[str] = []
        self.reasoning: list[str] = []
        self.calls: dict[int, Call] = {}
        self.finish_reason: str | None = None
        self.sections: dict[tuple[bool, int], list[str]] = {}

    def section(self, place: int, *, reasoning: bool) -> list[str]:
        """A part of the content or of the reasoning, for APIs that number them: joined in the order of their places."""
        return self.sections.setdefault((reasoning, place), [])

    def call(self, index: Any, call_id: str | None, name: str | None) -> Call | None:
        """The tool call that a delta goes on with. Without an index, a new id or a name begins the next one."""
        if type(index) is not int:
            index = self._unnumbered(call_id, name)
        call = self.calls.get(index)
        if call is None and len(self.calls) < MAX_PARTS:
            call = self.calls[index] = Call()
        return call

    def _unnumbered(self, call_id: str | None, name: str | None) -> int:
        for index, call in self.calls.items():
            if call_id is not None and call.id == call_id:
                return index
        last = max(self.calls, default=-1)
        return last + 1 if call_id is not None or name is not None or last < 0 else last

    def choice(self, index: int, content: bool) -> Choice:
        return {
            "index": index,
            "role": self.role,
            "content": self._whole(self.content, reasoning=False),
            "reasoning_content": self._whole(self.reasoning, reasoning=True),
            "tool_calls": [self.calls[place].tool_call(place, content) for place in sorted(self.calls)],
            "finish_reason": self.finish_reason,
        }

    def _whole(self, texts: list[str], *, reasoning: bool) -> str | None:
        if self.sections:
            texts = [
                *texts,
                *(piece for key in sorted(self.sections) if key[0] is reasoning for piece in self.sections[key]),
            ]
        return "".join(texts) if texts else None


class Call:
    """What came of one tool call so far."""

    __slots__ = ("arguments", "id", "name", "type")

    def __init__(self) -> None:
        self.id: str | None = None
        self.type: str | None = None
        self.name: str | None = None
        self.arguments: list[str] = []

    def tool_call(self, index: int, content: bool) -> ToolCall:
        arguments = "".join(self.arguments) if content else None
        return {
            "index": index,
            "id": self.id,
            "type": self.type,
            "function": {"name": self.name, "arguments": arguments},
        }


def joined(parts: Any, key: str) -> str:
    """The texts of a list of parts, ``{"type": "text", "text": ...}``."""
    if type(parts) is not list:
        return ""
    return "".join(part[key] for part in parts if type(part) is dict and type(part.get(key)) is str)


def word(value: Any) -> str | None:
    """A short text, as far as it is one; none for an empty one."""
    return value[:MAX_WORD] if value and type(value) is str else None


def count(value: Any) -> int | None:
    """A number of tokens, as far as it is one: an upstream may write anything there."""
    return value if type(value) is int and 0 <= value < 1 << 40 else None


def number(holder: dict[str, Any], key: str) -> int:
    """The place that something has among others; 0 where there is none."""
    value = holder.get(key)
    return value if type(value) is int else 0


def bare(
    holder: dict[str, Any], keys: Iterable[str], within: Mapping[str, Iterable[str]] = MappingProxyType({})
) -> dict[str, Any]:
    """These members, as far as they are there; of the objects ``within`` these, each with some of its own."""
    kept = {key: holder[key] for key in keys if key in holder}
    return kept | {key: bare(holder[key], names) for key, names in within.items() if type(holder.get(key)) is dict}
