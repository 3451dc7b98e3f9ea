"""The AsyncAPI document against the code that it describes; ``tests/contract/test_asyncapi.py`` has the parser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import orjson
import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from relay.contract.asyncapi import SUMMARIES, asyncapi
from relay.contract.examples import events
from relay.contract.schemas import schemas
from relay.core.archive.events import ARCHIVED, LOST
from relay.core.chat.events import CHUNK, STARTED, Outcome
from relay.core.dead import DEAD_TYPE
from relay.core.event import TOPICS, TYPES
from relay.core.tasks.events import CONFLICTED, TerminalStatus

DOCUMENT = orjson.loads(orjson.dumps(asyncapi("1.2.3")))
MESSAGES = DOCUMENT["components"]["messages"]
PUBLISHED = {
    "relay.task.submitted",
    "relay.task.progressed",
    CONFLICTED,
    STARTED,
    CHUNK,
    ARCHIVED,
    LOST,
    DEAD_TYPE,
    *(f"relay.task.{status}" for status in get_args(TerminalStatus)),
    *(f"relay.chat.{outcome}" for outcome in get_args(Outcome)),
}


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    """Of a schema in the document; its references are resolved from the document's root."""
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator({**schema, "components": DOCUMENT["components"]})


def examples(part: str) -> Iterator[Any]:
    """Every example's ``payload`` or ``headers``, with the schema that it should follow."""
    for name, message in MESSAGES.items():
        for number, example in enumerate(message["examples"]):
            if part in example:
                yield pytest.param(message[part], example[part], id=f"{name}-{number}")


@pytest.mark.parametrize(("schema", "example"), [*examples("payload"), *examples("headers")])
def test_every_example_follows_its_schema(schema: dict[str, Any], example: Any) -> None:
    """A consumer would be shown something that their generated code refuses."""
    validator(schema).validate(example)


def test_every_message_has_an_example() -> None:
    """Nothing would show a consumer what a message looks like, and nothing hold its schema to it."""
    assert all(message["examples"] for message in MESSAGES.values())
    assert MESSAGES.keys() == {
        *(f"{sink}.{type_}" for sink in ("kafka", "redis") for type_ in PUBLISHED),
        *("TaskResultWebhook", "ChatCompletionChunk", "ChatCompletionStreamDone"),
    }


def test_there_is_one_example_event_of_every_type() -> None:
    """A new type of event would be published without being described, or one described that is never published."""
    assert events().keys() == SUMMARIES.keys() == TYPES.keys() == PUBLISHED
    assert {name: event.topic for name, event in events().items()} == TYPES


@pytest.mark.parametrize("sink", ["kafka", "redis"])
def test_every_topic_is_a_channel_with_the_types_that_go_there(sink: str) -> None:
    """A consumer would subscribe to the wrong topic."""
    described = {
        (topic, type_)
        for topic in TOPICS
        for type_, reference in DOCUMENT["channels"][f"{sink}-{topic}"]["messages"].items()
        if reference == {"$ref": f"#/components/messages/{sink}.{type_}"}
    }
    assert described == {(event.topic, type_) for type_, event in events().items()}


@pytest.mark.parametrize("type_", sorted(TYPES))
def test_a_message_carries_the_schema_that_its_event_names(type_: str) -> None:
    """``dataschema`` would lead a consumer to another schema than the document does."""
    message = MESSAGES[f"kafka.{type_}"]
    name = message["payload"]["$ref"].rpartition("/")[2]
    assert message["headers"]["properties"]["ce_dataschema"] == {"const": schemas()[name]["$id"]}
    Draft202012Validator(schemas()[name]).validate(orjson.loads(events()[type_].data))


@pytest.mark.parametrize("type_", sorted(TYPES))
def test_the_data_on_redis_is_the_value_on_kafka(type_: str) -> None:
    """A consumer that moves from one sink to the other would find other data there."""
    on_kafka, on_redis = MESSAGES[f"kafka.{type_}"], MESSAGES[f"redis.{type_}"]
    (kafka,), (redis,) = on_kafka["examples"], on_redis["examples"]
    assert orjson.loads(redis["payload"]["data"]) == kafka["payload"]
    assert on_redis["payload"]["properties"]["data"]["x-content-schema"] == on_kafka["payload"]


def test_an_attribute_that_is_missing_breaks_the_schema() -> None:
    """The check of the examples would pass whatever they hold."""
    message = MESSAGES["kafka.relay.task.succeeded"]
    headers = dict(message["examples"][0]["headers"])
    assert set(headers) == set(message["headers"]["required"])
    for name in headers:
        with pytest.raises(ValidationError):
            validator(message["headers"]).validate({key: text for key, text in headers.items() if key != name})


def test_the_version_is_the_one_asked_for() -> None:
    """A tool could not know which release's contract it has."""
    assert (DOCUMENT["asyncapi"], DOCUMENT["info"]["version"]) == ("3.0.0", "1.2.3")
