"""The schemas of answers."""

from __future__ import annotations

import orjson
import pytest
from jsonschema import Draft202012Validator

from relay.apis import apis
from relay.contract.answers import ANSWERS, problem_schema, shaped_error_schema
from relay.contract.examples import events
from relay.contract.schemas import components
from relay.core.chat.api import Api
from relay.core.cloudevents import structured_json
from relay.edge.http.problems import KINDS, answer, shaped_answer


@pytest.mark.parametrize("code", KINDS)
def test_each_refusal_follows_the_schema_of_its_code_only(code: str) -> None:
    """A client could not read a refusal, or take one for another."""
    body = orjson.loads(answer(code, "Why.").body)
    assert Draft202012Validator(problem_schema([code])).is_valid(body)
    others = [other for other in KINDS if other != code]
    assert not Draft202012Validator(problem_schema(others)).is_valid(body)


@pytest.mark.parametrize("api", apis().values(), ids=apis())
@pytest.mark.parametrize("code", KINDS)
def test_each_refusal_in_an_apis_shape_follows_its_schema(code: str, api: Api) -> None:
    """A client of these routes could not read a refusal."""
    body = orjson.loads(shaped_answer(api.error_body, code, "Why.").body)
    assert Draft202012Validator(shaped_error_schema(api, [code])).is_valid(body)
    assert not Draft202012Validator(shaped_error_schema(api, ["another"])).is_valid(body)


@pytest.mark.parametrize("type_", events())
def test_each_type_of_event_follows_the_schema_of_an_event(type_: str) -> None:
    """A generated client of ``/v1/events`` would stop at an event."""
    schema = {**ANSWERS["Event"], "components": {"schemas": {**components(), **ANSWERS}}}
    event = orjson.loads(structured_json(events()[type_]))
    Draft202012Validator(schema).validate(event)
    assert not Draft202012Validator(schema).is_valid({**event, "data": {}})
