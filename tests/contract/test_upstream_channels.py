"""The upstream's asynchronous surfaces, by the names of its AsyncAPI 2.6 description.

The examples are that description's own (``novita-ai-asyncapi.yaml`` by API Evangelist), shortened. Where it differs
from the vendor's pages (the body is an envelope, deliveries are repeated), both forms are covered.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from relay.apis.chat_completions import API as CHAT_COMPLETIONS
from relay.core.chat.events import Opening
from relay.core.chat.tap import Capture, Closed, Tap
from relay.core.dedup import judge
from relay.core.event import Draft
from relay.core.source import Delivery
from relay.simulator.chat.delivery import STREAM_HEADERS, Answer, Piece
from relay.simulator.server import Simulator
from relay.sources.novita_task import NovitaTask
from tests.integration.bridge import TOKEN, Bridge

IMAGE_TASK = {
    "task": {
        "task_id": "71dd988e-632e-4339-b217-74bcbe6db0ee",
        "task_type": "TXT_TO_IMG",
        "status": "TASK_STATUS_SUCCEED",
        "reason": "",
        "eta": 0,
        "progress_percent": 100,
    },
    "images": [
        {
            "image_url": "https://faas-output-image.s3.example/0.png",
            "image_url_ttl": "604800",
            "image_type": "png",
            "nsfw_detection_result": None,
        }
    ],
}
VIDEO_TASK = {
    "task": {
        "task_id": "0e0a6b4c-1f0a-4e2a-9a4a-5c6e7f8a9b0c",
        "task_type": "TXT_TO_VIDEO",
        "status": "TASK_STATUS_SUCCEED",
        "reason": "",
        "eta": 0,
        "progress_percent": 100,
    },
    "videos": [
        {"video_url": "https://faas-output-image.s3.example/v.mp4", "video_url_ttl": "604800", "video_type": "mp4"}
    ],
}
FAILED_TASK = {
    "task": {
        "task_id": "71dd988e-632e-4339-b217-74bcbe6db0ee",
        "task_type": "TXT_TO_IMG",
        "status": "TASK_STATUS_FAILED",
        "reason": "model load failed",
        "eta": 0,
        "progress_percent": 0,
    }
}
TEST_MODE = {
    "task": {
        "task_id": "test-task",
        "task_type": "TXT_TO_IMG",
        "status": "TASK_STATUS_SUCCEED",
        "reason": "",
        "eta": 0,
        "progress_percent": 100,
    }
}
TASK_TYPES = [
    "TXT_TO_IMG",
    "IMG_TO_IMG",
    "UPSCALE",
    "REMOVE_BACKGROUND",
    "REPLACE_BACKGROUND",
    "INPAINTING",
    "TXT_TO_VIDEO",
    "IMG_TO_VIDEO",
]


def bare(result: dict[str, Any]) -> bytes:
    """The body as the description has it."""
    return orjson.dumps(result)


def enveloped(result: dict[str, Any]) -> bytes:
    """The body as the vendor's webhook page has it."""
    return orjson.dumps({"event_type": "ASYNC_TASK_RESULT", "payload": result})


def received(body: bytes) -> Draft:
    draft = NovitaTask().normalize(Delivery(body, 1_748_563_200_000))
    assert isinstance(draft, Draft)
    return draft


@pytest.mark.parametrize("wrap", [bare, enveloped])
class TestWebhookTaskResult:
    """Channel ``webhook/task-result``, message ``TaskResultWebhook``."""

    @pytest.mark.parametrize(
        ("result", "type_", "kinds"),
        [
            pytest.param(IMAGE_TASK, "relay.task.succeeded", ["image"], id="succeededImageTask"),
            pytest.param(VIDEO_TASK, "relay.task.succeeded", ["video"], id="succeededVideoTask"),
            pytest.param(FAILED_TASK, "relay.task.failed", [], id="failedTask"),
            pytest.param(TEST_MODE, "relay.task.succeeded", [], id="testModeCallback"),
        ],
    )
    def test_each_example_becomes_its_event(
        self, wrap: Any, result: dict[str, Any], type_: str, kinds: list[str]
    ) -> None:
        """A message that the upstream's description shows would not reach any consumer."""
        event = received(wrap(result)).event
        data = orjson.loads(event.data)
        assert (event.topic, event.type, event.subject) == ("tasks", type_, result["task"]["task_id"])
        assert [output["kind"] for output in data["outputs"]] == kinds
        assert data["reason"] == (result["task"]["reason"] or None)
        assert data["raw"] == result

    @pytest.mark.parametrize("task_type", TASK_TYPES)
    @pytest.mark.parametrize("status", ["TASK_STATUS_SUCCEED", "TASK_STATUS_FAILED"])
    def test_each_task_type_ends(self, wrap: Any, task_type: str, status: str) -> None:
        """A kind of task that the upstream's description names would never end for its consumers."""
        draft = received(wrap({"task": {"task_id": "t1", "task_type": task_type, "status": status}}))
        assert draft.event.id == f"t1:{'succeeded' if status == 'TASK_STATUS_SUCCEED' else 'failed'}"
        assert orjson.loads(draft.event.data)["task_type"] == task_type

    def test_a_redelivery_in_either_form_is_a_duplicate(self, wrap: Any) -> None:
        """A delivery repeated, up to five times by the vendor's page, would be published again."""
        first, again = received(bare(IMAGE_TASK)), received(wrap(IMAGE_TASK))
        assert again.key == first.key
        assert judge(again, first.fingerprint) is None

    def test_success_and_failure_of_one_task_contradict(self, wrap: Any) -> None:
        """One task would be published as succeeded and as failed."""
        first, other = received(wrap(IMAGE_TASK)), received(wrap(FAILED_TASK))
        conflict = judge(other, first.fingerprint)
        assert other.key == first.key
        assert conflict is not None
        assert conflict.event.type == "relay.task.conflicted"


CHUNK = {
    "id": "chatcmpl-9a1b2c3d",
    "object": "chat.completion.chunk",
    "created": 1748563200,
    "model": "deepseek/deepseek-v3-0324",
}
USAGE = {"prompt_tokens": 16, "completion_tokens": 2, "total_tokens": 18}
STREAM_CHUNKS = {
    "roleDelta": {"choices": [{"index": 0, "delta": {"role": "assistant"}, "finish_reason": None, "logprobs": None}]},
    "contentDelta": {"choices": [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": None}]},
    "toolCallDelta": {
        "choices": [
            {
                "index": 0,
                "delta": {
                    "tool_calls": [
                        {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                    ]
                },
                "finish_reason": None,
            }
        ]
    },
    "finishWithUsage": {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": USAGE},
    "usageAlone": {"choices": [], "usage": USAGE},
}
"""Shapes of the description's schema; the last as the vendor's page has the usage instead."""


def streamed(*payloads: bytes) -> Closed:
    """The events of a stream of these messages: one ``data:`` line each."""
    tap = Tap(Opening("chat-1", 1_748_563_200_000, 0.0), Capture(), CHAT_COMPLETIONS)
    tap.answered(200, "text/event-stream")
    for payload in payloads:
        tap.feed(b"data: %b\n\n" % payload, 0.1)
    return tap.end("end", 0.2)


class TestChatCompletionChunk:
    """Channel ``/openai/v1/chat/completions``, message ``ChatCompletionChunk``."""

    @pytest.mark.parametrize("shape", STREAM_CHUNKS)
    def test_each_shape_becomes_a_chunk_event_as_it_was_sent(self, shape: str) -> None:
        """A message that the upstream's description shows would reach no consumer, or another one would."""
        chunk = {**CHUNK, **STREAM_CHUNKS[shape]}
        (draft,) = streamed(orjson.dumps(chunk)).chunks
        event = draft.event
        assert (event.topic, event.type, event.subject) == ("chat-chunks", "relay.chat.chunk", "chat-1")
        assert orjson.loads(event.data) == {"chat_id": "chat-1", "first_sequence": 0, "chunks": [chunk]}

    def test_all_of_them_feed_the_terminal_event(self) -> None:
        """The assembled answer would be published with a part missing."""
        data = streamed(*(orjson.dumps({**CHUNK, **chunk}) for chunk in STREAM_CHUNKS.values())).data
        (choice,) = data["choices"]
        assert (choice["role"], choice["content"], choice["finish_reason"]) == ("assistant", "Hello", "stop")
        assert [call["function"]["name"] for call in choice["tool_calls"]] == ["f"]
        assert (data["completion_id"], data["model"]) == (CHUNK["id"], CHUNK["model"])
        assert (data["usage"], data["usage_source"], data["chunks"]) == (USAGE, "reported", 5)


class TestChatCompletionStreamDone:
    """Channel ``/openai/v1/chat/completions``, message ``ChatCompletionStreamDone``: ``data: [DONE]``."""

    def test_it_ends_the_stream_as_completed(self) -> None:
        """A stream that the upstream ended properly would be reported as truncated."""
        said = orjson.dumps({**CHUNK, **STREAM_CHUNKS["contentDelta"]})
        event = streamed(said, b"[DONE]").terminal.event
        assert (event.topic, event.type, event.id) == ("chat", "relay.chat.completed", "chat-1:completed")
        assert streamed(said).terminal.event.type == "relay.chat.failed"

    def test_it_is_no_chunk(self) -> None:
        """Consumers of chunks would meet something that is no object."""
        assert streamed(b"[DONE]").chunks == []


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[Bridge]:
    """A relay without a sink, at the address that a task's ``extra.webhook.url`` would name."""
    relay = Bridge(tmp_path)
    await relay.start()
    yield relay
    await relay.stop()


@pytest.mark.parametrize("wrap", [bare, enveloped])
class TestWebhookTaskResultOverHTTP:
    """Channel ``webhook/task-result``, server ``webhook-receiver``: ``POST`` to ``extra.webhook.url``."""

    @pytest.mark.parametrize("result", [IMAGE_TASK, VIDEO_TASK, FAILED_TASK, TEST_MODE])
    async def test_each_example_is_accepted_and_published(
        self, relay: Bridge, wrap: Any, result: dict[str, Any]
    ) -> None:
        """The upstream would get no 2xx for a message that its description shows, and keep repeating it."""
        answer = await relay.deliver(wrap(result))
        assert (answer.status, answer.body["status"]) == (200, "accepted")
        (entry,) = await relay.events(topic="tasks")
        assert entry["event"]["id"] == answer.body["event_id"]
        assert entry["event"]["data"]["raw"] == result

    async def test_all_five_repetitions_get_the_2xx_that_ends_them(self, relay: Bridge, wrap: Any) -> None:
        """The upstream repeats until it sees a 2xx: a repetition that is refused would be repeated again."""
        answers = [await relay.deliver(wrap(IMAGE_TASK)) for _ in range(6)]
        assert [answer.status for answer in answers] == [200] * 6
        assert [answer.body["status"] for answer in answers] == ["accepted"] + ["duplicate"] * 5
        assert len({answer.body["event_id"] for answer in answers}) == 1
        assert len(await relay.events()) == 1

    @pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "text/plain"])
    async def test_the_content_type_does_not_matter(self, relay: Bridge, wrap: Any, content_type: str) -> None:
        """The vendor documents no content type: a delivery would be refused for a header."""
        path = f"/webhooks/novita/{TOKEN}"
        headers = {"Content-Type": content_type}
        answer = await relay.request("POST", path, data=wrap(IMAGE_TASK), headers=headers)
        assert (answer.status, answer.body["status"]) == (200, "accepted")

    async def test_nobody_else_can_deliver(self, relay: Bridge, wrap: Any) -> None:
        """The address is the only secret between upstream and relay: without it anyone could invent results."""
        for path in ("/webhooks/novita", "/webhooks/novita/", f"/webhooks/novita/{TOKEN[:-1]}"):
            assert (await relay.request("POST", path, data=wrap(IMAGE_TASK))).status == 401
        assert await relay.events() == []


@pytest.fixture
async def upstream() -> AsyncIterator[Simulator]:
    """What stands behind the server ``production``."""
    async with Simulator() as simulator:
        yield simulator


@pytest.fixture
async def proxy(tmp_path: Path, upstream: Simulator) -> AsyncIterator[Bridge]:
    """A relay before it, at the address that a client takes for the server ``production``."""
    relay = Bridge(tmp_path, upstream={"base_url": upstream.url})
    await relay.start()
    yield relay
    await relay.stop()


async def chatted(
    proxy: Bridge, upstream: Simulator, base: str, *payloads: bytes
) -> tuple[bytes, dict[str, list[Any]]]:
    """The body that a client of the channel gets for a stream of these messages, and the events by topic."""
    sent = b"".join(b"data: %b\n\n" % payload for payload in payloads)
    script = upstream.scripts.register([Answer(200, STREAM_HEADERS, (Piece(sent),))])
    headers = {"X-Simulate": f"script={script}"}
    body = {"model": CHUNK["model"], "messages": [{"role": "user", "content": "hi"}], "stream": True}
    answer = await proxy.request("POST", f"{base}/chat/completions", json=body, headers=headers)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream")
    async with asyncio.timeout(10):
        while not any(event["event"]["type"] in ENDED for event in await proxy.events(topic="chat")):
            await asyncio.sleep(0.02)
    published = {
        topic: [entry["event"] for entry in await proxy.events(topic=topic)] for topic in ("chat", "chat-chunks")
    }
    assert {event["subject"] for events in published.values() for event in events} == {
        answer.headers["X-Relay-Chat-Id"]
    }
    assert answer.body.encode() == sent
    return sent, published


ENDED = ("relay.chat.completed", "relay.chat.failed", "relay.chat.cancelled")


BASES = ("/openai/v1", "/openai", "/v3/openai")
"""The channel's own, and the older ones that clients still use."""


@pytest.mark.parametrize("base", BASES)
class TestChatCompletionChunkOverHTTP:
    """Channel ``/openai/v1/chat/completions``, server ``production``: ``POST`` with ``stream: true``."""

    async def test_each_shape_is_proxied_untouched_and_published(
        self, proxy: Bridge, upstream: Simulator, base: str
    ) -> None:
        """A client would get other bytes than the upstream sent, or consumers miss a chunk of the stream."""
        chunks = [CHUNK | shape for shape in STREAM_CHUNKS.values()]
        _, published = await chatted(proxy, upstream, base, *map(orjson.dumps, chunks), b"[DONE]")
        assert [chunk for event in published["chat-chunks"] for chunk in event["data"]["chunks"]] == chunks
        assert {event["type"] for event in published["chat-chunks"]} == {"relay.chat.chunk"}


@pytest.mark.parametrize("base", BASES)
class TestChatCompletionStreamDoneOverHTTP:
    """Channel ``/openai/v1/chat/completions``, server ``production``: ``data: [DONE]``."""

    async def test_it_is_proxied_untouched_and_ends_the_stream(
        self, proxy: Bridge, upstream: Simulator, base: str
    ) -> None:
        """A stream in order would have no end for its client, or look truncated to consumers."""
        said = orjson.dumps(CHUNK | STREAM_CHUNKS["contentDelta"])
        sent, published = await chatted(proxy, upstream, base, said, b"[DONE]")
        assert sent.endswith(b"data: [DONE]\n\n")
        assert [event["type"] for event in published["chat"]] == ["relay.chat.started", "relay.chat.completed"]

    async def test_without_done_the_stream_has_failed(self, proxy: Bridge, upstream: Simulator, base: str) -> None:
        """A truncated stream, which looks whole to its client, would look whole to consumers too."""
        said = orjson.dumps(CHUNK | STREAM_CHUNKS["contentDelta"])
        sent, published = await chatted(proxy, upstream, base, said)
        assert b"[DONE]" not in sent
        assert published["chat"][-1]["type"] == "relay.chat.failed"
        assert published["chat"][-1]["data"]["reason"] == "truncated"
