"""Answers written by a test, byte for byte: registered under an id, selected with ``X-Simulate: script=<id>``.

A script is a list of answers: the first request that names it gets the first, and so on; the last one stays. So a
script of ``503, 200`` is an upstream that fails once.
"""

from __future__ import annotations

import base64
import binascii
from collections import OrderedDict
from collections.abc import Sequence

from relay.simulator.chat.delivery import STREAM_HEADERS, Answer, End, Piece
from relay.simulator.directives import UnknownFault
from relay.simulator.requests import Json

WORD = "script"
RETAINED = 10_000


class InvalidScript(ValueError):
    """A script that cannot be read; the message says where."""


class Scripts:
    """The newest scripts, each with how often it was played."""

    def __init__(self) -> None:
        self._scripts: OrderedDict[str, tuple[Answer, ...]] = OrderedDict()
        self._played: dict[str, int] = {}
        self._count = 0

    def register(self, answers: Sequence[Answer]) -> str:
        """Answers the script's id. The answers' ``pieces`` must be sequences: each may be sent more than once."""
        if not answers:
            raise InvalidScript("a script has at least one answer")
        self._count += 1
        script_id = f"s{self._count}"
        self._scripts[script_id] = tuple(answers)
        if len(self._scripts) > RETAINED:
            oldest, _ = self._scripts.popitem(last=False)
            self._played.pop(oldest, None)
        return script_id

    def next(self, script_id: str) -> Answer:
        """The answer for the next request that names this script. Raises ``UnknownFault``."""
        answers = self._scripts.get(script_id)
        if answers is None:
            raise UnknownFault(f"no script is registered as {script_id!r}")
        turn = self._played.get(script_id, 0)
        self._played[script_id] = turn + 1
        return answers[min(turn, len(answers) - 1)]


def named_in(header: str) -> str | None:
    """The id in ``X-Simulate: script=<id>``."""
    word, _, value = header.strip().partition("=")
    return value.strip() if word.strip().lower() == WORD else None


def read(body: Json) -> list[Answer]:
    """The answers of ``{"answers": [...]}``. Raises ``InvalidScript``.

    Each is ``{"status", "headers", "pieces", "end", "delay", "length"}``, every key optional: a 200 of an event stream
    that ends as HTTP has it. ``headers`` are pairs; a piece is ``{"text"}`` or ``{"base64"}`` with ``pause`` seconds.
    """
    answers = body.get("answers")
    if not isinstance(answers, list):
        raise InvalidScript("answers is not a list")
    return [_answer(each) for each in answers]


def _answer(given: Json) -> Answer:
    try:
        headers = tuple((str(name), str(value)) for name, value in given.get("headers", STREAM_HEADERS))
        return Answer(
            status=given.get("status", 200),
            headers=headers,
            pieces=tuple(_piece(piece) for piece in given.get("pieces", [])),
            end=End(given.get("end", "complete")),
            delay=float(given.get("delay", 0.0)),
            length=given.get("length"),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as problem:
        raise InvalidScript(f"an answer cannot be read: {problem}") from None


def _piece(given: Json) -> Piece:
    try:
        data = base64.b64decode(given["base64"], validate=True) if "base64" in given else str(given["text"]).encode()
    except binascii.Error as problem:
        raise InvalidScript(f"a piece is not base64: {problem}") from None
    return Piece(data, float(given.get("pause", 0.0)))
