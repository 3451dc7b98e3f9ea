"""Every answer of the samples, good and bad, from an upstream through a whole relay."""

from __future__ import annotations

import asyncio
import gzip
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.chat_samples import SAMPLES, ChatSample
from tests.faults.harness.streams import TERMINAL, events_of
from tests.services.chat import body_of, path_of
from tests.services.raw_http import Answer, ask, post
from tests.services.relay import RelayProcess
from tests.services.scripted_upstream import Call, scripted

WHOLE = {f"{sample.api}/{sample.name}": sample for sample in SAMPLES if sample.ending == "end"}
PLAIN = [name for name in WHOLE if name.endswith("/plain")]


@asynccontextmanager
async def answering_samples(directory: Path, coding: str = "") -> AsyncIterator[tuple[RelayProcess, list[Call]]]:
    """A relay whose upstream answers with the sample that ``X-Sample`` names, compressed or not."""

    async def script(call: Call) -> None:
        sample = WHOLE[call.header("x-sample") or ""]
        body = coded(sample.body, coding)
        head = [f"HTTP/1.1 {sample.status} Status", f"Content-Length: {len(body)}"]
        head += [f"Content-Type: {sample.content_type}"] if sample.content_type else []
        head += [f"Content-Encoding: {coding}"] if coding else []
        await call.send("\r\n".join([*head, "", ""]).encode() + body)

    async with scripted(script) as upstream:
        relay = RelayProcess(directory, upstream={"base_url": upstream.url})
        await relay.start()
        try:
            yield relay, upstream.calls
        finally:
            await relay.stop()


def coded(body: bytes, coding: str) -> bytes:
    """What stands for brotli here is no brotli: relay does not look."""
    return {"gzip": partial(gzip.compress, mtime=0), "br": bytes.swapcase}.get(coding, bytes)(body)


async def asked(relay: RelayProcess, name: str) -> Answer:
    sample = WHOLE[name]
    request = post(
        path_of(sample.api), orjson.dumps(body_of(sample.api)), f"X-Sample: {name}", "Accept-Encoding: gzip, br"
    )
    return await ask(relay.url, request)


async def ended(relay: RelayProcess, count: int) -> dict[str, dict[str, Any]]:
    """The data of so many terminal events, by chat."""
    async with asyncio.timeout(30):
        while True:
            found = {each["subject"]: each["data"] for each in await events_of(relay.url) if each["type"] in TERMINAL}
            if len(found) == count:
                return found
            await asyncio.sleep(0.05)


async def test_each_answer_passes_untouched_is_recorded_and_counted(tmp_path: Path) -> None:
    """An answer that breaks its API's rules would be changed, get no event, or stay unknown to the operator."""
    async with answering_samples(tmp_path) as (relay, _):
        answers = {name: await asked(relay, name) for name in WHOLE}
        events = await ended(relay, len(WHOLE))
        exposition = await relay.exposition()
    expected: Counter[str] = Counter()
    for name, sample in WHOLE.items():
        answer = answers[name]
        assert (answer.status, answer.body) == (sample.status, sample.body), name
        data = events[answer.headers["x-relay-chat-id"]]
        assert {key: data[key] for key in recorded(sample)} == recorded(sample), name
        expected.update(f'api="{sample.api}",irregularity="{what}"' for what in sample.irregular)
    counted = dict(
        line.removeprefix("relay_chats_irregular_total{").split("} ")
        for line in exposition.splitlines()
        if line.startswith("relay_chats_irregular_total{")
    )
    assert {labels: float(value) for labels, value in counted.items()} == expected


def recorded(sample: ChatSample) -> dict[str, Any]:
    """What the event has to say; the model that was asked for stands in for one that the answer does not name."""
    return sample.data | ({} if sample.data["model"] else {"model": body_of(sample.api)["model"]})


@pytest.mark.parametrize("coding", ["gzip", "br"])
async def test_a_compressed_answer_of_each_api_passes_as_it_came(tmp_path: Path, coding: str) -> None:
    """An upstream that compresses unasked would break its clients, or its chats would be lost to consumers."""
    async with answering_samples(tmp_path, coding) as (relay, calls):
        answers = {name: await asked(relay, name) for name in PLAIN}
        events = await ended(relay, len(PLAIN))
    assert {call.header("accept-encoding") for call in calls} == {"identity"}
    for name, answer in answers.items():
        assert (answer.headers["content-encoding"], answer.body) == (coding, coded(WHOLE[name].body, coding))
        data = events[answer.headers["x-relay-chat-id"]]
        expected = ("completed", None) if coding == "gzip" else ("failed", "truncated")
        assert (data["outcome"], data["reason"]) == expected, name
