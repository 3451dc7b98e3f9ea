"""The OpenAPI 3.1 document of both listeners: https://spec.openapis.org/oas/v3.1.0.

What the relay answers itself is described in full; of the proxied routes only what the relay adds, since their bodies
are the upstream's: https://novita.ai/docs/api-reference. A path template cannot say "any number of segments", so
``{path}`` there stands for all that follows, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from relay.contract.answers import ANSWERS, openai_error_schema, problem_schema
from relay.contract.examples import SUCCEEDED, TASK_ID, enveloped
from relay.contract.received import RECEIVED
from relay.contract.schemas import Schema, components, reference, schemas
from relay.core.event import TOPICS
from relay.core.units import DURATION_PATTERN
from relay.edge.api.guard import DEFAULT_LIMIT, MAX_LIMIT
from relay.edge.api.tasks import SELECTIONS
from relay.edge.http.problems import KINDS, PROBLEM_JSON

Document = dict[str, Any]

EVERYWHERE: Final = ("bad_request", "head_too_large", "header_timeout", "overloaded", "internal")
"""Codes of requests that no route has seen yet, or in which the relay has a bug."""

_JOURNAL: Final = ("journal_unavailable", "journal_stalled", "journal_busy")
_SHARED_API: Final = ("unauthorized", "forbidden_address", "forbidden_origin", *_JOURNAL)
_BODY: Final = ("body_timeout", "payload_too_large", "unsupported_transfer_coding")
_WEBHOOK: Final = (
    *("not_json", "unauthorized", "missing_signature", "bad_timestamp", "stale_timestamp", "bad_signature"),
    *("forbidden_address", "forbidden_origin", "wrong_task", "unsupported_encoding"),
    *(*_JOURNAL, "backlog_full", *_BODY),
)
_PROXIED: Final = (
    *("unauthorized", "model_not_allowed", "upstream_unreachable", "upstream_reset", "upstream_timeout", *_BODY),
)
_CHAT: Final = (*_PROXIED, "too_many_chats", "draining")
_SUBMISSION: Final = (*_PROXIED, "submission_outcome_unknown", *_JOURNAL, "backlog_full")

_TOKEN: Final[Sequence[Document]] = [{"token": []}, {}]
_CLIENT: Final[Sequence[Document]] = [{"client": []}, {}]
_JSON: Final = "application/json"
_ANYTHING: Final = "*/*"
_CHAT_REQUEST: Final[Document] = {
    "model": "deepseek/deepseek-v3.1",
    "messages": [{"role": "user", "content": "Hello"}],
    "stream": True,
}
_METHODS: Final = ("get", "post", "put", "patch", "delete")


def openapi(version: str) -> Document:
    """The document of the relay of this version, on the addresses that its listeners have by default."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "relay",
            "version": version,
            "summary": "Webhooks and chats of Novita AI in, CloudEvents 1.0 exactly once out.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://127.0.0.1:8080", "description": "The main listener: `server`."}],
        "security": [],
        "paths": {**_webhooks(), **_chats(), **_tasks_proxied(), **_api(), **_documents(), **_console(), **_probes()},
        "components": {
            "schemas": {**components(), **RECEIVED, **ANSWERS, "Problem": problem_schema(tuple(KINDS))},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "One of `server.api_tokens`."},
                "client": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key of `proxy.clients`; if none is configured, the upstream's own key.",
                },
            },
        },
    }


def _webhooks() -> Document:
    post = _operation(
        "deliver",
        "A task result; 200 once it is on disk.",
        codes=_WEBHOOK,
        answers={200: ("Delivered", "Accepted, known, kept as a dead letter, or ignored.")},
    )
    post["requestBody"] = {
        "required": True,
        "description": "The content type does not matter.",
        "content": {
            _JSON: {"schema": reference("TaskResultWebhook"), "example": enveloped(SUCCEEDED)},
        },
    }
    token = _parameter(
        "token", "path", "A secret: one of `webhooks.novita.tokens`, or what the relay gave to this one task."
    )
    return {
        "/webhooks/novita/{token}": {"parameters": [token], "post": post},
        "/webhooks/novita": {
            "post": {
                **post,
                "operationId": "deliver-without-token",
                "summary": "Receives a webhook while no token is configured.",
            }
        },
    }


def _chats() -> Document:
    paths: Document = {}
    for number, base in enumerate(("/openai/v1", "/openai", "/v3/openai")):
        post = _passed(
            "chat" if not number else f"chat-{number}", "A chat completion, streamed or not.", _CHAT, openai=True
        )
        post["responses"]["200"] = {
            "description": "The upstream's answer, byte for byte.",
            "headers": {"X-Relay-Chat-Id": {"description": "The events' subject.", "schema": {"type": "string"}}},
            "content": {"text/event-stream": {}, _JSON: {}},
        }
        post["requestBody"] = _body_passed(_CHAT_REQUEST)
        paths[f"{base}/chat/completions"] = {"post": post}
    for name, prefix in (("openai", "/openai"), ("v3-openai", "/v3/openai")):
        paths[prefix + "/{path}"] = _passed_through(name, "Everything else of the OpenAI routes.", openai=True)
    return paths


def _tasks_proxied() -> Document:
    paths: Document = {}
    for name in ("v3", "v3beta"):
        methods = _passed_through(name, "Passed through.")
        summary = "Submits a task: its `task_id` is recorded before the client sees it."
        methods["post"] = _passed(f"{name}-submit", summary, _SUBMISSION)
        methods["post"]["requestBody"] = _body_passed()
        paths[f"/{name}/{{path}}"] = methods
    summary = "The upstream's answer; an ending in it becomes an event, as in a webhook."
    result = _passed("v3-task-result", summary, (*_PROXIED, "journal_unavailable"))
    result["parameters"] = [_parameter("task_id", "query", "The upstream's id of the task.", required=True)]
    paths["/v3/async/task-result"] = {"get": result}
    return paths


# Long since it is a table: one entry for each route of the API, read from top to bottom.
def _api() -> Document:
    after = _parameter("after", "query", "`next` of the page before.", {"type": "integer", "minimum": 0})
    limit = _parameter(
        "limit",
        "query",
        "Of the page.",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    )
    path_id = [_parameter("id", "path", "The id.")]
    offset = {"type": "string", "pattern": "^([0-9]{1,19}|latest)$", "default": "0"}
    states = {"enum": list(SELECTIONS), "default": "all"}
    watch = _guarded(
        "watch-task",
        "Watches a task that was submitted elsewhere.",
        {200: ("TaskWithEvents", "It is known."), 201: ("TaskWithEvents", "It is watched from now on.")},
        codes=("not_json", *_BODY),
    )
    watch["requestBody"] = {
        "required": True,
        "content": {_JSON: {"schema": reference("WatchRequest"), "example": {"task_id": TASK_ID}}},
    }
    events = _guarded(
        "events",
        "Events from the journal, in pages; with `Accept: text/event-stream` live.",
        {200: ("EventPage", "A page, or the stream: `id` the offset, `event` the type, `data` the event.")},
        codes=("too_many_consumers",),
        parameters=[
            _parameter("after", "query", "The offset before the first one wanted, or `latest`.", offset),
            limit,
            _parameter("topic", "query", "Only of this topic.", {"enum": list(TOPICS)}),
            _parameter("type", "query", "Only of this type."),
            _parameter("subject", "query", "Only events about this task or chat."),
            _parameter(
                "Last-Event-ID", "header", "Resumes a live stream: an offset, or `latest`. Pages do not read it."
            ),
        ],
    )
    events["responses"]["200"]["content"]["text/event-stream"] = {"schema": {"type": "string"}}
    shown = _guarded(
        "show-dead-letter",
        "One dead letter; its bytes with `Accept: application/octet-stream`.",
        {200: ("DeadLetterWithRaw", "It.")},
        codes=("not_found",),
    )
    shown["responses"]["200"]["content"]["application/octet-stream"] = {}
    letters = _guarded(
        "list-dead-letters",
        "Dead letters in the order of their ids.",
        {200: ("DeadLetterPage", "A page.")},
        parameters=[_parameter("after", "query", "`next` of the page before."), limit],
    )
    first = {"id": "$response.body#/dead_letters/0/id"}
    letters["responses"]["200"]["links"] = {
        name: {"operationId": f"{name}-dead-letter", "parameters": first} for name in ("show", "replay", "delete")
    }
    status = "How the relay is: its journal, sinks, chats, tasks and upstream."
    chats = "The chats that are open, in the order of their beginning."
    timeline = {200: ("Timeline", "Its events, where they are, and what was absorbed.")}
    tasks = _guarded(
        "list-tasks",
        "Tasks in the order of registration.",
        {200: ("TaskPage", "A page.")},
        parameters=[
            after,
            limit,
            _parameter("state", "query", "A state, or some of them.", states),
            _parameter("type", "query", "Only of this type."),
            _parameter("older_than", "query", "Up to 36500d.", {"type": "string", "pattern": DURATION_PATTERN}),
        ],
    )
    task = {200: ("TaskWithEvents", "It.")}
    replay = _guarded(
        "replay-dead-letter",
        "Sends it on its way again.",
        {200: ("Delivered", "It is on its way.")},
        codes=("not_found", "not_replayable", "backlog_full"),
    )
    gone = {204: (None, "It is gone.")}
    return {
        "/v1/status": {"get": _guarded("status", status, {200: ("Status", "As of now.")})},
        "/v1/chats": {"get": _guarded("list-chats", chats, {200: ("ChatPage", "A page.")}, parameters=[after, limit])},
        "/v1/subjects/{subject}": {
            "parameters": [_parameter("subject", "path", "A task's id, a chat's, or an unreadable delivery's.")],
            "get": _guarded(
                "timeline",
                "The timeline of one task or chat.",
                timeline,
                codes=("not_found",),
                parameters=[after, limit],
            ),
        },
        "/v1/events": {"get": events},
        "/v1/tasks": {"get": tasks, "post": watch},
        "/v1/tasks/{id}": {
            "parameters": path_id,
            "get": _guarded("show-task", "One task and the events about it.", task, codes=("not_found",)),
        },
        "/v1/dead-letters": {"get": letters},
        "/v1/dead-letters/{id}": {
            "parameters": path_id,
            "get": shown,
            "delete": _guarded("delete-dead-letter", "Forgets it for good.", gone, codes=("not_found",)),
        },
        "/v1/dead-letters/{id}/replay": {"parameters": path_id, "post": replay},
    }


def _guarded(
    name: str,
    summary: str,
    answers: Mapping[int, tuple[str | None, str]],
    *,
    codes: Sequence[str] = (),
    parameters: Sequence[Document] = (),
) -> Document:
    """An operation of the API: behind its token, and on the journal."""
    codes = (*_SHARED_API, *codes)
    return _operation(name, summary, codes=codes, answers=answers, security=_TOKEN, parameters=parameters)


def _documents() -> Document:
    def get(name: str, summary: str, codes: Sequence[str] = ()) -> Document:
        return _operation(name, summary, codes=codes, answers={200: ("AnyObject", "The document.")})

    names = {"enum": [f"{name}.json" for name in schemas()]}
    schema = get("schema", "A JSON Schema (2020-12).", ("not_found",))
    schema["responses"]["200"]["content"] = {"application/schema+json": {"schema": reference("AnyObject")}}
    return {
        "/asyncapi.json": {"get": get("asyncapi", "What is received and published, as AsyncAPI 3.0.")},
        "/openapi.json": {"get": get("openapi", "This document.")},
        "/schemas/{name}": {
            "parameters": [_parameter("name", "path", "Whose `data` it describes.", names)],
            "get": schema,
        },
    }


def _console() -> Document:
    def get(name: str, summary: str, media_types: Sequence[str]) -> Document:
        operation = _operation(name, summary, codes=("not_found",), answers={200: (None, "The file.")})
        operation["responses"]["200"]["content"] = {media_type: {} for media_type in media_types}
        operation["responses"]["304"] = {"description": "Unchanged since the `If-None-Match`."}
        return operation

    file = get("console-file", "What the console consists of.", ("text/javascript", "text/css", "image/svg+xml"))
    return {
        "/": {
            "get": get("console", "The console: a page for people; not there unless `console.enabled`.", ("text/html",))
        },
        "/console/{file}": {"parameters": [_parameter("file", "path", "Its name.")], "get": file},
    }


def _probes() -> Document:
    def probe(name: str, summary: str, answers: Mapping[int, tuple[str | None, str]]) -> Document:
        admin = [{"url": "http://127.0.0.1:9090", "description": "The admin listener: `admin`."}]
        return {"servers": admin, "get": _operation(name, summary, answers=answers)}

    metrics = probe("metrics", "Prometheus' text format.", {200: (None, "The metrics.")})
    metrics["get"]["responses"]["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    alive = {200: ("Alive", "It lives."), 503: ("Alive", "A commit hangs.")}
    ready = {200: ("Ready", "Deliveries can be accepted durably."), 503: ("Ready", "Why they cannot.")}
    return {
        "/livez": probe("livez", "Whether to restart it.", alive),
        "/readyz": probe("readyz", "Whether to send it anything.", ready),
        "/metrics": metrics,
    }


def _passed_through(name: str, summary: str, *, openai: bool = False) -> Document:
    path = _parameter("path", "path", "All that follows, with its slashes.")
    methods = {method: _passed(f"{name}-{method}", summary, _PROXIED, openai=openai) for method in _METHODS}
    for method in ("post", "put", "patch"):
        methods[method]["requestBody"] = _body_passed()
    return {"parameters": [path], **methods}


def _passed(name: str, summary: str, codes: Sequence[str], *, openai: bool = False) -> Document:
    operation = _operation(name, summary, codes=codes, security=_CLIENT, openai=openai)
    for refusal in operation["responses"].values():
        refusal["description"] = f"The relay's: {refusal['description']} Or the upstream's, unchanged."
        refusal["content"] = _or_the_upstreams(refusal["content"])
    operation["responses"]["default"] = {"description": "The upstream's answer, unchanged."}
    return operation


def _or_the_upstreams(content: Document) -> Document:
    """A status may be the upstream's, too, whose body is then of any type, and of any shape."""
    own = {**content}
    if _JSON in own:
        own[_JSON] = {"schema": {"anyOf": [own[_JSON]["schema"], {"description": "The upstream's."}]}}
    return {**own, _ANYTHING: {}}


def _body_passed(example: Document | None = None) -> Document:
    described: Document = {"schema": {"description": "Anything that the upstream reads."}}
    if example:
        described["example"] = example
    return {"description": "Forwarded unchanged.", "content": {_JSON: described, _ANYTHING: {}}}


def _operation(
    name: str,
    summary: str,
    *,
    codes: Sequence[str] = (),
    answers: Mapping[int, tuple[str | None, str]] | None = None,
    security: Sequence[Document] = (),
    parameters: Sequence[Document] = (),
    openai: bool = False,
) -> Document:
    """``answers``: the schema's name and a description by status; ``openai``: problems take OpenAI's shape."""
    responses: dict[str, Document] = {}
    for status, (schema, text) in (answers or {}).items():
        content = {"content": {_JSON: {"schema": reference(schema)}}} if schema else {}
        responses[str(status)] = {"description": text, **content}
    for number, refusal in _refusals((*codes, *EVERYWHERE), openai=openai).items():
        held = responses.setdefault(number, refusal)
        if held is not refusal:  # a probe's 503 is no problem document, but the listener's own is
            held["content"] |= refusal["content"]
    operation: Document = {"operationId": name, "summary": summary, "responses": responses}
    if security:
        operation["security"] = list(security)
    if parameters:
        operation["parameters"] = list(parameters)
    return operation


def _refusals(codes: Sequence[str], *, openai: bool) -> Document:
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(KINDS[code].status, []).append(code)
    return {str(status): _refusal(status, found, openai=openai) for status, found in sorted(by_status.items())}


def _refusal(status: int, codes: list[str], *, openai: bool) -> Document:
    text = "; ".join(f"`{code}`: {KINDS[code].title}" for code in codes) + "."
    content = {_JSON: {"schema": openai_error_schema(codes)}} if openai else {}
    as_problems = [code for code in codes if not openai or code in EVERYWHERE]  # the listener knows no routes
    if as_problems:
        content[PROBLEM_JSON] = {"schema": problem_schema(as_problems)}
    refusal: Document = {"description": text, "content": content}
    if status in (429, 503):
        seconds = {"description": "Seconds.", "schema": {"type": "integer", "minimum": 0}}
        refusal["headers"] = {"Retry-After": seconds}
    return refusal


def _parameter(name: str, where: str, text: str, schema: Schema | None = None, *, required: bool = False) -> Document:
    return {
        "name": name,
        "in": where,
        "description": text,
        "required": required or where == "path",
        "schema": schema or {"type": "string"},
    }
