"""Which changes count as breaking, and whether the schemas of today break anybody."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from relay.contract.schemas import schemas
from tests.schema_compatibility import broken_by

BASELINE = Path(__file__).parents[2] / "contract" / "schemas-1"
RELEASED = {path.stem: json.loads(path.read_bytes()) for path in sorted(BASELINE.glob("*.json"))}
ADDED: frozenset[str] = frozenset()
"""Fields that came after the baseline, such as ``data.outputs[].width``, and that are listed in the changelog."""

Schema = dict[str, Any]

SCHEMA: Schema = {
    "$id": "urn:relay:schema:thing:1",
    "type": "object",
    "$defs": {
        "Part": {
            "type": "object",
            "properties": {"size": {"type": "integer", "minimum": 0}},
            "required": ["size"],
        }
    },
    "properties": {
        "id": {"type": "string", "pattern": "^[a-z]+$", "description": "Its id."},
        "kind": {"enum": ["image", "video"], "type": "string"},
        "when": {"type": "string", "format": "date-time"},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/Part"}},
        "first": {"anyOf": [{"$ref": "#/$defs/Part"}, {"type": "null"}]},
        "extra": {"type": "object"},
    },
    "required": ["id", "kind", "when", "note", "parts", "first"],
}


def changed(change: Callable[[Schema, Schema], object]) -> Schema:
    """The schema after a change of it, given it and its properties."""
    schema = deepcopy(SCHEMA)
    change(schema, schema["properties"])
    return schema


def part_of(schema: Schema) -> Schema:
    """The definition that two fields point to."""
    part: Schema = schema["$defs"]["Part"]
    return part


@pytest.mark.parametrize(
    ("reported", "change"),
    [
        ("data.id: is gone", lambda s, p: p.pop("id")),
        ("data.id: is gone", lambda s, p: p.update(ident=p.pop("id"))),
        ("data.extra: is gone", lambda s, p: p.pop("extra")),
        ("data.id: may be absent", lambda s, p: s["required"].remove("id")),
        ("data.extra: is required, and was not", lambda s, p: s["required"].append("extra")),
        ("data.new: is new and required", lambda s, p: (p.update(new={}), s["required"].append("new"))),
        ("data.id: type has 'integer' again", lambda s, p: p["id"].update(type=["string", "integer"])),
        ("data.id: type has 'string' no more", lambda s, p: p["id"].update(type="integer")),
        ("data.kind: enum has 'audio' again", lambda s, p: p["kind"]["enum"].append("audio")),
        ("data.kind: enum has 'video' no more", lambda s, p: p["kind"]["enum"].remove("video")),
        ("data.note: can be null no more", lambda s, p: p["note"]["anyOf"].pop()),
        ("data.note: can be integer again", lambda s, p: p["note"]["anyOf"].append({"type": "integer"})),
        ("data.id: pattern was '^[a-z]+$' and is None", lambda s, p: p["id"].pop("pattern")),
        ("data.when: format was 'date-time' and is 'date'", lambda s, p: p["when"].update(format="date")),
        ("data.parts[].size: minimum was 0 and is 1", lambda s, p: part_of(s)["properties"]["size"].update(minimum=1)),
        ("data.parts[].size: is gone", lambda s, p: part_of(s)["properties"].pop("size")),
        ("data.first.size: is gone", lambda s, p: part_of(s)["properties"].pop("size")),
        ("data.parts: items are described on one side only", lambda s, p: p["parts"].pop("items")),
        ("data.parts[]: maxProperties was None and is 3", lambda s, p: p["parts"]["items"].update(maxProperties=3)),
        ("data.extra: maxProperties was None and is 3", lambda s, p: p["extra"].update(maxProperties=3)),
        ("data: additionalProperties was None and is False", lambda s, p: s.update(additionalProperties=False)),
    ],
)
def test_what_breaks_a_consumer_is_reported(reported: str, change: Callable[[Schema, Schema], object]) -> None:
    """A release would stop consumers who were promised that it would not."""
    assert reported in broken_by(SCHEMA, changed(change))


@pytest.mark.parametrize(
    "change",
    [
        lambda s, p: None,
        lambda s, p: p["id"].update(description="Another text.", title="Id"),
        lambda s, p: s["required"].reverse(),
        lambda s, p: p["kind"]["enum"].reverse(),
        lambda s, p: p["note"]["anyOf"].reverse(),
        lambda s, p: p.update(new={"type": "string"}),
        lambda s, p: p["parts"].update(items=s["$defs"]["Part"]),
        lambda s, p: s["$defs"].update(Piece=s["$defs"]["Part"]) or p["parts"].update(items={"$ref": "#/$defs/Piece"}),
    ],
)
def test_what_breaks_nobody_is_let_through(change: Callable[[Schema, Schema], object]) -> None:
    """Every word in a description would need a new version of the schema."""
    assert broken_by(SCHEMA, changed(change)) == []


def test_a_new_field_that_is_always_there_has_to_be_listed() -> None:
    """A reader of old events would miss a key that the schema says is there, and nobody had thought of it."""
    new = changed(lambda s, p: (p.update(new={}), s["required"].append("new")))
    assert broken_by(SCHEMA, new, frozenset({"data.new"})) == []
    assert broken_by(SCHEMA, new, frozenset({"data.other"})) != []


def test_two_alternatives_that_cannot_be_told_apart_are_refused() -> None:
    """The comparison would look at one of them only."""
    twice = changed(lambda s, p: p["note"]["anyOf"].append({"type": "string"}))
    with pytest.raises(ValueError, match="cannot be compared"):
        broken_by(SCHEMA, twice)


@pytest.mark.parametrize("name", sorted(RELEASED))
def test_todays_schema_breaks_no_consumer_of_the_released_one(name: str) -> None:
    """A consumer that works with the released version would stop at the next."""
    current = schemas()[name]
    assert current["$id"] == RELEASED[name]["$id"], "a new version of a schema needs a baseline of its own"
    assert broken_by(RELEASED[name], current, ADDED) == []


def test_every_schema_has_its_baseline() -> None:
    """A schema could change in any way, or vanish."""
    assert RELEASED.keys() == schemas().keys()
