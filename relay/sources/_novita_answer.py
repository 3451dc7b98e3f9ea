"""The answer to a submission: which task it speaks of, and what that task has made by then.

Asynchronous endpoints answer ``{"task_id": ...}``; of the synchronous ones some answer with ``task`` and the outputs
(https://novita.ai/docs/api-reference/model-apis-flux-1-schnell), the others with outputs alone: a file in base64, plain
URLs. Those speak of no task. What is large is jumped over, not parsed.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import orjson

from relay.core.json_scan import Body, Member, Unwalkable, Walk
from relay.core.source import Unreadable
from relay.core.tasks.events import TASK_ID

MAX_PARSED: Final = 256 << 10
"""Bytes of one part of an answer that are parsed and published: hundreds of outputs. A poll brings what is larger."""

_OUTPUTS: Final = ("images", "videos", "audios")
_PARTS: Final = ("task", "extra", *_OUTPUTS)


class Answer(NamedTuple):
    """``result`` has the shape of a task result; ``filled``: there are outputs in it."""

    task_id: str
    result: dict[str, Any]
    filled: bool


def answer_in(body: Body) -> Answer | Unreadable | None:
    """What a 2xx answer says; ``None``: it speaks of no task."""
    try:
        members = {member.key: member for member in Walk(body).members().found}
    except Unwalkable as problem:
        return Unreadable("not_json", f"the answer is not a JSON object: {problem}")
    result: dict[str, Any] = {key: _parsed(body, members[key]) for key in _PARTS if key in members}
    task = result.get("task")
    task = task if isinstance(task, dict) else {}
    task_id = _parsed(body, members["task_id"]) if "task_id" in members else task.get("task_id")
    if task_id is None:
        return None
    if not isinstance(task_id, str) or not TASK_ID.fullmatch(task_id):
        return Unreadable("invalid_task_id", f"task_id does not match {TASK_ID.pattern}")
    result["task"] = {**task, "task_id": task_id}
    return Answer(task_id, result, any(isinstance(result.get(key), list) and result[key] for key in _OUTPUTS))


def _parsed(body: Body, member: Member) -> Any:
    """``None`` for what is too large, and for what is no JSON: the id of a paid task beside it counts all the same."""
    if member.end - member.start > MAX_PARSED:
        return None
    try:
        return orjson.loads(body[member.start : member.end])
    except orjson.JSONDecodeError:
        return None
