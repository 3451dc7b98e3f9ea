"""Completions, ``POST …/completions``: OpenAI's API from before chats. A prompt in, ``choices`` of ``text`` out.

https://platform.openai.com/docs/api-reference/completions. A choice has no role and calls no tools.
"""

from __future__ import annotations

from typing import Any, Final

from relay.apis._openai import PREFIXES, error_body, error_frame, openai_tokens
from relay.core.chat.api import Api, Said
from relay.core.chat.assembly import Assembly
from relay.core.chat.events import Tokens

_ORDINARY: Final = frozenset("id object created model choices usage system_fingerprint".split())


class Completion(Assembly):
    """``choices`` of ``text``, streamed or not, and ``[DONE]``."""

    sentinel = b"[DONE]"

    def add(self, chunk: dict[str, Any]) -> None:
        if not _ORDINARY.issuperset(chunk):
            self.find_error(chunk)
        self.name(chunk)
        usage = chunk.get("usage")
        if usage and type(usage) is dict:
            self.usage = usage
        choices = chunk.get("choices")
        if type(choices) is list:
            for position, choice in enumerate(choices):
                if type(choice) is dict:
                    self._add_choice(choice, position)

    def add_body(self, document: dict[str, Any]) -> None:
        self.add(document)

    def only_text(self, chunk: Any) -> tuple[list[str], str] | None:
        if type(chunk) is not dict or chunk.get("usage") or not _ORDINARY.issuperset(chunk):
            return None
        choices = chunk.get("choices")
        choice = choices[0] if type(choices) is list and len(choices) == 1 else None
        if type(choice) is not dict or choice.get("finish_reason"):
            return None
        index, text = choice.get("index"), choice.get("text")
        parts = self.parts(index) if type(index) is int else None
        return (parts.content, text) if parts is not None and text and type(text) is str else None

    def tokens(self) -> Tokens:
        return openai_tokens(self.usage)

    @staticmethod
    def without_texts(chunk: dict[str, Any]) -> dict[str, Any]:
        bare: dict[str, Any] = {
            key: chunk[key] for key in ("id", "object", "created", "model", "usage") if key in chunk
        }
        choices = chunk.get("choices")
        if type(choices) is list:
            bare["choices"] = [
                {key: choice[key] for key in ("index", "finish_reason") if key in choice}
                for choice in choices
                if type(choice) is dict
            ]
        return bare

    def _add_choice(self, choice: dict[str, Any], position: int) -> None:
        index, text, finish = choice.get("index"), choice.get("text"), choice.get("finish_reason")
        parts = self.parts(index if type(index) is int else position)
        if parts is None:
            return
        if type(text) is str:
            self.keep_text(parts.content, text)
        if finish and type(finish) is str:
            self.finish(parts, finish)


API: Final = Api(
    prefixes=PREFIXES,
    route="/completions",
    assembly=Completion,
    error_body=error_body,
    error_frame=error_frame,
    example={"model": "deepseek/deepseek-v3.1", "prompt": "Hello", "stream": True},
    said=Said("prompt"),
)
