"""Reads a chat completion request, as far as it affects the answer (vendor page create-chat-completion)."""

from __future__ import annotations

from dataclasses import dataclass

from relay.simulator.requests import InvalidSubmission, Json, object_in

MOST_CHOICES = 128


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """``prompt`` is the text of the last message; ``tools`` the functions offered that may be called now.

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


def read(body: Json) -> ChatRequest:
    """Raises ``InvalidSubmission``. ``max_tokens`` is marked as required, but clients leave it out and are served."""
    model, messages = body.get("model"), body.get("messages")
    if not isinstance(model, str) or not model:
        raise InvalidSubmission("model is not a string")
    if not isinstance(messages, list) or not messages or not all(isinstance(message, dict) for message in messages):
        raise InvalidSubmission("messages is not a list of messages")
    texts = [_text(message.get("content")) for message in messages]
    stream = _flag(body, "stream")
    options = object_in(body, "stream_options")
    return ChatRequest(
        model=model,
        stream=stream,
        include_usage=not stream or _flag(options, "include_usage"),
        choices=_number(body, "n", MOST_CHOICES) or 1,
        max_tokens=_number(body, "max_tokens") or _number(body, "max_completion_tokens"),
        prompt=texts[-1],
        prompt_tokens=sum(4 + len(text.split()) for text in texts),
        tools=_callable(body, messages[-1]),
        reasons=_reasons(model, body),
    )


def _callable(body: Json, last: Json) -> tuple[Json, ...]:
    """The functions that a model would call now: none after the result of one, only the chosen one if one is."""
    chosen = body.get("tool_choice")
    tools = body.get("tools") or []
    if not isinstance(tools, list) or not all(isinstance(tool, dict) and "function" in tool for tool in tools):
        raise InvalidSubmission("tools is not a list of functions")
    if last.get("role") == "tool" or chosen == "none":
        return ()
    functions = [tool["function"] for tool in tools]
    if isinstance(chosen, dict):
        name = object_in(chosen, "function").get("name")
        functions = [function for function in functions if function.get("name") == name]
    return tuple(functions)


def _reasons(model: str, body: Json) -> str:
    """Where reasoning is seen: R1 streams ``<think>`` unless asked to separate it; ``enable_thinking`` is on."""
    if "-r1" in model:
        return "content" if _flag(body, "separate_reasoning") else "think"
    thinks = "glm-4.5" in model or "kimi-k2-thinking" in model
    if not thinks or body.get("enable_thinking") is False:
        return ""
    return "details" if "kimi" in model else "content"


def _text(content: object) -> str:
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _flag(holder: Json, key: str) -> bool:
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
