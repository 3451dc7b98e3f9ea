"""The schemas for a registry say the same as those that relay publishes."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator
from jsonschema.protocols import Validator

from relay.contract.examples import events
from relay.contract.schemas import DRAFT_07, in_draft_07, schemas, subjects

PAIRS: dict[str, tuple[Validator, Validator]] = {
    schema["$id"]: (Draft202012Validator(schema), Draft7Validator(in_draft_07(schema))) for schema in schemas().values()
}
DATA = [(event.dataschema, orjson.loads(event.data)) for event in events().values()]
VALUES = st.none() | st.booleans() | st.integers(-1, 1) | st.text(max_size=3) | st.just([]) | st.just({})


def places(part: Any) -> list[tuple[Any, Any]]:
    """Every place in a document that can be changed: what holds it, and the key."""
    keys: Any = part.keys() if isinstance(part, dict) else range(len(part)) if isinstance(part, list) else ()
    return [place for key in list(keys) for place in [(part, key), *places(part[key])]]


@pytest.mark.parametrize("schema", schemas().values(), ids=schemas())
def test_the_translation_is_draft_07(schema: dict[str, Any]) -> None:
    """A registry would read it by other rules, or refuse it."""
    translated = in_draft_07(schema)
    Draft7Validator.check_schema(translated)
    assert translated["$schema"] == DRAFT_07
    assert translated["$id"] == schema["$id"]
    assert "$defs" not in str(translated)


@given(st.data())
def test_the_translation_takes_and_refuses_the_same(data: st.DataObject) -> None:
    """Consumers who get their types from the registry would expect something else than relay sends."""
    urn, document = data.draw(st.sampled_from(DATA))
    changed = copy.deepcopy(document)
    for _ in range(data.draw(st.integers(0, 2))):
        held, key = data.draw(st.sampled_from(places(changed)))
        if isinstance(held, dict) and data.draw(st.booleans()):
            del held[key]
        else:
            held[key] = data.draw(VALUES)
        if not places(changed):
            break
    newest, translated = PAIRS[urn]
    assert newest.is_valid(changed) == translated.is_valid(changed)


def test_each_kind_of_data_has_a_subject_of_its_own() -> None:
    """Two kinds under one subject: a registry would compare the start of a chat with its end, and refuse one."""
    assert list(subjects("x.")) == [f"x.{name}" for name in schemas()]
    assert subjects("x.") == subjects("x.")
