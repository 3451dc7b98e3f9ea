"""The AsyncAPI 3.0 document: what relay receives from the upstream, and what it publishes to Kafka and Redis.

Specification: https://www.asyncapi.com/docs/reference/specification/v3.0.0, Kafka bindings 0.5.0:
https://github.com/asyncapi/bindings/blob/master/kafka/README.md. The Redis binding is reserved and empty, so the layout
of a stream entry is its message's payload, and ``x-redis-stream`` says how it is written.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from relay.contract.examples import CHUNKS, DONE, FAILED, SUCCEEDED, enveloped, events
from relay.contract.received import RECEIVED
from relay.contract.schemas import NAMES, Schema, components, reference
from relay.core.cloudevents import kafka_headers, redis_fields
from relay.core.event import CONTENT_TYPE, SPECVERSION, TOPICS, Event

Document = dict[str, Any]

SUMMARIES: Final = {
    "relay.task.submitted": "The upstream accepted a task.",
    "relay.task.progressed": "A task made progress; off unless `tasks.progressed` is set.",
    "relay.task.succeeded": "A task succeeded, with its outputs.",
    "relay.task.failed": "A task failed.",
    "relay.task.abandoned": "The outcome of a task is unknown, and relay has stopped polling for it.",
    "relay.task.conflicted": "A later delivery contradicts what was published about a task.",
    "relay.chat.started": "A client requested a chat completion.",
    "relay.chat.chunk": "Chunks of a chat, as the upstream sent them.",
    "relay.chat.completed": "A chat was completed.",
    "relay.chat.failed": "A chat ended with an error, or was cut off.",
    "relay.chat.cancelled": "The client of a chat disconnected before its end.",
    "relay.output.archived": "An output of a task is stored, whole.",
    "relay.output.lost": "An output of a task cannot be had any more.",
    "relay.delivery.dead": "A delivery could not be read, or a sink refused an event.",
}
"""Every type of event, and what it reports."""

_KAFKA_BINDING: Final = "0.5.0"
_PREFIXES: Final = {"kafka": "relay.", "redis": "{relay}:"}
_TEXT: Final[Schema] = {"type": "string"}


def asyncapi(version: str) -> Document:
    """The document of this version of relay, with the default prefixes of its sinks."""
    sent = events()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "relay",
            "version": version,
            "description": "Webhooks and chats of Novita AI in, CloudEvents 1.0 exactly once out.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": _servers(),
        "channels": {**_received_channels(), **_published_channels(sent)},
        "operations": {**_received_operations(), **_published_operations()},
        "components": {
            "schemas": {**components(), **RECEIVED},
            "messages": {**_received_messages(), **_published_messages(sent)},
        },
    }


def _servers() -> Document:
    return {
        "upstream": {"host": "api.novita.ai", "protocol": "https", "description": "`upstream.base_url`."},
        "relay": {"host": "127.0.0.1:8080", "protocol": "http", "description": "The main listener: `server`."},
        "kafka": {
            "host": "localhost:9092",
            "protocol": "kafka",
            "description": "`bootstrap_servers` of a Kafka sink. Read with isolation level read_committed.",
        },
        "redis": {"host": "localhost:6379", "protocol": "redis", "description": "`url` of a Redis sink."},
    }


def _received_channels() -> Document:
    return {
        "task-result": {
            "address": "/webhooks/novita/{token}",
            "description": "The upstream's channel `webhook/task-result`: the `extra.webhook.url` of a task.",
            "servers": [{"$ref": "#/servers/relay"}],
            "parameters": {"token": {"description": "One of `webhooks.novita.tokens`, or the secret of this task."}},
            "messages": {"TaskResultWebhook": _message_reference("TaskResultWebhook")},
        },
        "chat-completions": {
            "address": "/openai/v1/chat/completions",
            "description": "Server-sent events; also under /openai and /v3/openai. Clients get them unchanged.",
            "servers": [{"$ref": "#/servers/upstream"}],
            "messages": {
                name: _message_reference(name) for name in ("ChatCompletionChunk", "ChatCompletionStreamDone")
            },
        },
    }


def _received_messages() -> Document:
    results = {"succeeded": enveloped(SUCCEEDED), "failed": enveloped(FAILED), "without the envelope": SUCCEEDED}
    return {
        "TaskResultWebhook": {
            "summary": "The result of a task; becomes `relay.task.succeeded` or `relay.task.failed`.",
            "payload": reference("TaskResultWebhook"),
            "examples": [{"name": name, "payload": result} for name, result in results.items()],
        },
        "ChatCompletionChunk": {
            "summary": "The data of a server-sent event; becomes part of `relay.chat.chunk` and the terminal event.",
            "payload": reference("ChatCompletionChunk"),
            "examples": [{"payload": chunk} for chunk in CHUNKS],
        },
        "ChatCompletionStreamDone": {
            "summary": "Ends a chat; it becomes `relay.chat.completed`.",
            "contentType": "text/plain",
            "payload": reference("ChatCompletionStreamDone"),
            "examples": [{"payload": DONE}],
        },
    }


def _received_operations() -> Document:
    return {
        "receive-task-result": {
            "action": "receive",
            "summary": "relay answers 2xx once the result is on disk.",
            "channel": {"$ref": "#/channels/task-result"},
            "bindings": {"http": {"method": "POST", "bindingVersion": "0.3.0"}},
        },
        "receive-chat-completions": {
            "action": "receive",
            "summary": "The answer to a request with `stream: true`, as it passes through the proxy.",
            "channel": {"$ref": "#/channels/chat-completions"},
        },
    }


def _published_channels(sent: dict[str, Event]) -> Document:
    return {f"{sink}-{topic}": _channel(sink, topic, sent) for sink in _PREFIXES for topic in TOPICS}


def _channel(sink: str, topic: str, sent: dict[str, Event]) -> Document:
    types = [type_ for type_, event in sent.items() if event.topic == topic]
    channel: Document = {
        "address": "{prefix}" + topic,
        "description": f"The logical topic `{topic}`. Events of one subject keep their order.",
        "servers": [{"$ref": f"#/servers/{sink}"}],
        "parameters": {"prefix": {"description": "The sink's `prefix`.", "default": _PREFIXES[sink]}},
        "messages": {type_: _message_reference(f"{sink}.{type_}") for type_ in types},
    }
    if sink == "kafka":
        channel["bindings"] = {"kafka": {"topic": _PREFIXES[sink] + topic, "bindingVersion": _KAFKA_BINDING}}
    else:
        channel["bindings"] = {"redis": {}}
        channel["x-redis-stream"] = {
            "key": _PREFIXES[sink] + topic,
            "command": "XADD",
            "id": "*",
            "fields": "One for each attribute under its plain name, and `data` as JSON.",
        }
    return channel


def _published_operations() -> Document:
    return {
        f"send-{sink}-{topic}": {
            "action": "send",
            "summary": f"Publishes each event of the topic {topic} exactly once to each {sink.capitalize()} sink.",
            "channel": {"$ref": f"#/channels/{sink}-{topic}"},
        }
        for sink in _PREFIXES
        for topic in TOPICS
    }


def _published_messages(sent: dict[str, Event]) -> Document:
    on_kafka = {f"kafka.{type_}": _kafka_message(event) for type_, event in sent.items()}
    return on_kafka | {f"redis.{type_}": _redis_message(event) for type_, event in sent.items()}


def _kafka_message(event: Event) -> Document:
    headers = {name: value.decode() for name, value in kafka_headers(event)}
    return {
        "name": event.type,
        "summary": SUMMARIES[event.type],
        "description": "A CloudEvent in binary mode; with `content_mode: structured` the value is the whole event.",
        "contentType": CONTENT_TYPE,
        "headers": _attributes(event, prefix="ce_", content_type="content-type"),
        "payload": reference(_schema_name(event)),
        "correlationId": {"description": "The task or the chat.", "location": "$message.header#/ce_subject"},
        "bindings": {
            "kafka": {"key": {**_TEXT, "description": "The subject."}, "bindingVersion": _KAFKA_BINDING},
        },
        "examples": [{"headers": headers, "payload": orjson.loads(event.data)}],
    }


def _redis_message(event: Event) -> Document:
    fields = [field.decode() if isinstance(field, bytes) else field for field in redis_fields(event)]
    entry = _attributes(event, prefix="", content_type="datacontenttype")
    entry["required"].append("data")
    entry["properties"]["data"] = {
        **_TEXT,
        "description": "The same bytes as the record's value on Kafka.",
        "contentMediaType": CONTENT_TYPE,
        # JSON Schema has `contentSchema` since 2019-09; AsyncAPI 3.0 builds on draft 7.
        "x-content-schema": reference(_schema_name(event)),
    }
    return {
        "name": event.type,
        "summary": SUMMARIES[event.type],
        "description": "The fields of an entry, each a string. Redis assigns the entry's own id; it has no meaning.",
        "contentType": "application/x-redis-stream-entry",
        "payload": entry,
        "examples": [{"payload": dict(zip(fields[::2], fields[1::2], strict=True))}],
    }


def _attributes(event: Event, *, prefix: str, content_type: str) -> Schema:
    """The CloudEvents attributes as members of an object; ``traceparent`` is there only where it is known."""
    always = {
        f"{prefix}specversion": {"const": SPECVERSION},
        f"{prefix}id": {**_TEXT, "minLength": 1, "description": "Unique within the source; the same on each sink."},
        f"{prefix}source": {**_TEXT, "format": "uri-reference", "minLength": 1},
        f"{prefix}type": {"const": event.type},
        f"{prefix}subject": {**_TEXT, "minLength": 1, "description": "The id of the task, chat or dead letter."},
        f"{prefix}time": {**_TEXT, "format": "date-time", "description": "UTC, milliseconds."},
        content_type: {"const": CONTENT_TYPE},
        f"{prefix}dataschema": {"const": event.dataschema},
    }
    return {
        "type": "object",
        "required": [*always],
        "properties": {**always, f"{prefix}traceparent": {**_TEXT, "description": "W3C Trace Context."}},
    }


def _schema_name(event: Event) -> str:
    assert event.dataschema is not None, "each event of ours names its schema"
    return NAMES[event.dataschema]


def _message_reference(name: str) -> Document:
    return {"$ref": f"#/components/messages/{name}"}
