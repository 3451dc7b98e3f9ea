"""The OpenAPI 3.1 document of both listeners: https://spec.openapis.org/oas/v3.1.0.

What the relay answers itself is described in full; of the proxied routes only what the relay adds, since their bodies
are the upstream's: https://novita.ai/docs/api-reference. A path template cannot say "any number of segments", so
``{path}`` there stands for all that follows, and says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from relay.apis import apis
from relay.contract.answers import ANSWERS, problem_schema
from relay.contract.examples import SUCCEEDED, TASK_ID, enveloped
from relay.contract.operations import JSON, Document, operation, parameter
from relay.contract.received import RECEIVED
from relay.contract.schemas import Schema, components, reference, schemas
from relay.core.chat.api import Api
from relay.core.event import TOPICS, TYPES
from relay.core.tasks.events import TASK_ID as ID
from relay.edge.api.chats import CHAT_SORTS, CHAT_STATES
from relay.edge.api.drain import ACCEPT_FOR
from relay.edge.api.guard import DEFAULT_LIMIT, IDENTITY, MAX_LIMIT
from relay.edge.api.outputs import MAX_INDEX, OUTPUT_KINDS, OUTPUT_SELECTIONS
from relay.edge.api.task_list import SELECTIONS, TASK_SORTS
from relay.edge.http.problems import KINDS

_JOURNAL: Final = ("journal_unavailable", "journal_stalled", "journal_busy")
_SHARED_API: Final = ("unauthorized", "forbidden_address", "forbidden_origin", *_JOURNAL)
_BODY: Final = ("body_timeout", "payload_too_large", "unsupported_transfer_coding")
_WEBHOOK: Final = (
    *("not_json", "unauthorized", "missing_signature", "bad_timestamp", "stale_timestamp", "bad_signature"),
    *("forbidden_address", "forbidden_origin", "wrong_task", "unsupported_encoding"),
    *(*_JOURNAL, "backlog_full", "draining", *_BODY),
)
_PROXIED: Final = (
    *("unauthorized", "model_not_allowed", "rate_limited", *_BODY),
    *("upstream_unreachable", "upstream_reset", "upstream_timeout"),
)
_CHAT: Final = (*_PROXIED, "too_many_chats", "draining")
_SUBMISSION: Final = (*_PROXIED, "submission_outcome_unknown", *_JOURNAL, "backlog_full", "draining")

_INDEX: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": MAX_INDEX}
_TOKEN: Final[Sequence[Document]] = [{"token": []}, {}]
_CLIENT: Final[Sequence[Document]] = [{"client": []}, {}]
_ANYTHING: Final = "*/*"
_IDENTITY: Final[Document] = {"description": "The `identity` of the relay that answers.", "schema": {"type": "string"}}
_METHODS: Final = ("get", "post", "put", "patch", "delete")


def openapi(version: str) -> Document:
    """The document of this version of relay, with the default addresses of its listeners."""
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
    post = operation(
        "deliver",
        "Delivers a task result; 200 once it is on disk.",
        codes=_WEBHOOK,
        answers={200: ("Delivered", "Accepted, a duplicate, kept as a dead letter, or ignored.")},
    )
    post["requestBody"] = {
        "required": True,
        "description": "The content type does not matter.",
        "content": {
            JSON: {"schema": reference("TaskResultWebhook"), "example": enveloped(SUCCEEDED)},
        },
    }
    token = parameter(
        "token", "A secret: one of `webhooks.novita.tokens`, or the one that relay gave to this task.", where="path"
    )
    return {
        "/webhooks/novita/{token}": {"parameters": [token], "post": post},
        "/webhooks/novita": {
            "post": {
                **post,
                "operationId": "deliver-without-token",
                "summary": "Delivers a task result while no token is configured.",
            }
        },
    }


def _chats() -> Document:
    paths: Document = {}
    for name, api in apis().items():
        for number, base in enumerate((f"{api.prefixes[0]}v1", *(prefix.rstrip("/") for prefix in api.prefixes))):
            post = _passed(f"{name}-{number}" if number else name, "Creates a chat, streamed or not.", _CHAT, api)
            post["responses"]["200"] = {
                "description": "The upstream's answer, byte for byte.",
                "headers": {"X-Relay-Chat-Id": {"description": "The chat's id.", "schema": {"type": "string"}}},
                "content": {"text/event-stream": {}, JSON: {}},
            }
            post["requestBody"] = _body_passed(api.example)
            paths[base + api.route] = {"post": post}
        for prefix in api.prefixes:
            family = prefix.strip("/").replace("/", "-")
            paths[prefix + "{path}"] = _passed_through(family, f"Passes through all other routes of {prefix}", api)
    return paths


def _tasks_proxied() -> Document:
    paths: Document = {}
    for name in ("v3", "v3beta"):
        methods = _passed_through(name, "Passes through.")
        summary = "Submits a task: its `task_id` is recorded before the client sees it."
        methods["post"] = _passed(f"{name}-submit", summary, _SUBMISSION)
        methods["post"]["requestBody"] = _body_passed()
        paths[f"/{name}/{{path}}"] = methods
    summary = "Returns the upstream's answer; if the task has ended, that becomes an event, as from a webhook."
    result = _passed("v3-task-result", summary, (*_PROXIED, "journal_unavailable"))
    result["parameters"] = [parameter("task_id", "The upstream's id of the task.", required=True)]
    paths["/v3/async/task-result"] = {"get": result}
    return paths


# Long since it is a table: one entry for each route of the API, read from top to bottom.
def _api() -> Document:
    following = "`next` of the previous page."
    after = parameter("after", following, {"type": "integer", "minimum": 0})
    limit = parameter(
        "limit",
        "The maximum number in a page.",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    )
    before = parameter("before", following)
    choices = parameter(
        "choices",
        "Each event of chunks has beside it what they say, in the same words for every API. Live, `data` is the event "
        "in its place, as a page has it.",
        {"enum": ["true", "false"], "default": "false"},
    )
    instant = {"type": "string", "examples": ["2026-01-31T09:00:00Z", "15m"]}
    span = [
        parameter("since", "Only what relay accepted at this time or later; a duration is so long ago.", instant),
        parameter("until", "Only what relay accepted at this time or earlier.", instant),
    ]
    path_id = [parameter("id", "The id.", where="path")]
    offset = {"type": "string", "pattern": "^([0-9]{1,19}|latest)$"}
    watch = _guarded(
        "watch-task",
        "Watches a task that was submitted elsewhere.",
        {200: ("TaskWithEvents", "relay already knows it."), 201: ("TaskWithEvents", "relay watches it from now on.")},
        codes=("not_json", "draining", *_BODY),
    )
    watch["requestBody"] = {
        "required": True,
        "content": {JSON: {"schema": reference("WatchRequest"), "example": {"task_id": TASK_ID}}},
    }
    events = _guarded(
        "events",
        "Returns events from the journal, in pages; live with `Accept: text/event-stream`.",
        {200: ("EventPage", "A page, or a stream: `id` is the offset, `event` the type, `data` the event.")},
        codes=("too_many_consumers",),
        parameters=[
            parameter("after", "Start after this offset, or at `latest`.", {**offset, "default": "0"}),
            parameter("before", "Newest first, from below this offset, or from `latest`. Not live.", offset),
            *span,
            limit,
            parameter("topic", "Only events of this topic; may be repeated.", _several(TOPICS)),
            parameter("type", "Only events of this type; may be repeated.", _several(TYPES)),
            parameter("subject", "Only events about this task or chat."),
            choices,
            parameter(
                "Last-Event-ID",
                "Resumes a live stream after this offset, or at `latest`. Ignored for pages.",
                where="header",
            ),
        ],
    )
    events["responses"]["200"]["content"]["text/event-stream"] = {"schema": {"type": "string"}}
    shown = _guarded(
        "show-dead-letter",
        "Returns one dead letter; its bytes with `Accept: application/octet-stream`.",
        {200: ("DeadLetterWithRaw", "The dead letter.")},
        codes=("not_found",),
    )
    shown["responses"]["200"]["content"]["application/octet-stream"] = {}
    letters = _guarded(
        "list-dead-letters",
        "Lists dead letters, sorted by id.",
        {200: ("DeadLetterPage", "A page.")},
        parameters=[parameter("after", following), limit],
    )
    first = {"id": "$response.body#/dead_letters/0/id"}
    letters["responses"]["200"]["links"] = {
        name: {"operationId": f"{name}-dead-letter", "parameters": first} for name in ("show", "replay", "delete")
    }
    status = "Returns the state of relay: its journal, sinks, chats, tasks and upstream."
    trends = "Returns what this process did in the last hour, minute by minute."
    chats = _guarded(
        "list-chats",
        "Lists chats: those that are open, then those that have ended, newest first; or sorted.",
        {200: ("ChatPage", "A page.")},
        parameters=[
            before,
            limit,
            _states(CHAT_STATES),
            parameter("model", "Only chats with this model."),
            parameter("client", "Only chats of this client."),
            parameter("api", "Only chats of this API.", {"enum": list(apis())}),
            *span,
            _sorts(CHAT_SORTS),
        ],
    )
    subjects = _guarded(
        "find-subjects",
        "Finds tasks and chats by the beginning of their ids.",
        {200: ("SubjectPage", "A page.")},
        parameters=[
            parameter(
                "prefix", "What the id begins with.", {"type": "string", "pattern": f"^{ID.pattern}$"}, required=True
            ),
            parameter("before", following, offset),
            limit,
        ],
    )
    timeline = {200: ("Timeline", "Its events, when each reached each sink, and absorbed duplicates.")}
    tasks = _guarded(
        "list-tasks",
        "Lists all known tasks, newest first or sorted.",
        {200: ("TaskPage", "A page.")},
        parameters=[
            before,
            limit,
            _states(SELECTIONS),
            parameter("type", "Only tasks of this type."),
            *span,
            _sorts(TASK_SORTS),
        ],
    )
    task = {200: ("TaskWithEvents", "The task.")}
    replay = _guarded(
        "replay-dead-letter",
        "Replays a dead letter.",
        {200: ("Delivered", "It is being processed again.")},
        codes=("not_found", "not_replayable", "backlog_full", "draining"),
    )
    accept_for = parameter(
        "accept_for",
        "For how long everything is taken at least, while balancers notice.",
        {
            "type": "string",
            "pattern": r"^(0|[0-9]+(\.[0-9]+)?(ms|s|m|h|d))$",
            "default": ACCEPT_FOR,
            "examples": ["0s"],
        },
    )
    drain = _guarded(
        "drain",
        "Publishes everything, and then takes nothing more. Answers at once: `/v1/status` shows how far it is.",
        {200: ("Drain", "It drains, or has drained.")},
        parameters=[accept_for],
    )
    undo = _guarded(
        "cancel-drain", "Takes a drain back.", {200: ("Drain", "It takes everything.")}, codes=("draining",)
    )
    gone = {204: (None, "It is deleted.")}
    return {
        "/v1/status": {"get": _guarded("status", status, {200: ("Status", "As of now.")})},
        "/v1/trends": {"get": _guarded("trends", trends, {200: ("Trends", "Up to now.")})},
        "/v1/drain": {"post": drain, "delete": undo},
        "/v1/chats": {"get": chats},
        "/v1/subjects": {"get": subjects},
        "/v1/subjects/{subject}": {
            "parameters": [parameter("subject", "The id of a task, a chat, or an unreadable delivery.", where="path")],
            "get": _guarded(
                "timeline",
                "Returns the timeline of a subject.",
                timeline,
                codes=("not_found",),
                parameters=[after, limit, choices],
            ),
        },
        "/v1/events": {"get": events},
        "/v1/tasks": {"get": tasks, "post": watch},
        "/v1/tasks/{id}": {
            "parameters": path_id,
            "get": _guarded("show-task", "Returns one task and the events about it.", task, codes=("not_found",)),
        },
        **_outputs(before, limit, *span),
        "/v1/dead-letters": {"get": letters},
        "/v1/dead-letters/{id}": {
            "parameters": path_id,
            "get": shown,
            "delete": _guarded("delete-dead-letter", "Deletes a dead letter for good.", gone, codes=("not_found",)),
        },
        "/v1/dead-letters/{id}/replay": {"parameters": path_id, "post": replay},
    }


def _outputs(*page: Document) -> dict[str, Document]:
    """The routes about archived outputs; ``page``: the parameters of any list."""
    outputs = _guarded(
        "list-outputs",
        "Lists the outputs of tasks that are archived, newest first.",
        {200: ("OutputPage", "A page.")},
        parameters=[
            *page,
            _states(OUTPUT_SELECTIONS),
            parameter("kind", "Only outputs of this kind.", {"enum": list(OUTPUT_KINDS)}),
        ],
    )
    retry = _guarded(
        "retry-output",
        "Has an output tried at once that waits or is lost.",
        {200: ("TrackedOutput", "It waits.")},
        codes=("not_found", "not_retriable", "draining"),
    )
    return {
        "/v1/outputs": {"get": outputs},
        "/v1/outputs/{task_id}/{index}/retry": {
            "parameters": [
                parameter("task_id", "The id of the task.", where="path"),
                parameter("index", "Its place among the outputs of the task.", _INDEX, where="path"),
            ],
            "post": retry,
        },
    }


def _states(known: Iterable[str]) -> Document:
    return parameter("state", "A state, or a group of states.", {"enum": list(known), "default": "all"})


def _sorts(known: Iterable[str]) -> Document:
    return parameter(
        "sort", "The newest first; or by this, the highest first.", {"enum": list(known), "default": "newest"}
    )


def _guarded(
    name: str,
    summary: str,
    answers: Mapping[int, tuple[str | None, str]],
    *,
    codes: Sequence[str] = (),
    parameters: Sequence[Document] = (),
) -> Document:
    """An operation of the API, which needs its token and the journal."""
    codes = (*_SHARED_API, *codes)
    made = operation(name, summary, codes=codes, answers=answers, security=_TOKEN, parameters=parameters)
    for status in answers:
        made["responses"][str(status)]["headers"] = {IDENTITY: _IDENTITY}
    return made


def _documents() -> Document:
    def get(name: str, summary: str, codes: Sequence[str] = ()) -> Document:
        return operation(name, summary, codes=codes, answers={200: ("AnyObject", "The document.")})

    names = {"enum": [f"{name}.json" for name in schemas()]}
    schema = get("schema", "Returns a JSON Schema (2020-12).", ("not_found",))
    schema["responses"]["200"]["content"] = {"application/schema+json": {"schema": reference("AnyObject")}}
    return {
        "/asyncapi.json": {"get": get("asyncapi", "Returns what relay receives and publishes, as AsyncAPI 3.0.")},
        "/openapi.json": {"get": get("openapi", "Returns this document.")},
        "/schemas/{name}": {
            "parameters": [parameter("name", "The file name of the schema.", names, "path")],
            "get": schema,
        },
    }


def _console() -> Document:
    def get(name: str, summary: str, media_types: Sequence[str]) -> Document:
        made = operation(name, summary, codes=("not_found",), answers={200: (None, "The file.")})
        made["responses"]["200"]["content"] = {media_type: {} for media_type in media_types}
        made["responses"]["304"] = {"description": "Not changed since the version in `If-None-Match`."}
        return made

    file = get("console-file", "Returns a file of the console.", ("text/javascript", "text/css", "image/svg+xml"))
    return {
        "/": {"get": get("console", "Returns the console, a page for people, if `console.enabled`.", ("text/html",))},
        "/console/{version}/{file}": {
            "parameters": [
                parameter("version", "As the page says; it changes with the files.", where="path"),
                parameter("file", "The name of the file.", where="path"),
            ],
            "get": file,
        },
    }


def _probes() -> Document:
    def probe(name: str, summary: str, answers: Mapping[int, tuple[str | None, str]]) -> Document:
        admin = [{"url": "http://127.0.0.1:9090", "description": "The admin listener: `admin`."}]
        return {"servers": admin, "get": operation(name, summary, answers=answers)}

    metrics = probe("metrics", "Returns metrics in Prometheus' text format.", {200: (None, "The metrics.")})
    metrics["get"]["responses"]["200"]["content"] = {"text/plain": {"schema": {"type": "string"}}}
    alive = {200: ("Alive", "It is alive."), 503: ("Alive", "A commit hangs.")}
    ready = {200: ("Ready", "relay can accept deliveries durably."), 503: ("Ready", "It cannot, with the reasons.")}
    return {
        "/livez": probe("livez", "Liveness: whether relay must be restarted.", alive),
        "/readyz": probe("readyz", "Readiness: whether relay can accept requests.", ready),
        "/metrics": metrics,
    }


def _passed_through(name: str, summary: str, api: Api | None = None) -> Document:
    path = parameter("path", "The rest of the path, including slashes.", where="path")
    methods = {method: _passed(f"{name}-{method}", summary, _PROXIED, api) for method in _METHODS}
    for method in ("post", "put", "patch"):
        methods[method]["requestBody"] = _body_passed()
    return {"parameters": [path], **methods}


def _passed(name: str, summary: str, codes: Sequence[str], api: Api | None = None) -> Document:
    made = operation(name, summary, codes=codes, security=_CLIENT, api=api)
    for refusal in made["responses"].values():
        refusal["description"] = f"From relay: {refusal['description']} Or the upstream's answer, unchanged."
        refusal["content"] = _or_the_upstreams(refusal["content"])
    made["responses"]["default"] = {"description": "The upstream's answer, unchanged."}
    return made


def _or_the_upstreams(content: Document) -> Document:
    """The status may also be the upstream's; its body then has any type and any shape."""
    own = {**content}
    if JSON in own:
        own[JSON] = {"schema": {"anyOf": [own[JSON]["schema"], {"description": "The upstream's body."}]}}
    return {**own, _ANYTHING: {}}


def _body_passed(example: Mapping[str, Any] | None = None) -> Document:
    described: Document = {"schema": {"description": "Anything that the upstream accepts."}}
    if example:
        described["example"] = example
    return {"description": "Forwarded unchanged.", "content": {JSON: described, _ANYTHING: {}}}


def _several(choices: Iterable[str]) -> Schema:
    return {"type": "array", "items": {"enum": list(choices)}}
