"""What is read of a chat request, and what of it goes into its events."""

from __future__ import annotations

import base64
import tracemalloc
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from relay.apis.chat_completions import API as CHAT_COMPLETIONS
from relay.apis.messages import API as MESSAGES
from relay.apis.responses import API as RESPONSES
from relay.core.chat.api import Api, Said
from relay.core.chat.events import RequestData
from relay.core.chat.request import MAX_MESSAGES, RequestCapture, model_of, read_request

REQUEST: dict[str, Any] = {
    "model": "org/m",
    "messages": [{"role": "user", "content": "secret words"}, {"role": "user", "content": "more"}],
    "tools": [{"type": "function", "function": {"name": "look"}}],
    "stream": True,
    "temperature": 0.5,
    "max_tokens": 10,
    "stop": ["secret words"],
    "user": "secret words",
    "tool_choice": "auto",
    "reasoning_effort": "secret words",
    "stream_options": {"include_usage": True},
    "response_format": {"type": "json_schema", "json_schema": {"name": "secret words"}},
    "enable_thinking": False,
    "secret words": 1,
    "metadata": {"x": "secret words"},
}


def recorded(document: dict[str, Any], capture: RequestCapture) -> RequestData:
    """What the events say about a request with this body."""
    data = read_request(orjson.dumps(document), capture, CHAT_COMPLETIONS.said).data
    assert data is not None
    return data


def test_metadata_says_which_response_a_turn_follows() -> None:
    """Consumers could not put the turns of a conversation in order that the upstream stores."""
    asked = {"model": "org/m", "input": "hi", "store": True, "background": True, "previous_response_id": "resp_0a1"}
    expected = {"store": True, "background": True, "previous_response_id": "resp_0a1"}
    assert recorded(asked, "metadata")["parameters"] == expected


def test_metadata_has_parameters_and_counts_and_no_texts() -> None:
    """What people wrote would leave the relay although only metadata may."""
    assert recorded(REQUEST, "metadata") == {
        "parameters": {
            "stream": True,
            "temperature": 0.5,
            "max_tokens": 10,
            "tool_choice": "auto",
            "enable_thinking": False,
            "include_usage": True,
            "response_format": "json_schema",
        },
        "messages_count": 2,
        "tools_count": 1,
        "bytes": len(orjson.dumps(REQUEST)),
        "system": None,
        "messages": None,
        "tools": None,
    }
    assert "secret words" not in str(recorded(REQUEST, "metadata"))


def test_full_has_the_messages_too() -> None:
    """Who asked for the whole request would not get it."""
    data = recorded(REQUEST, "full")
    assert (data["messages"], data["tools"]) == (REQUEST["messages"], REQUEST["tools"])


def test_none_has_nothing() -> None:
    """A request would be published although capture is off."""
    read = read_request(orjson.dumps(REQUEST), "none", CHAT_COMPLETIONS.said)
    assert (read.model, read.stream, read.data) == ("org/m", True, None)


def test_messages_too_large_for_an_event_are_left_out() -> None:
    """One request with an image in it would make events that no broker takes."""
    data = recorded({"messages": ["x" * MAX_MESSAGES]}, "full")
    assert (data["messages"], data["messages_count"], data["bytes"]) == (None, 1, MAX_MESSAGES + 17)


def test_messages_that_just_fit_into_an_event_are_published() -> None:
    """The documented limit would not be the limit."""
    around = len(b'[null,[""],null]')  # system, messages and tools, as they count
    for size, fits in ((MAX_MESSAGES - around, True), (MAX_MESSAGES - around + 1, False)):
        data = recorded({"messages": ["x" * size]}, "full")
        assert (data["messages"] is not None) is fits


def test_a_text_is_one_message() -> None:
    """A prompt, or the input of a response, would be recorded as nothing."""
    for padding in ("", "y" * 20_000):  # a large body is not parsed as a whole
        body = orjson.dumps({"model": "m", "input": "x", "instructions": "Be brief.", "padding": padding})
        data = read_request(body, "full", Said("input", "instructions")).data
        assert data is not None
        assert (data["messages"], data["messages_count"], data["system"]) == ("x", 1, "Be brief.")


def test_odd_requests_are_published_as_far_as_they_go() -> None:
    """A request that the upstream will refuse would fail in the relay instead."""
    data = recorded({"messages": {}, "tools": {}, "stream_options": [], "response_format": []}, "full")
    assert (data["messages_count"], data["tools_count"], data["messages"], data["parameters"]) == (None, 0, None, {})
    assert len(recorded({f"k{number}": 1 for number in range(500)}, "metadata")["parameters"]) == 64


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b"\xff", b'{"model":1}', b'{"model":[]}', b'{"a":"m"}'])
def test_a_body_that_names_no_model(body: bytes) -> None:
    """A request that the upstream will refuse would fail in the relay instead."""
    assert model_of(body) is None
    assert read_request(body, "full", CHAT_COMPLETIONS.said)[:2] == (None, False)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"cheap","model":"costly"}',
        b'{"model":"cheap","Model":"costly"}',
        b'{"model":"cheap","m\\u006fdel":"costly"}',
        b'{"MODEL":"cheap"}',
    ],
)
def test_an_ambiguous_model_is_not_used(body: bytes) -> None:
    """A client would be let in by one model, and served by the other."""
    assert model_of(body) is None
    assert read_request(body, "none", CHAT_COMPLETIONS.said).model is None


@pytest.mark.parametrize("capture", ["metadata", "full"])
def test_a_body_is_never_parsed_as_a_whole(capture: RequestCapture) -> None:
    """62 MiB of brackets took 2 GB of memory, and ten seconds of everybody's time."""
    body = b'{"model":"m","messages":[' + b"[]," * 100_000 + b"[]]}"
    tracemalloc.start()
    read_request(body, capture, CHAT_COMPLETIONS.said)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 18


LINK = "https://images.example/cat.png?sig=1"
Image = Callable[[str], dict[str, Any]]


def of_completions(image: str) -> dict[str, Any]:
    """https://platform.openai.com/docs/guides/images-vision: a link, or the image itself as one."""
    return {"type": "image_url", "image_url": {"url": image, "detail": "low"}}


def of_responses(image: str) -> dict[str, Any]:
    return {"type": "input_image", "image_url": image, "detail": "auto"}


def of_messages(image: str) -> dict[str, Any]:
    """https://docs.claude.com/en/docs/build-with-claude/vision."""
    if image.startswith("https:"):
        return {"type": "image", "source": {"type": "url", "url": image}}
    data = image.partition(",")[2]
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}


WITH_IMAGES = pytest.mark.parametrize(
    ("api", "part"),
    [(CHAT_COMPLETIONS, of_completions), (RESPONSES, of_responses), (MESSAGES, of_messages)],
    ids=["chat_completions", "responses", "messages"],
)


def encoded(size: int) -> str:
    """An image of so many bytes, as it stands in a request."""
    return "data:image/png;base64," + base64.b64encode(bytes(size)).decode()


def asking(api: Api, part: dict[str, Any]) -> bytes:
    """A question about one image."""
    said = [{"role": "user", "content": [part, {"type": "text", "text": "What is this?"}]}]
    return orjson.dumps({"model": "org/eyes", "max_tokens": 50, "stream": True, api.said.messages: said})


@WITH_IMAGES
@pytest.mark.parametrize("image", [LINK, encoded(300), encoded(150_000)], ids=["link", "small", "large"])
def test_an_image_that_fits_is_published_as_it_was_sent(api: Api, part: Image, image: str) -> None:
    """Who asked for the whole request would get it without its images, or with changed ones."""
    body = asking(api, part(image))
    read = read_request(body, "full", api.said)
    assert read.data is not None
    assert read.data["messages"] == orjson.loads(body)[api.said.messages]
    unsaid = read_request(body, "metadata", api.said).data
    assert unsaid is not None
    assert (unsaid["messages"], unsaid["messages_count"], unsaid["bytes"]) == (None, 1, len(body))
    assert image[-20:] not in str(unsaid)


@WITH_IMAGES
def test_an_image_of_many_megabytes_is_neither_published_nor_copied(api: Api, part: Image) -> None:
    """One photo would make events that no broker takes, or take its size again for each thing that is read of it."""
    body = asking(api, part(encoded(24 << 20)))
    tracemalloc.start()
    read = read_request(body, "full", api.said)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (read.model, read.stream) == ("org/eyes", True)
    assert read.data is not None
    assert (read.data["messages"], read.data["messages_count"], read.data["bytes"]) == (None, 1, len(body))
    assert read.data["parameters"] == {"max_tokens": 50, "stream": True}
    assert peak < 1 << 18
