"""Responses, as OpenAI's pages and SDK have them: first the response as the SDK would have it, then its summary."""

from __future__ import annotations

from typing import Any

from tests.chat_reference import answer, flat_error, openai_tokens, shown

END = ""
CONTENT = ("response.output_text.delta", "response.refusal.delta")
REASONING = ("response.reasoning_text.delta", "response.reasoning_summary_text.delta")
CALLS = {
    "response.function_call_arguments.delta": "function_call",
    "response.custom_tool_call_input.delta": "custom_tool_call",
    "response.mcp_call_arguments.delta": "mcp_call",
}
ENDS = {f"response.{status}": status for status in ("completed", "incomplete", "failed", "cancelled")}


def error_in(document: dict[str, Any]) -> dict[str, Any] | None:
    """An event ``error``, flat or with one in it; an error of the response; a response that failed without one."""
    if document.get("type") == "error":
        nested = flat_error({"error": document.get("error")})
        return nested or shown(document.get("code"), None, document.get("message"))
    inner = document.get("response")
    if isinstance(inner, dict) or document.get("type") in ENDS:
        inner = inner if isinstance(inner, dict) else {}
        failed = (inner.get("status") or ENDS.get(document.get("type", ""))) == "failed"
        return flat_error(inner) or (shown(None, None, None) if failed else None)
    if document.get("object") == "response":
        failed = document.get("status") == "failed"
        return flat_error(document) or (shown(None, None, None) if failed else None)
    return flat_error(document)


def summary(documents: list[dict[str, Any]], *, streamed: bool) -> dict[str, Any]:
    """Every item by its place; a body is a stream of nothing but its end."""
    bodies: list[dict[str, Any]] = [{"type": "body", "response": document} for document in documents]
    said: dict[str, Any] = {"id": None, "model": None, "usage": None, "finish": None, "role": None}
    items: dict[int, dict[str, Any]] = {}
    empty_text = False
    events = documents if streamed else bodies
    for event in events:
        kind, index = event.get("type"), event.get("output_index", 0)
        if kind in (*CONTENT, *REASONING, *CALLS):
            item = items.setdefault(index, {"type": CALLS.get(kind), "content": [], "reasoning": [], "arguments": []})
            key = "content" if kind in CONTENT else "reasoning" if kind in REASONING else "arguments"
            item["type"] = item["type"] or CALLS.get(kind)
            item[key].append(event["delta"])
            item["heard"] = True
        elif kind in ("response.output_item.added", "response.output_item.done"):
            take_item(items, index, event["item"], whole=kind.endswith("done"))
        elif kind == "response.content_part.added":
            empty_text = empty_text or event["part"]["type"] == "output_text"
        elif isinstance(event.get("response"), dict) or kind in ENDS:
            take_response(said, items, event.get("response") or {}, ENDS.get(kind or ""))
    return summed_up(said, items, empty_text=empty_text, done=any(event.get("type") in ENDS for event in events))


def take_item(items: dict[int, dict[str, Any]], index: int, given: dict[str, Any], *, whole: bool) -> None:
    """What an item says of itself; its texts if it is whole and no piece of it came."""
    item = items.setdefault(index, {"type": None, "content": [], "reasoning": [], "arguments": []})
    item["type"] = item["type"] or given.get("type")
    for key in ("id", "call_id", "name", "role"):
        item[key] = item.get(key) or given.get(key)
    if whole and not item.get("heard"):
        item["heard"] = True
        if given["type"] == "message":
            item["content"] = [part.get("text") or part.get("refusal") or "" for part in given.get("content") or []]
        for part in (given.get("summary") or []) + (given.get("content") or []):
            if given["type"] == "reasoning":
                item["reasoning"].append(part["text"])
        item["arguments"] = [given.get("arguments", given.get("input", ""))]


def take_response(
    said: dict[str, Any], items: dict[int, dict[str, Any]], response: dict[str, Any], ended: str | None
) -> None:
    for key in ("id", "model"):
        said[key] = said[key] or response.get(key)
    said["usage"] = response.get("usage") or said["usage"]
    heard = {item.get("id") for item in items.values() if item.get("heard")} - {None}
    for index, item in enumerate(response.get("output") or []):
        if item.get("id") not in heard:
            take_item(items, index, item, whole=True)
    status = response.get("status") or ended
    if status in ("completed", "incomplete", "cancelled"):
        said["finish"] = (response.get("incomplete_details") or {}).get("reason") or status


def summed_up(
    said: dict[str, Any], items: dict[int, dict[str, Any]], *, empty_text: bool, done: bool
) -> dict[str, Any]:
    content = [text for index in sorted(items) for text in items[index]["content"]]
    reasoning = [text for index in sorted(items) for text in items[index]["reasoning"]]
    calls = [
        (
            item.get("call_id") or (item.get("id") if item["type"] == "mcp_call" else None),
            "function" if item["type"] == "function_call" else item["type"],
            item.get("name"),
            "".join(item["arguments"]),
        )
        for item in items.values()
        if item["type"] in CALLS.values()
    ]
    choice = answer(
        role=next((item["role"] for item in items.values() if item.get("role")), None),
        content="".join(content) if content or empty_text else None,
        reasoning="".join(reasoning) if reasoning else None,
        calls=calls,
        finish_reason=said["finish"],
    )
    return {
        "completion_id": said["id"],
        "model": said["model"],
        "usage": said["usage"],
        "tokens": openai_tokens(said["usage"]),
        "usage_source": "reported" if said["usage"] else "absent",
        "choices": [choice] if items or empty_text or said["finish"] else [],
        "done": done,
    }
