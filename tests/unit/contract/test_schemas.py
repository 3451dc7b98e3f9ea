"""The schemas that are committed, and as parts of larger documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import relay
from relay.contract.schemas import components, rendered, schemas

COMMITTED = Path(relay.__file__).parent / "schemas"


def test_the_committed_schemas_are_those_of_the_models() -> None:
    """Consumers would validate against a schema that the events do not follow."""
    generated = {f"{name}.json": rendered(document) for name, document in schemas().items()}
    committed = {path.name: path.read_bytes() for path in COMMITTED.iterdir()}
    assert committed == generated, "run: relay schema --output relay/schemas"


@pytest.mark.parametrize("name", sorted(schemas()))
def test_a_schema_is_valid_and_asks_for_every_field(name: str) -> None:
    """A consumer's validator would refuse the schema, or take an event that lacks a field."""
    schema = schemas()[name]
    Draft202012Validator.check_schema(schema)
    assert set(schema["required"]) == set(schema["properties"])


def resolved(part: Any, root: dict[str, Any]) -> Any:
    """The same without references: each replaced by what it points to, from the root of its document."""
    if isinstance(part, list):
        return [resolved(item, root) for item in part]
    if not isinstance(part, dict):
        return part
    if (pointer := part.get("$ref")) is not None:
        target: Any = root
        for step in pointer.removeprefix("#/").split("/"):
            target = target[step]
        return resolved(target, root) | {key: resolved(value, root) for key, value in part.items() if key != "$ref"}
    return {key: resolved(value, root) for key, value in part.items()}


@pytest.mark.parametrize("name", sorted(schemas()))
def test_a_component_says_what_the_committed_schema_says(name: str) -> None:
    """A consumer would write against another schema than the one that the event names."""
    schema = schemas()[name]
    alone = resolved({key: part for key, part in schema.items() if key not in ("$schema", "$id", "$defs")}, schema)
    shared = components()
    assert resolved(shared[name], {"components": {"schemas": shared}}) == alone
