"""What a chat answer says, read slowly: an independent reading of the rules, to compare the relay's own with.

Written from the specification of event streams, from what the OpenAI SDKs do, and from the contract. It takes the whole
body as one text and goes through it line by line, with nothing of ``relay`` in it.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple


class Content(NamedTuple):
    """``chunks``: the chunk objects in order. ``data``: the fields of the terminal event that the body decides."""

    chunks: list[dict[str, Any]]
    data: dict[str, Any]


def events_of(stream: bytes) -> list[tuple[str, str]]:
    """Data and name of each event, as
    https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation has it."""
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    events: list[tuple[str, str]] = []
    data, name = "", ""
    for line in text.split("\n")[:-1]:
        if line == "":
            if data:
                events.append((data[:-1], name))
            data, name = "", ""
            continue
        if line.startswith(":"):
            continue
        field, value = line.split(":", 1) if ":" in line else (line, "")
        if value.startswith(" "):
            value = value[1:]
        if field == "data":
            data += value + "\n"
        elif field == "event":
            name = value
    return events


def content_of_stream(stream: bytes, status: int = 200, ending: str = "end") -> Content:
    """What a stream says."""
    chunks: list[dict[str, Any]] = []
    error: dict[str, Any] | None = None
    gaps, done = 0, False
    for data, name in events_of(stream):
        if data.startswith("[DONE]"):
            done = True
            break
        if data == "":
            continue
        document = parsed(data)
        if isinstance(document, dict):
            chunks.append(document)
        else:
            gaps += 1
        error = error or (error_in(document) if isinstance(document, dict) else None) or ends_in_error(document)
        if name == "error" and not error:
            error = {"code": None, "type": None, "message": data}
    data = summary(chunks, "delta")
    data.update(error=error, gaps=gaps, chunks=len(chunks))
    seen_finish = any(choice["finish_reason"] for choice in data["choices"])
    data["outcome"], data["reason"] = ending_of(status, error, done, seen_finish, bool(data["choices"]), ending)
    return Content([json.loads(whole(json.dumps(chunk, ensure_ascii=False)) or "") for chunk in chunks], data)


def content_of_body(body: bytes, status: int = 200, ending: str = "end") -> Content:
    """What an answer that is no stream says."""
    text = body.decode("utf-8", "replace")
    document = parsed(text)
    whole = isinstance(document, dict)
    data = summary([document] if whole else [], "message")
    error = error_in(document) if isinstance(document, dict) else None
    if status >= 400 and not error:
        error = {"code": None, "type": None, "message": text.strip() or None}
    data.update(error=error, gaps=0, chunks=0)
    data["outcome"], data["reason"] = ending_of(status, error, whole, False, bool(data["choices"]), ending)
    if data["reason"] == "truncated":
        data["reason"] = "not_json"
    return Content([], data)


def ending_of(
    status: int, error: object, done: bool, finished: bool, said: bool, ending: str
) -> tuple[str, str | None]:
    """Outcome and reason."""
    if status >= 300:
        return "failed", "error_status"
    if error:
        return "failed", "upstream_error"
    if done:
        return "completed", None if said else "empty"
    if ending == "client_gone":
        return "cancelled", "client_gone"
    if ending == "end":
        return ("completed", None) if finished else ("failed", "truncated")
    return "failed", ending


def parsed(text: str) -> Any:
    """As ``json.loads`` of the SDKs."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def error_in(document: dict[str, Any]) -> dict[str, Any] | None:
    """The error in one of its shapes."""
    error = document.get("error")
    if isinstance(error, dict) and error:
        return shown(error.get("code"), error.get("type") or error.get("reason"), error.get("message"))
    if error:
        return shown(None, None, error)
    if document.get("error_type") or document.get("error_message"):
        return shown(None, document.get("error_type"), document.get("error_message"))
    flat = "code" in document and ("reason" in document or "message" in document)
    if not isinstance(document.get("choices"), list) and (flat or document.get("object") == "error"):
        return shown(document.get("code"), document.get("reason") or document.get("type"), document.get("message"))
    return None


def ends_in_error(document: Any) -> dict[str, Any] | None:
    """A chunk whose finish reason is ``error`` reports one, even without a text."""
    choices = document.get("choices") if isinstance(document, dict) else None
    failed = [choice for choice in choices or [] if choice.get("finish_reason") == "error"]
    return shown(None, None, None) if failed else None


def shown(code: Any, kind: Any, message: Any) -> dict[str, Any]:
    return {"code": None if code is None else str(code), "type": kind, "message": message}


def summary(documents: list[dict[str, Any]], said: str) -> dict[str, Any]:
    """What chunks or a body say, put together: the dumbest way that can be right."""
    data: dict[str, Any] = {"completion_id": None, "model": None, "usage": None}
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
    """Calls are told apart by their index; where there is none, by a new id, or a new name without an id."""
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


def whole(text: str | None) -> str | None:
    """Halves of a character that met are one again."""
    return None if text is None else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
