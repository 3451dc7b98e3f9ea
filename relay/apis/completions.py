"""Completions, ``POST …/completions``: OpenAI's API from before chats. A prompt in, ``choices`` of ``text`` out.

https://platform.openai.com/docs/api-reference/completions. A choice has no role and calls no tools.
"""

from __future__ import annotations

from typing import Any, Final

from relay.apis._openai import BASE, PREFIXES, Choices, error_body, error_frame
from relay.core.chat.api import Api, Said
from relay.core.chat.assembly import Parts, bare


class Completion(Choices):
    """``choices`` of ``text``, streamed or not."""

    ordinary = frozenset("id object created model choices usage system_fingerprint".split())

    def only_text(self, chunk: Any) -> tuple[list[str], str] | None:
        choice = self.only_choice(chunk)
        if choice is None:
            return None
        index, text = choice.get("index"), choice.get("text")
        parts = self._choices.get(index) if type(index) is int else None
        return (parts.content, text) if parts is not None and text and type(text) is str else None

    def add_choice(self, parts: Parts, choice: dict[str, Any], said: str) -> None:
        text = choice.get("text")  # in a stream and in a body alike
        if type(text) is str:
            self.keep_text(parts.content, text)

    @staticmethod
    def bare_choice(choice: dict[str, Any]) -> dict[str, Any]:
        return bare(choice, ("index", "finish_reason"))


API: Final = Api(
    prefixes=PREFIXES,
    route="/completions",
    assembly=Completion,
    error_body=error_body,
    error_frame=error_frame,
    example={"model": "deepseek/deepseek-v3.1", "prompt": "Hello", "stream": True},
    base=BASE,
    said=Said("prompt"),
)
