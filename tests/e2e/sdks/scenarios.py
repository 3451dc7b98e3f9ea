"""What the SDKs are made to live through: what each asks for, and what the upstream answers, attempt by attempt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Any

from relay.simulator.chat import catalog, reply
from relay.simulator.chat.apis import APIS
from relay.simulator.chat.behaviour import parse
from relay.simulator.chat.delivery import Answer, End, Piece, streamed, whole
from relay.simulator.chat.refusals import document, requested_error, unrouted
from relay.simulator.rates import Faults

Json = dict[str, Any]

CREATED = 1_700_000_000
MODEL = "deepseek/deepseek-v3.1"
BODY: Json = {"model": MODEL, "messages": [{"role": "user", "content": "fly a kite"}]}
BODIES: dict[str, Json] = {
    "chat_completions": BODY,
    "completions": {"model": MODEL, "prompt": "fly a kite"},
    "responses": {"model": MODEL, "input": "fly a kite"},
    "messages": {**BODY, "max_tokens": 1000},
}
"""What is asked, by API."""
_APIS = {api.route.replace("/", "_"): api for api in APIS}
WEATHER: Json = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}, "days": {"type": "integer"}}},
    },
}
AT_ONCE = ("retry-after-ms", "1")
"""Spares the tests the pause before a repetition, which each SDK obeys."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """``answers`` are given in turn, the last one for good. ``error`` is the class that the OpenAI SDKs raise.

    ``attempts`` is how often they ask, ``ai_attempts`` how often Vercel's does. ``breaks``: the connection breaks, so
    what a proxy can report is not what the client would have seen itself; that it broke must be reported all the same.
    """

    name: str
    answers: Sequence[Answer]
    call: str = "stream"  # of the resource that is named after the API
    params: Json = field(default_factory=lambda: BODY)
    error: str | None = None
    attempts: int = 1
    ai_attempts: int | None = None
    breaks: bool = False
    leave_after: int | None = None
    api: str = "chat_completions"


def simulated(words: str = "", api: str = "chat_completions", seed: int = 7, **more: Any) -> Answer:
    """The stream, or the document, that the simulator answers to a request with ``X-Simulate: <words>``."""
    spoken = _APIS[api]
    behaviour, rng = parse(words, Faults()), Random(seed)
    if behaviour.error:
        return _kept(requested_error(behaviour, rng, "anthropic" if api == "messages" else "flat"))
    request = spoken.read(BODIES[api] | {"stream": True, "stream_options": {"include_usage": True}} | more)
    behaviour = spoken.expressed(behaviour, request)
    said = reply.invent(request, behaviour, rng, CREATED, spoken.ids)
    if not request.stream:
        return _kept(whole(spoken.document(said, behaviour), behaviour, rng))
    broken_by = partial(spoken.error_frames, behaviour.error_frame, said)
    frames = spoken.stream(said, request, behaviour, rng)
    return _kept(streamed(frames, broken_by, behaviour, rng, said.completion_tokens))


def _kept(answer: Answer) -> Answer:
    """The same answer, to be given more than once."""
    return replace(answer, pieces=tuple(answer.pieces))


def refused(status: int, *headers: tuple[str, str], words: str = "", api: str = "chat_completions") -> Answer:
    """An error, by default in the API's own shape, with further headers."""
    answer = simulated(f"error={status},{words}", api)
    return replace(answer, headers=(*answer.headers, *headers))


def _raw(*pieces: bytes) -> Answer:
    return Answer(200, (("Content-Type", "text/event-stream"),), tuple(map(Piece, pieces)))


def _streams() -> list[Scenario]:
    """Streams that end well."""
    shapes = {
        "plain": "",
        "many chunks": "chunks=400",
        "byte by byte": "bytes=1,echo",
        "arbitrary chunks": "random",
        "many frames in a write": "batch=7",
        "finish with content": "finish=joined",
        "usage on the last chunk": "usage=finish",
        "no usage": "usage=absent",
        "reasoning_content": "reasoning=content",
        "reasoning_details": "reasoning=details",
        "both kinds of reasoning": "reasoning=both",
        "think tags": "reasoning=think",
        "two tool calls": "tools=2",
        "unknown keys": "unknown-keys",
        "comments": "comments=openrouter",
        "crlf": "newline=crlf",
        "cr": "newline=cr",
        "blank lines": "blank-lines",
        "done with a name": "done=event",
        "no done": "done=absent",
        "nothing but done": "done=alone",
        "a finish reason that is empty": "finish-reason=empty",
        "content filter": "finish-reason=content_filter",
        "slow start": "slow=100ms,first-token=100ms",
    }
    made = [Scenario(f"stream, {name}", [simulated(words)]) for name, words in shapes.items()]
    return [
        *made,
        Scenario("stream, three choices", [simulated(n=3)], params=BODY | {"n": 3}),
        Scenario("stream, a tool that is offered", [simulated(tools=[WEATHER])], params=BODY | {"tools": [WEATHER]}),
        Scenario(
            "stream, cut off at max_tokens", [simulated("chunks=9", max_tokens=3)], params=BODY | {"max_tokens": 3}
        ),
        Scenario("stream, a client that leaves", [simulated("chunks=50,hang,at=30")], leave_after=3),
        Scenario("stream, an empty body", [_raw()]),
        Scenario("stream, json instead of events", [replace(simulated(stream=False), length=None)]),
    ]


def _broken_streams() -> list[Scenario]:
    """Streams that do not end well. That a stream is cut short without an error is invisible to these SDKs."""
    raised = {
        "openai": "APIError",
        "text": "APIError",
        "event": "APIError",
        "vllm": "APIError",
        "openrouter": "APIError",
    }
    shapes = [*raised, "flat", "deepinfra"]
    return [
        *(
            Scenario(f"stream, {shape} error", [simulated(f"error-frame={shape},at=4")], error=raised.get(shape))
            for shape in shapes
        ),
        Scenario("stream, truncated", [simulated("truncated,at=4")]),
        Scenario("stream, truncated in a frame", [_raw(_cut_short())]),
        Scenario("stream, not json", [_raw(b"data: {\n\n")], error="JSONDecodeError"),
        Scenario("stream, reset", [simulated("reset,at=4")], breaks=True),
        Scenario("stream, cut", [simulated("cut,at=4")], breaks=True),
    ]


def _cut_short() -> bytes:
    return b"".join(piece.data for piece in simulated().pieces)[:1500]


def _documents() -> list[Scenario]:
    """Answers that are not streamed."""
    one = {"stream": False}
    return [
        Scenario("document", [simulated(**one)], "create"),
        Scenario("document, three choices", [simulated(**one, n=3)], "create", BODY | {"n": 3}),
        Scenario("document, a tool", [simulated(**one, tools=[WEATHER])], "create", BODY | {"tools": [WEATHER]}),
        Scenario("document, reasoning", [simulated("reasoning=both", **one)], "create"),
        Scenario("document, after blank lines", [simulated("blank-lines", **one)], "create"),
        Scenario("document, slow and in pieces", [simulated("slow=200ms,bytes=100", **one)], "create"),
        Scenario("models", [document(catalog.models())], "models"),
        Scenario(
            "embeddings",
            [document(catalog.embeddings({"model": "baai/bge-m3", "input": ["a"]}, Random(1), CREATED))],
            "embeddings",
            {"model": "baai/bge-m3", "input": ["a"], "encoding_format": "float"},
        ),
    ]


_ERRORS = {
    400: ("BadRequestError", 1),
    401: ("AuthenticationError", 1),
    403: ("PermissionDeniedError", 1),
    404: ("NotFoundError", 1),
    408: ("APIStatusError", 3),
    409: ("ConflictError", 3),
    422: ("UnprocessableEntityError", 1),
    429: ("RateLimitError", 3),
    500: ("InternalServerError", 3),
    502: ("InternalServerError", 3),
    503: ("InternalServerError", 3),
    504: ("InternalServerError", 3),
}
"""Status, the class that the OpenAI SDKs raise for it, and how often they ask (facts of the SDKs, 6.1)."""


def _errors() -> list[Scenario]:
    """Errors before the first byte."""
    flat = [
        Scenario(f"{status} to a {call}", [refused(status, AT_ONCE)], call, error=error, attempts=attempts)
        for status, (error, attempts) in _ERRORS.items()
        for call in ("stream", "create")
    ]
    return [
        *flat,
        Scenario("404 in plain text", [_kept(unrouted())], error="NotFoundError"),
        Scenario(
            "429 in openai's shape",
            [refused(429, AT_ONCE, words="error-body=openai")],
            error="RateLimitError",
            attempts=3,
        ),
        Scenario(
            "502 of a gateway",
            [refused(502, AT_ONCE, words="error-body=text")],
            error="InternalServerError",
            attempts=3,
        ),
        Scenario("an error under 200", [simulated("error=200", stream=False)]),
    ]


def _retries() -> list[Scenario]:
    """What is asked again, how often, and when."""
    stop, go = ("x-should-retry", "false"), ("x-should-retry", "true")
    return [
        Scenario("503, then a stream", [refused(503, AT_ONCE), simulated()], attempts=2),
        Scenario(
            "429 twice, then a document", [*[refused(429, AT_ONCE)] * 2, simulated(stream=False)], "create", attempts=3
        ),
        Scenario("503 with retry-after", [refused(503, ("Retry-After", "1")), simulated()], attempts=2),
        Scenario(
            "503 that says stop", [refused(503, AT_ONCE, stop)], error="InternalServerError", attempts=1, ai_attempts=3
        ),
        Scenario("400 that says go on", [refused(400, AT_ONCE, go), simulated()], attempts=2, ai_attempts=1),
        Scenario("no answer, then a stream", [Answer(None, end=End.CUT), simulated()], attempts=2, ai_attempts=2),
    ]


SCENARIOS = (*_streams(), *_broken_streams(), *_documents(), *_errors(), *_retries())

_IMAGE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
_SCHEMA = WEATHER["function"]["parameters"]
_TOOLS: dict[str, Json] = {
    "chat_completions": {"tools": [WEATHER]},
    "responses": {"tools": [{"type": "function", "name": "weather", "parameters": _SCHEMA, "strict": False}]},
    "messages": {"tools": [{"name": "weather", "input_schema": _SCHEMA}]},
}
_IMAGES: dict[str, Json] = {
    "responses": {
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "what is it?"},
                    {"type": "input_image", "image_url": f"data:image/png;base64,{_IMAGE}", "detail": "auto"},
                ],
            }
        ]
    },
    "messages": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "what is it?"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": _IMAGE}},
                ],
            }
        ]
    },
}
_SHAPES = {
    "plain": "",
    "many chunks": "chunks=400",
    "byte by byte": "bytes=1,echo",
    "arbitrary chunks": "random",
    "many frames in a write": "batch=7",
    "thinking": "reasoning=content",
    "a summary of thinking": "reasoning=details",
    "two tool calls": "tools=2",
    "unknown keys": "unknown-keys",
    "comments": "comments=keep-alive",
    "crlf": "newline=crlf",
    "no usage": "usage=absent",
    "cut off": "chunks=9,finish-reason=length",
    "content filter": "finish-reason=content_filter",
    "without its last event": "done=absent",
    "a done that the API does not have": "done=event",
}
_FAILURES = (400, 401, 403, 404, 429, 500, 503)
_ASKED_AGAIN = (429, 500, 503)


def scenarios_of(api: str) -> list[Scenario]:
    """What is lived through with another API than chat completions. ``error``: whatever class reports one."""
    made, body, one = partial(simulated, api=api), BODIES[api], {"stream": False}
    once = [
        *(Scenario(f"stream, {name}", [made(words)]) for name, words in _SHAPES.items()),
        *(Scenario(f"stream, {key}", [made()], params=body | more[api])
          for key, more in (("a tool that is offered", _TOOLS), ("an image", _IMAGES)) if api in more),
        Scenario("stream, a client that leaves", [made("chunks=50,hang,at=30")], leave_after=3),
        Scenario("stream, an error", [made("error-frame,at=4")]),
        Scenario("stream, truncated", [made("truncated,at=4")]),
        Scenario("stream, reset", [made("reset,at=4")], breaks=True),
        Scenario("stream, cut", [made("cut,at=4")], breaks=True),
        *(Scenario(f"document, {name}", [made(words, **one)], "create")
          for name, words in (("plain", ""), ("thinking", "reasoning=both"), ("tools", "tools=2"))),
        *(Scenario(f"{status} to a {call}", [refused(status, AT_ONCE, api=api)], call, error="any",
                   attempts=3 if status in _ASKED_AGAIN else 1)
          for status in _FAILURES for call in ("stream", "create")),
        Scenario("503, then a stream", [refused(503, AT_ONCE, api=api), made()], attempts=2),
        Scenario("429, then a document", [refused(429, AT_ONCE, api=api), made(**one)], "create", attempts=2),
    ]  # fmt: skip
    if api == "messages":
        once.append(Scenario("count_tokens", [document({"input_tokens": 9})], "count_tokens", BODY))
    return [
        replace(each, api=api, params=body if each.params is BODY and each.call != "count_tokens" else each.params)
        for each in once
    ]


def agent_scenarios() -> list[Scenario]:
    """What an agent lives through that calls a tool twice before it answers: by API, streamed or not."""
    return [
        replace(scenario, name=f"{scenario.name}, {api}, {call}", call=call, api=api, params=params)
        for api in ("chat_completions", "responses", "messages")
        for call in ("stream", "create")
        for params in ({"model": MODEL, "prompt": "fly a kite"},)
        for scenario in _turns(partial(simulated, api=api, stream=call == "stream"), api)
    ]


def _turns(made: Callable[..., Answer], api: str) -> list[Scenario]:
    asks, asks_again = (made(seed=seed, **_TOOLS[api]) for seed in (1, 2))
    busy, wrong = refused(429, AT_ONCE, api=api), refused(400, api=api)
    return [
        Scenario("a tool, again, an answer", [asks, asks_again, made()], attempts=3),
        Scenario("a tool, too many requests, an answer", [asks, busy, made()], attempts=3),
        Scenario("a tool, an error", [asks, wrong], attempts=2, error="any"),
    ]
