"""Completions, as OpenAI's page has them: choices of text."""

from __future__ import annotations

from typing import Any

from tests.chat_reference import answer, flat_error, openai_tokens

END = "[DONE]"
error_in = flat_error


def summary(documents: list[dict[str, Any]], *, streamed: bool) -> dict[str, Any]:
    """Chunks are like bodies: the texts of each index, one after the other."""
    texts: dict[int, list[str]] = {}
    ends: dict[int, str] = {}
    for document in documents:
        choices = document.get("choices")
        for place, choice in enumerate(choices if isinstance(choices, list) else []):
            index = choice.get("index", place)
            texts.setdefault(index, [])
            if isinstance(choice.get("text"), str):
                texts[index].append(choice["text"])
            if choice.get("finish_reason"):
                ends[index] = choice["finish_reason"]
    usage = ([document["usage"] for document in documents if document.get("usage")] or [None])[-1]
    return {
        "completion_id": next((document["id"] for document in documents if document.get("id")), None),
        "model": next((document["model"] for document in documents if document.get("model")), None),
        "usage": usage,
        "tokens": openai_tokens(usage),
        "usage_source": "reported" if usage else "absent",
        "choices": [
            answer(index=index, content="".join(texts[index]) if texts[index] else None, finish_reason=ends.get(index))
            for index in sorted(texts)
        ],
        "done": False,
    }
