"""What the model says: made up from the request and its random numbers, so that equal requests get equal answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import orjson

from relay.simulator.chat.behaviour import Behaviour
from relay.simulator.chat.request import ChatRequest
from relay.simulator.requests import Json

VOCABULARY = (
    "a kite over the sea held by one long line, and the wind does the rest; naïve, they said — 風, 🪁, until it flew"
).split()
_SPACED = [f" {word}" for word in VOCABULARY]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """``arguments`` is JSON text in the pieces in which it is streamed."""

    call_id: str
    name: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the ``n`` answers; ``reasoning`` and ``content`` in the pieces in which they are streamed."""

    reasoning: tuple[str, ...]
    content: tuple[str, ...]
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str | None


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer. ``created`` is in epoch seconds."""

    completion_id: str
    created: int
    model: str
    choices: tuple[Choice, ...]
    prompt_tokens: int

    @property
    def completion_tokens(self) -> int:
        """One for each piece."""
        return sum(
            len(choice.reasoning) + len(choice.content) + sum(len(call.arguments) for call in choice.tool_calls)
            for choice in self.choices
        )

    @property
    def reasoning_tokens(self) -> int:
        return sum(len(choice.reasoning) for choice in self.choices)


def invent(
    request: ChatRequest, behaviour: Behaviour, rng: Random, now: int, ids: Sequence[str] = ("chatcmpl-",)
) -> Reply:
    """The answer to a request at ``now`` (epoch seconds); its id begins with one of ``ids``."""
    return Reply(
        completion_id=rng.choice(ids) + f"{rng.getrandbits(128):032x}",
        created=now,
        model=request.model,
        choices=tuple(_choice(request, behaviour, rng) for _ in range(request.choices)),
        prompt_tokens=request.prompt_tokens,
    )


def _choice(request: ChatRequest, behaviour: Behaviour, rng: Random) -> Choice:
    calls = behaviour.tools or (1 if request.tools else 0)
    style = behaviour.reasoning
    reasoning = _words(rng, rng.randint(3, 9)) if style else ()
    tool_calls = tuple(_tool_call(request.tools, number, rng) for number in range(calls))
    content = () if calls else _content(request, behaviour, rng)
    finish_reason = "tool_calls" if calls else "stop"
    if request.max_tokens is not None and len(content) > request.max_tokens:
        content, finish_reason = content[: request.max_tokens], "length"
    if style == "think":
        reasoning, content = (), ("<think>\n", *reasoning, "\n</think>\n\n", *content)
    return Choice(reasoning, content, tool_calls, _finish_reason(behaviour, finish_reason))


def _finish_reason(behaviour: Behaviour, usual: str) -> str | None:
    if behaviour.finish_reason == "absent":
        return None
    return "" if behaviour.finish_reason == "empty" else behaviour.finish_reason or usual


def _content(request: ChatRequest, behaviour: Behaviour, rng: Random) -> tuple[str, ...]:
    if behaviour.echo:
        return _pieces(request.prompt)
    number = behaviour.chunks or rng.randint(6, 20)
    if behaviour.size:
        return ("x" * behaviour.size,) * number
    return _words(rng, number)


def _words(rng: Random, number: int) -> tuple[str, ...]:
    return (rng.choice(VOCABULARY), *rng.choices(_SPACED, k=number - 1))


def _pieces(text: str) -> tuple[str, ...]:
    """A text in words, each with the space before it."""
    first, *others = text.split(" ")
    return (first, *(f" {word}" for word in others))


def _tool_call(functions: Sequence[Json], number: int, rng: Random) -> ToolCall:
    function: Json = functions[number % len(functions)] if functions else {"name": "look_up"}
    arguments = orjson.dumps(_example(function.get("parameters") or {}, rng)).decode()
    half = len(arguments) // 2
    pieces = (arguments[:half], arguments[half:]) if half else (arguments,)
    return ToolCall(f"call_{rng.getrandbits(96):024x}", str(function.get("name")), pieces)


def _example(schema: Json, rng: Random) -> Any:
    """A value that a JSON Schema of a function's parameters allows, for the kinds that they are written in."""
    if schema.get("enum"):
        return rng.choice(schema["enum"])
    kind = schema.get("type", "object")
    if kind == "object":
        return {name: _example(part, rng) for name, part in (schema.get("properties") or {}).items()}
    if kind == "array":
        return [_example(schema.get("items") or {"type": "string"}, rng)]
    return {"integer": 7, "number": 0.5, "boolean": True}.get(str(kind), "a kite")
