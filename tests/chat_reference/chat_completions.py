"""Chat completions, as OpenAI's SDK and the vendors' pages have them."""

from __future__ import annotations

from typing import Any

from tests.chat_reference import flat_error, openai_tokens, shown, whole

END = "[DONE]"


def error_in(document: dict[str, Any]) -> dict[str, Any] | None:
    """The error in one of its shapes, or a finish reason that is one."""
    return flat_error(document) or ends_in_error(document)


def ends_in_error(document: dict[str, Any]) -> dict[str, Any] | None:
    """A chunk whose finish reason is ``error`` reports one, even without a text."""
    choices = document.get("choices")
    failed = [choice for choice in choices or [] if choice.get("finish_reason") == "error"]
    return shown(None, None, None) if failed else None


def summary(documents: list[dict[str, Any]], *, streamed: bool) -> dict[str, Any]:
    """What chunks or a body say, put together: the dumbest way that can be right."""
    said = "delta" if streamed else "message"
    data: dict[str, Any] = {"completion_id": None, "model": None, "usage": None, "done": False}
    answers: dict[int, dict[str, Any]] = {}
    for document in documents:
        data["completion_id"] = data["completion_id"] or document.get("id") or None
        data["model"] = data["model"] or document.get("model") or None
        data["usage"] = document.get("usage") or data["usage"]
        for choice in document.get("choices") or []:
            answer = answers.setdefault(choice["index"], {"index": choice["index"], "calls": []})
            answer["finish_reason"] = choice.get("finish_reason") or answer.get("finish_reason")
            hear(answer, choice.get(said) or {})
    data["choices"] = [answer_of(answers[index]) for index in sorted(answers)]
    data["tokens"] = openai_tokens(data["usage"])
    data["usage_source"] = "reported" if data["usage"] else "absent"
    return data


def hear(answer: dict[str, Any], delta: dict[str, Any]) -> None:
    """One delta."""
    answer["role"] = answer.get("role") or delta.get("role")
    content = delta.get("content")
    if isinstance(content, list):
        content = "".join(part.get("text", "") for part in content)
    if content is not None:
        answer["content"] = answer.get("content", "") + content
    details = delta.get("reasoning_details") or []
    reasoning = (
        delta.get("reasoning_content")
        or delta.get("reasoning")
        or "".join(part.get("text", "") for part in details)
        or "".join(part.get("summary", "") for part in details)
    )
    if reasoning:
        answer["reasoning"] = answer.get("reasoning", "") + reasoning
    for call in delta.get("tool_calls") or []:
        hear_call(answer["calls"], call)


def hear_call(calls: list[dict[str, Any]], call: dict[str, Any]) -> None:
    """Calls are distinguished by their index; where there is none, by a new id, or a new name without an id."""
    function = call.get("function") or {}
    for known in calls:
        if call.get("index") == known["index"] or (
            call.get("index") is None and call.get("id") == known["id"] is not None
        ):
            break
    else:
        goes_on = call.get("index") is None and not call.get("id") and not function.get("name") and calls
        if not goes_on:
            index = len(calls) if call.get("index") is None else call["index"]
            calls.append({"index": index, "id": None, "type": None, "name": None, "arguments": ""})
        known = calls[-1]
    known["id"] = known["id"] or call.get("id")
    known["type"] = known["type"] or call.get("type")
    known["name"] = known["name"] or function.get("name")
    known["arguments"] += function.get("arguments") or ""


def answer_of(answer: dict[str, Any]) -> dict[str, Any]:
    """In the words of the event."""
    return {
        "index": answer["index"],
        "role": answer.get("role") or None,
        "content": whole(answer.get("content")),
        "reasoning_content": whole(answer.get("reasoning")),
        "tool_calls": [
            {
                "index": call["index"],
                "id": call["id"],
                "type": call["type"],
                "function": {"name": call["name"], "arguments": call["arguments"]},
            }
            for call in sorted(answer["calls"], key=lambda call: int(call["index"]))
        ],
        "finish_reason": answer.get("finish_reason") or None,
    }
