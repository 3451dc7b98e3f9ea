"""The schemas of what comes in take what the relay takes: checked with every sample."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from jsonschema import Draft202012Validator

from relay.contract.received import RECEIVED
from relay.core.event import Draft
from relay.core.source import Delivery
from relay.sources.novita_task import NovitaTask

SAMPLES = Path(__file__).parents[2] / "samples"
TASKS = sorted(path for path in (SAMPLES / "novita_task").glob("*.json") if ".expected" not in path.name)


def validator(name: str) -> Draft202012Validator:
    """Of one of the schemas, with the others at hand."""
    return Draft202012Validator({**RECEIVED[name], "components": {"schemas": RECEIVED}})


@pytest.mark.parametrize("path", TASKS, ids=lambda path: path.stem)
def test_a_delivery_is_described_exactly_if_it_becomes_an_event(path: Path) -> None:
    """A sender who validates would hold back what the relay takes, or send what becomes a dead letter."""
    body = path.read_bytes()
    made = NovitaTask(progressed=True).normalize(Delivery(body, 1_748_563_200_000))
    assert validator("TaskResultWebhook").is_valid(orjson.loads(body)) == isinstance(made, Draft)


def test_the_samples_hold_both() -> None:
    """The comparison above would compare nothing."""
    valid = {validator("TaskResultWebhook").is_valid(orjson.loads(path.read_bytes())) for path in TASKS}
    assert valid == {True, False}


def test_done_is_the_only_end_of_a_stream() -> None:
    """A client would take a chunk for the end."""
    assert validator("ChatCompletionStreamDone").is_valid("[DONE]")
    assert not validator("ChatCompletionStreamDone").is_valid("DONE")
    assert not validator("ChatCompletionChunk").is_valid("[DONE]")
    assert validator("ChatCompletionChunk").is_valid({"choices": None})
