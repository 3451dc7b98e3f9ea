"""The demo's chats through relay, as any client sends them, some broken on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import aiohttp
from rich.text import Text

from relay.demo.scenario import Trouble
from relay.simulator.directives import HEADER

Json = dict[str, Any]

PATHS = {
    "chat_completions": "/openai/v1/chat/completions",
    "completions": "/openai/v1/completions",
    "responses": "/openai/v1/responses",
    "messages": "/anthropic/v1/messages",
}
"""Where each API is called."""
COMPLETED = "relay.chat.completed"
FAILED = "relay.chat.failed"
CANCELLED = "relay.chat.cancelled"
TERMINAL = (COMPLETED, FAILED, CANCELLED)
CHUNK = "relay.chat.chunk"

_STYLES = {COMPLETED: "green", FAILED: "red", CANCELLED: "yellow"}
_SHOWN_CHARACTERS = 36


@dataclass(frozen=True, slots=True)
class Chat:
    """One way for a chat to go, and the event in which it has to end.

    ``leaves``: the client hangs up after the first bytes. ``more`` is added to the request.
    """

    trouble: Trouble
    ends_in: str = COMPLETED
    leaves: bool = False
    streamed: bool = True
    more: tuple[tuple[str, Any], ...] = ()
    api: str = "chat_completions"


CHATS = (
    Chat(Trouble("pace=20ms", "a chat, streamed")),
    Chat(Trouble("reasoning=content", "a chat with reasoning")),
    Chat(Trouble("tools=2", "a chat that calls two tools")),
    Chat(Trouble("bytes=1, newline=crlf, comments", "a chat sent byte by byte")),
    Chat(Trouble("slow=300ms", "a chat, not streamed"), streamed=False),
    Chat(Trouble("chunks=9", "three answers in one chat"), more=(("n", 3),)),
    Chat(Trouble("reasoning=content", "a message, with thinking"), api="messages"),
    Chat(Trouble("tools=1", "a response that calls a tool"), api="responses"),
    Chat(Trouble("chunks=12", "a completion"), api="completions"),
    Chat(Trouble("reset", "chat: upstream resets in mid-frame"), FAILED),
    Chat(Trouble("truncated", "chat: truncated, no [DONE]"), FAILED),
    Chat(Trouble("error-frame=flat", "chat: error in mid-stream"), FAILED),
    Chat(Trouble("error-frame", "message: error in mid-stream"), FAILED, api="messages"),
    Chat(Trouble("error=503", "chat: refused by the upstream"), FAILED),
    Chat(Trouble("hang", "chat: client leaves in mid-stream"), CANCELLED, leaves=True),
)


@dataclass(frozen=True, slots=True)
class ChatStep:
    """One request of the scenario."""

    body: Json
    chat: Chat


def chat_script(chats: int, seed: int) -> Iterator[ChatStep]:
    """A round of chats: every way in turn."""
    rng = Random(seed)  # noqa: S311 - a scenario, not a secret
    for number in range(chats):
        chat = CHATS[number % len(CHATS)]
        question = f"how high does a kite fly, take {seed}-{number}-{rng.randrange(1000)}?"
        body = {"model": "deepseek/deepseek-v3.1", "stream": chat.streamed}
        yield ChatStep(body | _asked(chat.api, question) | dict(chat.more), chat)


def _asked(api: str, question: str) -> Json:
    """A question in the words of an API."""
    if api == "completions":
        return {"prompt": question}
    if api == "responses":
        return {"input": question}
    messages = {"messages": [{"role": "user", "content": question}]}
    return messages | {"max_tokens": 1000} if api == "messages" else messages


async def converse(session: aiohttp.ClientSession, relay_url: str, step: ChatStep) -> str:
    """Plays the client of one chat to its end, whichever that is; answers the relay's id of the chat."""
    headers = {HEADER: step.chat.trouble.simulate}
    async with session.post(relay_url + PATHS[step.chat.api], json=step.body, headers=headers) as response:
        chat_id = response.headers["X-Relay-Chat-Id"]
        try:
            async for _ in response.content.iter_any():
                if step.chat.leaves:
                    response.close()
                    break
        except aiohttp.ClientPayloadError:
            pass  # the relay passes on that the stream broke
    return chat_id


def chat_line(offset: int, event: Json) -> Text:
    """An event about a chat in one line: where, what, which API and chat, what was said or why not."""
    data = event["data"]
    line = Text(f"{offset:>5}  ", "dim")
    line.append(f"{event['type']:<22}", _STYLES.get(event["type"], ""))
    line.append(f"{data['model'] or '?':<24}{data.get('api', ''):<17} {event['subject'][-8:]}  ")
    line.append(data.get("reason") or _said(data)[:_SHOWN_CHARACTERS])
    return line


def _said(data: Json) -> str:
    """What the model answered, or which functions it called."""
    choices = data.get("choices") or ()
    calls = [call["function"]["name"] for choice in choices for call in choice["tool_calls"]]
    return " ".join("".join(choice["content"] or "" for choice in choices).split()) or ", ".join(calls)
