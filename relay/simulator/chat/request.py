"""A request as far as it affects the answer, whatever its API, and how its members are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from relay.simulator.requests import InvalidSubmission, Json

MOST_CHOICES = 128


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """``prompt`` is the text of the last message; ``tools`` the functions offered that may be called now.

    Each of these has a ``name`` and a JSON Schema of its ``parameters``.
    ``reasons``: the style in which the model shows its reasoning, as ``Behaviour.reasoning`` names it, or empty.
    """

    model: str
    stream: bool
    include_usage: bool
    choices: int
    max_tokens: int | None
    prompt: str
    prompt_tokens: int
    tools: tuple[Json, ...]
    reasons: str


def model(body: Json) -> str:
    """Raises ``InvalidSubmission``, as all of these do."""
    name = body.get("model")
    if not isinstance(name, str) or not name:
        raise InvalidSubmission("model is not a string")
    return name


def list_of(body: Json, key: str) -> list[Json]:
    """A list of objects, of which there is at least one."""
    items = body.get(key)
    if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
        raise InvalidSubmission(f"{key} is not a list of {key}")
    return items


def texts(body: Json, key: str) -> list[str]:
    """One text, or a list of them."""
    value = body.get(key)
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not found or not all(isinstance(each, str) for each in found):
        raise InvalidSubmission(f"{key} is not a text or a list of texts")
    return found


def text(content: object) -> str:
    """The texts of a message, which has one or several parts."""
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def callable_now(functions: Sequence[Json], chosen: object, *, forbidden: bool) -> tuple[Json, ...]:
    """The functions that a model would call: none after the result of one, only the one that is ``chosen`` by name."""
    if forbidden:
        return ()
    return tuple(function for function in functions if chosen is None or function.get("name") == chosen)


def choices_of(body: Json) -> int:
    return _number(body, "n", MOST_CHOICES) or 1


def max_tokens(body: Json, *keys: str) -> int | None:
    """The first of these that is there."""
    return next(filter(None, (_number(body, key) for key in keys)), None)


def flag(holder: Json, key: str) -> bool:
    value = holder.get(key)
    if value is not None and not isinstance(value, bool):
        raise InvalidSubmission(f"{key} is not true or false")
    return bool(value)


def _number(holder: Json, key: str, most: int | None = None) -> int | None:
    value = holder.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1 or (most is not None and value > most):
        raise InvalidSubmission(f"{key} is not a number from 1" + (f" to {most}" if most else ""))
    return value
