"""What OpenAI's APIs share: where they are, the shape of their errors, how they count tokens, and ``choices``."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Final

import orjson

from relay.core.chat.assembly import Assembly, Parts, bare, count
from relay.core.chat.error import error_of
from relay.core.chat.events import Tokens

PREFIXES: Final = ("/openai/", "/v3/openai/")
"""Novita's current base and its older ones; ``/v3/openai/v1`` is in use, too."""

BASE: Final = "/openai/v1"


def error_body(status: int, code: str, message: str) -> bytes:
    """The JSON that OpenAI's SDKs turn into an ``APIError`` with this message.

    Source: https://platform.openai.com/docs/guides/error-codes
    """
    return orjson.dumps({"error": openai_error(status, code, message)})


def openai_error(status: int, code: str, message: str) -> dict[str, str | None]:
    """The error itself."""
    return {"message": message, "type": _kind(status), "param": None, "code": code}


def error_frame(status: int, code: str, message: str) -> bytes:
    """The same within a stream: the SDKs raise it."""
    return b"data: " + error_body(status, code, message) + b"\n\n"


class Choices(Assembly):
    """An answer of ``choices``, each with ``index`` and ``finish_reason``; ``[DONE]`` ends a stream of them."""

    sentinel = b"[DONE]"

    ordinary: ClassVar[frozenset[str]]
    """The members of a chunk that are no error."""

    @abstractmethod
    def add_choice(self, parts: Parts, choice: dict[str, Any], said: str) -> None:
        """What one of them says under ``said``, but for its end."""

    @staticmethod
    @abstractmethod
    def bare_choice(choice: dict[str, Any]) -> dict[str, Any]:
        """One of them, as ``without_texts`` has a chunk."""

    def add(self, chunk: dict[str, Any]) -> None:
        self.take(chunk, "delta")
        if "choices" not in chunk:
            self.add_other(chunk)

    def add_body(self, document: dict[str, Any]) -> None:
        self.take(document, "message")

    def take(self, document: dict[str, Any], said: str) -> None:
        """A chunk or a body, whose choices say what they say under ``said``."""
        if not self.ordinary.issuperset(document):
            self.find_error(document)
        self.name(document)
        usage = document.get("usage")
        if usage and type(usage) is dict:
            self.usage = usage
        choices = document.get("choices")  # null beside an error at DeepInfra
        if type(choices) is list:
            for position, choice in enumerate(choices):
                if type(choice) is dict:
                    self._take_choice(choice, position, said)

    def _take_choice(self, choice: dict[str, Any], position: int, said: str) -> None:
        index, finish = choice.get("index"), choice.get("finish_reason")
        parts = self.parts(index if type(index) is int else position)
        if parts is None:
            return
        self.add_choice(parts, choice, said)
        if finish and type(finish) is str:
            self.finish(parts, finish)

    def only_choice(self, chunk: Any) -> dict[str, Any] | None:
        """The choice of a chunk that has nothing else to say, and does not end it."""
        if type(chunk) is not dict or chunk.get("usage"):
            return None
        if not self.ordinary.issuperset(chunk) and error_of(chunk) is not None:
            return None
        choices = chunk.get("choices")
        choice = choices[0] if type(choices) is list and len(choices) == 1 else None
        return None if type(choice) is not dict or choice.get("finish_reason") else choice

    def tokens(self) -> Tokens:
        return openai_tokens(self.usage)

    @classmethod
    def without_texts(cls, chunk: dict[str, Any]) -> dict[str, Any]:
        kept = bare(chunk, ("id", "object", "created", "model", "usage"))
        choices = chunk.get("choices")
        if type(choices) is list:
            kept["choices"] = [cls.bare_choice(choice) for choice in choices if type(choice) is dict]
        return kept


def openai_tokens(usage: dict[str, Any] | None) -> Tokens:
    """``prompt_tokens`` and ``completion_tokens``, or ``input_tokens`` and ``output_tokens``, with their details."""
    usage = usage or {}
    input_details = _details(usage, "prompt_tokens_details", "input_tokens_details")
    output_details = _details(usage, "completion_tokens_details", "output_tokens_details")
    return {
        "input": count(usage.get("prompt_tokens", usage.get("input_tokens"))),
        "output": count(usage.get("completion_tokens", usage.get("output_tokens"))),
        "cached": count(input_details.get("cached_tokens")),
        "cache_written": count(input_details.get("cache_creation_tokens", input_details.get("cache_write_tokens"))),
        "reasoning": count(output_details.get("reasoning_tokens")),
    }


def _details(usage: dict[str, Any], *keys: str) -> dict[str, Any]:
    for key in keys:
        if isinstance(details := usage.get(key), dict):
            return details
    return {}


def _kind(status: int) -> str:
    if status == 429:
        return "rate_limit_error"
    return "server_error" if status >= 500 else "invalid_request_error"
