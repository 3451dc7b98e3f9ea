"""What is known about a chat, as the ``data`` of the chat events, and the drafts of those events.

A chat is one conversation turn, streamed or not. It makes one ``relay.chat.started``, any number of
``relay.chat.chunk``, and exactly one of ``relay.chat.completed``, ``.failed`` and ``.cancelled``, whatever happens.
Unknown is null, never absent.

Texts of a chat are published as they are: what people write to a model is content, and a search for secrets in it would
change it (code, documentation, a question about a password) without finding what matters. ``capture.content`` and
``capture.request`` decide whether it leaves the relay at all. Credentials travel in headers, which no event carries.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import Field
from typing_extensions import TypedDict

from relay.core.clock import rfc3339
from relay.core.dedup import KEY_BYTES, key_of
from relay.core.event import CHAT, CHAT_CHUNKS, Draft, Event
from relay.core.tasks.events import Timestamp

CHAT_SOURCE: Final = "/novita/chat"
"""``source`` of every event about a chat."""

CHAT_SCHEMA: Final = "urn:relay:schema:chat:1"
STARTED_SCHEMA: Final = "urn:relay:schema:chat-started:1"
CHUNK_SCHEMA: Final = "urn:relay:schema:chat-chunk:1"
"""``dataschema`` of the terminal events, of ``relay.chat.started`` and of ``relay.chat.chunk``."""

STARTED: Final = "relay.chat.started"
CHUNK: Final = "relay.chat.chunk"

MAX_MODEL: Final = 256
"""Characters of the model's name, as a client wrote it, that events carry."""

Outcome = Literal["completed", "failed", "cancelled"]
Reason = Literal[
    "client_gone",
    "empty",
    "error_status",
    "not_json",
    "relay_restarted",
    "relay_shutdown",
    "slow_client",
    "truncated",
    "upstream_error",
    "upstream_reset",
    "upstream_timeout",
    "upstream_unreachable",
]
ApiName = Annotated[
    str | None,
    Field(
        pattern=r"^[a-z][a-z0-9_]{0,31}$",
        description="The API that was called: `chat_completions`, `completions`, `responses` or `messages`; null if "
        "the chat's beginning is no longer retained.",
    ),
]
ChatId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,128}$", description="relay's id of the chat.")]


class RequestData(TypedDict):
    """What the client requested, as far as `capture.request` allows it."""

    parameters: Annotated[
        dict[str, Any], Field(description="Numbers, booleans and known words, such as `temperature`; no free text.")
    ]
    messages_count: Annotated[
        int | None, Field(ge=0, description="Number of messages in the request; a text counts as one.")
    ]
    tools_count: Annotated[int | None, Field(ge=0, description="Number of tools offered to the model.")]
    bytes: Annotated[int, Field(ge=0, description="Size of the request's body.")]
    system: Annotated[
        str | list[Any] | None,
        Field(description="`system` or `instructions` as sent, where the API has them; null in the same cases."),
    ]
    messages: Annotated[
        str | list[Any] | None,
        Field(
            description="`messages`, `input` or `prompt` as sent; null if larger than 256 KiB together with `system` "
            "and `tools`, or unless `capture.request` is `full`."
        ),
    ]
    tools: Annotated[list[Any] | None, Field(description="As sent; null in the same cases as `messages`.")]


class ChatStarted(TypedDict):
    """`data` of the event `relay.chat.started`. Unknown is null, never absent."""

    chat_id: ChatId
    api: ApiName
    model: Annotated[str | None, Field(description="The model that was requested.")]
    stream: Annotated[bool, Field(description="Whether the client requested a stream.")]
    started_at: Annotated[Timestamp, Field(description="When the request was received.")]
    client: Annotated[str | None, Field(description="The name under `proxy.clients`; null for an unnamed client.")]
    request: Annotated[RequestData | None, Field(description="The request; null if `capture.request` is `none`.")]


class ChatChunk(TypedDict):
    """`data` of the event `relay.chat.chunk`."""

    chat_id: ChatId
    first_sequence: Annotated[
        int,
        Field(ge=0, description="Position of the first chunk here within the chat, from 0; a jump is a gap."),
    ]
    chunks: Annotated[
        list[dict[str, Any]], Field(min_length=1, description="The upstream's chunk objects, as sent, in order.")
    ]


class Function(TypedDict):
    """The function that the model calls."""

    name: Annotated[str | None, Field(description="Its name.")]
    arguments: Annotated[str | None, Field(description="The joined pieces: JSON as text, if it is valid.")]


class ToolCall(TypedDict):
    """One tool call of the model."""

    index: Annotated[int, Field(description="Its position among the choice's calls, as the upstream numbers them.")]
    id: Annotated[str | None, Field(description="The upstream's id of the call.")]
    type: Annotated[str | None, Field(description="`function`.")]
    function: Function


class Choice(TypedDict):
    """One answer of the model, put together from its deltas."""

    index: Annotated[int, Field(description="Its position among the choices, as the upstream numbers them.")]
    role: Annotated[str | None, Field(description="As given; usually `assistant`.")]
    content: Annotated[str | None, Field(description="The joined pieces; null if there were none, or if not captured.")]
    reasoning_content: Annotated[
        str | None,
        Field(description="The reasoning, from `reasoning_content`, `reasoning` or `reasoning_details`."),
    ]
    tool_calls: Annotated[list[ToolCall], Field(description="Sorted by index.")]
    finish_reason: Annotated[str | None, Field(description="As reported: `stop`, `length`, `tool_calls`, ...")]


class UpstreamError(TypedDict):
    """The error that the upstream reported, in any of its formats."""

    code: Annotated[str | None, Field(description="The upstream's code as text, such as `503`.")]
    type: Annotated[str | None, Field(description="The upstream's type or reason, such as `RATE_LIMIT_EXCEEDED`.")]
    message: Annotated[
        str | None, Field(description="For people; at most 500 characters; null if content is not captured.")
    ]


class Tokens(TypedDict):
    """Numbers of tokens; null where the upstream does not say."""

    input: Annotated[int | None, Field(ge=0, description="Read, those from and into a cache included.")]
    output: Annotated[int | None, Field(ge=0, description="Generated, reasoning included.")]
    cached: Annotated[int | None, Field(ge=0, description="Of the input: those read from a cache.")]
    cache_written: Annotated[int | None, Field(ge=0, description="Of the input: those written into a cache.")]
    reasoning: Annotated[int | None, Field(ge=0, description="Of the output: those of the reasoning.")]


TOKENS: Final[tuple[Literal["input", "output", "cached", "cache_written", "reasoning"], ...]] = (
    "input",
    "output",
    "cached",
    "cache_written",
    "reasoning",
)
"""The kinds of tokens, as metrics label them."""


class ChatTimings(TypedDict):
    """When things happened, in whole milliseconds after `started_at`."""

    started_at: Annotated[Timestamp, Field(description="When the request was received.")]
    first_byte_ms: Annotated[int | None, Field(ge=0, description="To the first byte of the answer's body.")]
    first_token_ms: Annotated[
        int | None, Field(ge=0, description="To the first content, reasoning or tool call of a stream.")
    ]
    duration_ms: Annotated[int | None, Field(ge=0, description="To the end; null if relay was restarted.")]


class ChatData(TypedDict):
    """`data` of the events that end a chat. Unknown is null, never absent."""

    chat_id: ChatId
    api: ApiName
    completion_id: Annotated[str | None, Field(description="The upstream's id of the answer.")]
    model: Annotated[str | None, Field(description="As the upstream names it, else as it was requested.")]
    outcome: Annotated[Outcome, Field(description="How it ended.")]
    reason: Annotated[Reason | None, Field(description="Why; null for an ordinary completion.")]
    http_status: Annotated[int | None, Field(description="The upstream's status; null if it gave no answer.")]
    error: Annotated[UpstreamError | None, Field(description="The upstream's error, if it reported one.")]
    choices: Annotated[list[Choice], Field(description="The assembled answers, sorted by index.")]
    usage: Annotated[dict[str, Any] | None, Field(description="As the upstream reported it, with all its keys.")]
    tokens: Annotated[Tokens, Field(description="What `usage` says, in the same words for every API.")]
    usage_source: Annotated[Literal["reported", "absent"], Field(description="Whether the upstream reported `usage`.")]
    chunks: Annotated[int, Field(ge=0, description="Number of chunk objects from the upstream; 0 if not streamed.")]
    bytes: Annotated[int | None, Field(ge=0, description="Size of the answer's body; null if relay was restarted.")]
    gaps: Annotated[int, Field(ge=0, description="Number of chunks that are in no chunk event, or could not be read.")]
    truncated: Annotated[bool, Field(description="Whether texts in `choices` were cut to keep the event small.")]
    timings: ChatTimings
    client: Annotated[str | None, Field(description="The name under `proxy.clients`; null for an unnamed client.")]
    request: Annotated[RequestData | None, Field(description="The request; null if `capture.request` is `none`.")]


@dataclass(frozen=True, slots=True)
class Opening:
    """A chat as it begins: the request was received and is allowed.

    ``started_at`` is epoch milliseconds; ``opened`` the reading, in seconds, of the clock that all later times of the
    chat are given in (a monotonic one, so that a step of the wall clock spoils no duration).
    """

    chat_id: str
    started_at: int
    opened: float
    model: str | None = None
    stream: bool = True
    client: str | None = None
    request: RequestData | None = None
    traceparent: str | None = None
    api: str = "chat_completions"

    @property
    def model_asked(self) -> str | None:
        """The model that was asked for, as events name it."""
        return None if self.model is None else self.model[:MAX_MODEL]

    def epoch_ms(self, at: float) -> int:
        """Epoch milliseconds of an instant on the chat's clock."""
        return self.started_at + self.elapsed_ms(at)

    def elapsed_ms(self, at: float) -> int:
        """Whole milliseconds since the chat was opened, never less than 0."""
        return max(0, round((at - self.opened) * 1000))


def started_draft(opening: Opening) -> Draft:
    """``relay.chat.started``: once per chat."""
    data: ChatStarted = {
        "chat_id": opening.chat_id,
        "api": opening.api,
        "model": opening.model_asked,
        "stream": opening.stream,
        "started_at": rfc3339(opening.started_at),
        "client": opening.client,
        "request": opening.request,
    }
    event = _event(STARTED, opening.chat_id, "started", data["started_at"], orjson.dumps(data), STARTED_SCHEMA)
    return Draft(event._replace(traceparent=opening.traceparent), started_key(opening.chat_id))


def started_key(chat_id: str) -> bytes:
    """The dedup key of "this chat has begun"."""
    return key_of("chat", "novita", chat_id, "started")


def ended_key(chat_id: str) -> bytes:
    """The dedup key of "how this chat ended"."""
    return key_of("chat", "novita", chat_id, "terminal")


def chunk_key(chat_id: str) -> bytes:
    """What the dedup keys of a chat's chunk events begin with: hashed once per chat, not once per event."""
    return blake2b(f"chat\x1fnovita\x1f{chat_id}\x1fchunk".encode(), digest_size=KEY_BYTES - 4).digest()


def chunk_draft(
    chat_id: str, key: bytes, first_sequence: int, chunks: list[bytes], *, time: str, traceparent: str | None = None
) -> Draft:
    """``relay.chat.chunk`` of chunk objects that are JSON already; ``key`` is the chat's ``chunk_key``.

    ``chat_id`` needs no escape in JSON (``ChatId``).
    """
    # The upstream's bytes as they are: to parse and serialize them again costs more than forwarding them did.
    data = b'{"chat_id":"%b","first_sequence":%d,"chunks":[%b]}' % (
        chat_id.encode(),
        first_sequence,
        b",".join(chunks),
    )
    event_id = f"{chat_id}:chunk:{first_sequence}"
    event = Event(CHAT_CHUNKS, CHUNK, event_id, CHAT_SOURCE, chat_id, time, data, CHUNK_SCHEMA, traceparent)
    return Draft(event, key + first_sequence.to_bytes(4, "big"))


def terminal_draft(data: ChatData, serialized: bytes, *, time: str, traceparent: str | None = None) -> Draft:
    """``relay.chat.completed``, ``.failed`` or ``.cancelled``, all under the one key of "how this chat ended".

    So a second ending, of whatever kind (one that was in the journal when the relay restarted), is absorbed.
    """
    chat_id, outcome = data["chat_id"], data["outcome"]
    event = _event(f"relay.chat.{outcome}", chat_id, outcome, time, serialized, CHAT_SCHEMA)
    return Draft(event._replace(traceparent=traceparent), ended_key(chat_id))


def _event(kind: str, chat_id: str, step: str, time: str, data: bytes, schema: str) -> Event:
    return Event(CHAT, kind, f"{chat_id}:{step}", CHAT_SOURCE, chat_id, time, data, schema)
