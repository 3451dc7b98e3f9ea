"""The schemas of what the upstream sends, as tolerant as the relay's readers are: open, and asking for little.

Sources, under https://novita.ai/docs/api-reference/: ``model-apis-webhook``, ``model-apis-task-result`` and
``model-apis-llm-create-chat-completion``. The vendor's own samples disagree about types and presence: where the relay
does not insist, the schema has a description and no type.
"""

from __future__ import annotations

from typing import Final

from relay.contract.schemas import Schema, reference
from relay.core.tasks.events import TASK_ID
from relay.sources.novita_task import EVENT_TYPE, STATUSES

_OBJECT: Final[Schema] = {"type": "object"}
_EVENT_TYPE: Final[Schema] = {"enum": [EVENT_TYPE, None]}


def _files(kind: str) -> Schema:
    ttl = "seconds, as a number or a string; 0 means unknown"
    return {"description": f"A list of objects with {kind}_url, {kind}_url_ttl ({ttl}) and {kind}_type."}


RECEIVED: Final[dict[str, Schema]] = {
    "TaskResultWebhook": {
        "description": "A task result, with or without its envelope.",
        "anyOf": [
            {
                **_OBJECT,
                "required": ["payload"],
                "properties": {"event_type": _EVENT_TYPE, "payload": reference("TaskResult")},
            },
            {
                "allOf": [reference("TaskResult")],
                "properties": {
                    "event_type": _EVENT_TYPE,
                    "payload": {"not": _OBJECT, "description": "Not an object: otherwise this would be an envelope."},
                },
            },
        ],
    },
    "TaskResult": {
        **_OBJECT,
        "required": ["task"],
        "properties": {
            "task": {
                **_OBJECT,
                "required": ["task_id", "status"],
                "properties": {
                    "task_id": {"type": "string", "pattern": f"^{TASK_ID.pattern}$"},
                    "status": {"enum": list(STATUSES)},
                    "task_type": {"description": "A string from an open set."},
                    "reason": {"description": "A string; empty unless the task failed."},
                },
            },
            "extra": {"description": "An object with the seed, times, and the request."},
            "images": _files("image"),
            "videos": _files("video"),
            "audios": _files("audio"),
        },
    },
    "ChatCompletionChunk": {
        **_OBJECT,
        "properties": {
            "id": {"description": "The same in each chunk of a stream."},
            "object": {"description": "`chat.completion.chunk`."},
            "created": {"description": "Epoch seconds."},
            "model": {"description": "A string."},
            "choices": {"description": "A list of objects with index, delta and finish_reason; empty beside `usage`."},
            "usage": {"description": "An object with token counts, in the last chunk or in one of its own."},
        },
    },
    "ChatCompletionStreamDone": {"type": "string", "const": "[DONE]"},
}
