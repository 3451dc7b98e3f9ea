"""What an answer says, read slowly: an independent reading of each API's rules, to compare the relay's own with.

Written from the specification of event streams, from what the vendors' SDKs do, and from the contract. It takes the
whole body as one text and goes through it line by line, with nothing of ``relay`` in it. A file here is one API: the
word that ends its streams (``END``), its errors, and what its chunks say, put together (``summary``).
"""

from __future__ import annotations

import importlib
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


def content_of_stream(api: str, stream: bytes, status: int = 200, ending: str = "end") -> Content:
    """What a stream says."""
    rules = importlib.import_module(f"tests.chat_reference.{api}")
    chunks: list[dict[str, Any]] = []
    error: dict[str, Any] | None = None
    gaps, done = 0, False
    for data, name in events_of(stream):
        if rules.END and data.startswith(rules.END):
            done = True
            break
        if data == "":
            continue
        document = parsed(data)
        if isinstance(document, dict):
            chunks.append(document)
            error = error or rules.error_in(document)
        else:
            gaps += 1
        if name == "error" and not error:
            error = named_error(document, data)
    data = rules.summary(chunks, streamed=True)
    done = data.pop("done") or done
    data.update(error=error, gaps=gaps, chunks=len(chunks))
    seen_finish = any(choice["finish_reason"] for choice in data["choices"])
    data["outcome"], data["reason"] = ending_of(status, error, done, seen_finish, bool(data["choices"]), ending)
    return Content([json.loads(whole(json.dumps(chunk, ensure_ascii=False)) or "") for chunk in chunks], data)


def content_of_body(api: str, body: bytes, status: int = 200, ending: str = "end") -> Content:
    """What an answer that is no stream says."""
    rules = importlib.import_module(f"tests.chat_reference.{api}")
    text = body.decode("utf-8", "replace")
    document = parsed(text)
    is_whole = isinstance(document, dict)
    data = rules.summary([document] if is_whole else [], streamed=False)
    del data["done"]
    error = rules.error_in(document) if isinstance(document, dict) else None
    if status >= 400 and not error:
        error = named_error(document, text.strip() or None)
    data.update(error=error, gaps=0, chunks=0)
    data["outcome"], data["reason"] = ending_of(status, error, is_whole, False, bool(data["choices"]), ending)
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


def flat_error(document: dict[str, Any]) -> dict[str, Any] | None:
    """The error in one of the shapes that compatible servers and gateways have, whatever the API."""
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


def named_error(document: Any, text: str | None) -> dict[str, Any]:
    """An error that nothing shows but the event's name, or the status."""
    if isinstance(document, dict):
        return shown(document.get("code"), document.get("type"), document.get("detail"))
    return shown(None, None, text)


def shown(code: Any, kind: Any, message: Any) -> dict[str, Any]:
    return {"code": None if code is None else str(code), "type": kind, "message": message}


def openai_tokens(usage: dict[str, Any] | None) -> dict[str, Any]:
    """How OpenAI counts."""
    usage = usage or {}
    read = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
    written = usage.get("completion_tokens_details") or usage.get("output_tokens_details") or {}
    return {
        "input": usage.get("prompt_tokens", usage.get("input_tokens")),
        "output": usage.get("completion_tokens", usage.get("output_tokens")),
        "cached": read.get("cached_tokens"),
        "cache_written": read.get("cache_creation_tokens", read.get("cache_write_tokens")),
        "reasoning": written.get("reasoning_tokens"),
    }


def answer(**known: Any) -> dict[str, Any]:
    """A choice in the words of the event. ``calls``: id, type, name and arguments of each."""
    calls = known.get("calls") or []
    return {
        "index": known.get("index", 0),
        "role": known.get("role"),
        "content": whole(known.get("content")),
        "reasoning_content": whole(known.get("reasoning")),
        "tool_calls": [
            {"index": place, "id": given, "type": kind, "function": {"name": name, "arguments": whole(arguments)}}
            for place, (given, kind, name, arguments) in enumerate(calls)
        ],
        "finish_reason": known.get("finish_reason"),
    }


def whole(text: str | None) -> str | None:
    """Halves of a character that met are one again."""
    return None if text is None else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
