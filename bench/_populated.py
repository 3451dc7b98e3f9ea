"""A journal as a busy day leaves it, for those who look at it: tasks, chats with their chunks, and dead letters.

``python -m bench._populated PATH`` writes it through the relay's own store: ten to twenty seconds and 140 MB.
"""

from __future__ import annotations

import json
import random
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from bench._journals import fill
from relay.core.chat.events import ChatData, Opening, chunk_draft, chunk_key, started_draft, terminal_draft
from relay.core.clock import rfc3339
from relay.core.dead import unreadable_draft
from relay.core.event import Draft
from relay.core.source import Delivery, Unreadable
from relay.core.tasks.events import bare_task, submitted_draft
from relay.journal.store import Store
from relay.sources.novita_task import NovitaTask

EVENTS, TASKS, CHATS, DEAD = 100_000, 5_000, 2_000, 500
DAY = 86_400_000
GROUP = 10
TYPES = ("TXT_TO_IMG", "IMG_TO_IMG", "TXT_TO_VIDEO", "UPSCALE", "TXT_TO_SPEECH")
MODELS = (
    "deepseek/deepseek-v3.1",
    "deepseek/deepseek-r1-turbo",
    "qwen/qwen3-235b-a22b-instruct-2507",
    "moonshotai/kimi-k2",
)
REASONS = {"completed": None, "failed": "upstream_error", "cancelled": "client_gone"}
TEXT = "A kite flies as high as its line is long, as its weight allows, and as the wind carries it. "

Moment = tuple[int, Draft]
"""When something was accepted, in epoch milliseconds, and what."""


def populated(path: Path, now: int) -> None:
    """Writes the journal of the day before ``now`` (epoch milliseconds)."""
    chance = random.Random(7)
    begin = now - DAY
    moments = [*_tasks(chance, begin), *_dead_letters(chance, begin)]
    chats = [_chat(chance, begin + chance.randrange(DAY - 600_000)) for _ in range(CHATS)]
    moments += [moment for chat in chats for moment in (chat[0], chat[-1])]
    pieces = (EVENTS - len(moments)) // CHATS
    moments += [moment for chat in chats for moment in _pieces(chat, pieces)]
    moments.sort(key=lambda moment: moment[0])
    store = Store(path)
    try:
        for start in range(0, len(moments), GROUP):
            group = moments[start : start + GROUP]
            fill(store, [draft for _, draft in group], group[-1][0])
    finally:
        store.close()


def _tasks(chance: random.Random, begin: int) -> Iterator[Moment]:
    """Half of them submitted through the relay, the others known by their webhook; a few never end."""
    source = NovitaTask()
    for number in range(TASKS):
        task_id, kind, at = (
            str(uuid.UUID(int=chance.getrandbits(128))),
            chance.choice(TYPES),
            begin + chance.randrange(DAY),
        )
        took = int(chance.lognormvariate(9, 1))
        if number % 2:
            data = bare_task(task_id, "submitted", via="submit", received_at=at)
            data["task_type"] = kind
            yield at, submitted_draft(data)
        if number % 100 == 1:
            continue
        task = {"task_id": task_id, "task_type": kind, "status": "TASK_STATUS_SUCCEED"}
        if chance.random() < 0.06:
            task |= {"status": "TASK_STATUS_FAILED", "reason": "the prompt was refused"}
        images = [{"image_url": f"https://out.example/{task_id}.jpeg?X-Amz-Expires=3600", "image_type": "jpeg"}]
        times = {"debug_info": {"submit_time_ms": at, "complete_time_ms": at + took}}
        body = json.dumps({"task": task, "images": images, "extra": times}).encode()
        draft = source.normalize(Delivery(body, at + took))
        assert isinstance(draft, Draft)
        yield at + took, draft


def _dead_letters(chance: random.Random, begin: int) -> Iterator[Moment]:
    for number in range(DEAD):
        at, reason = begin + chance.randrange(DAY), chance.choice(("unknown_status", "unknown_event", "no_task_id"))
        delivery = Delivery(b'{"task":{"task_id":"t-%d","status":"NO_SUCH"}}' % number, at)
        yield at, unreadable_draft(delivery, Unreadable(reason, "status: 'NO_SUCH'", f"t-{number}"), origin="novita")


def _chat(chance: random.Random, at: int) -> tuple[Moment, Moment]:
    """Its beginning and its end."""
    chat_id, model, client, api = (
        str(uuid.UUID(int=chance.getrandbits(128))),
        chance.choice(MODELS),
        chance.choice(("web", "batch")),
        chance.choice(("chat_completions", "messages")),
    )
    outcome = chance.choices(("completed", "failed", "cancelled"), (90, 6, 4))[0]
    took, words = int(chance.lognormvariate(8, 1)), chance.randrange(20, 1500)
    answer = {"index": 0, "role": "assistant", "content": (TEXT * 200)[: words * 5], "reasoning_content": None}
    data: ChatData = {
        "chat_id": chat_id,
        "api": api,
        "completion_id": f"chatcmpl-{chat_id}",
        "model": model,
        "outcome": outcome,  # type: ignore[typeddict-item]
        "reason": REASONS[outcome],  # type: ignore[typeddict-item]
        "http_status": 200,
        "error": None,
        "choices": [answer | {"tool_calls": [], "finish_reason": "stop"}],  # type: ignore[list-item]
        "usage": {"prompt_tokens": 40, "completion_tokens": words, "total_tokens": words + 40},
        "tokens": {"input": 40, "output": words, "cached": None, "cache_written": None, "reasoning": None},
        "usage_source": "reported",
        "chunks": words,
        "bytes": words * 300,
        "gaps": 0,
        "truncated": False,
        "timings": {"started_at": rfc3339(at), "first_byte_ms": 90, "first_token_ms": took // 9, "duration_ms": took},
        "client": client,
        "request": None,
    }
    ended = terminal_draft(data, json.dumps(data).encode(), time=rfc3339(at + took))
    return (at, started_draft(Opening(chat_id, at, 0.0, model, client=client, api=api))), (at + took, ended)


def _pieces(chat: tuple[Moment, Moment], number: int) -> Iterator[Moment]:
    (begun, started), (ended, _) = chat
    chat_id = started.event.subject
    key = chunk_key(chat_id)
    for place in range(number):
        at = begun + (ended - begun) * (place + 1) // (number + 2)
        delta = {"content": TEXT[: 4 + place % 40]}
        chunk = {"id": chat_id, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta}]}
        pieces = [json.dumps(chunk).encode()] * 5
        yield at, chunk_draft(chat_id, key, place * 5, pieces, time=rfc3339(at))


if __name__ == "__main__":
    populated(Path(sys.argv[1]), time.time_ns() // 1_000_000)
