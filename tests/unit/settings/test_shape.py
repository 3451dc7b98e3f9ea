from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import pytest
from pydantic import BaseModel, Field, SecretStr

from relay.core.sink import SinkConfig
from relay.settings.shape import ANYTHING, SCALAR, Shape, sections, shape_of
from tests.unit.settings.specimens import SINKS, Amber


class Inner(BaseModel):
    count: int = 0


class Outer(BaseModel):
    plain: Annotated[int, Field(ge=0)] = 0
    maybe: Annotated[str, Field(min_length=1)] | None = None
    secret: SecretStr | None = None
    secrets: tuple[Annotated[SecretStr, Field(min_length=1)], ...] = ()
    named: dict[str, Inner] = {}
    listed: list[Inner] = []
    inner: Inner = Inner()
    either: int | str = 0
    sinks: tuple[SinkConfig, ...] = ()


OUTER = shape_of(Outer, SINKS)


@pytest.mark.parametrize(
    ("key", "kind"),
    [("plain", "scalar"), ("maybe", "scalar"), ("secret", "scalar"), ("secrets", "list"), ("named", "mapping"),
     ("listed", "list"), ("inner", "section"), ("either", "scalar"), ("sinks", "list")],
)  # fmt: skip
def test_the_kind_of_each_key_is_read_off_its_annotation(key: str, kind: str) -> None:
    """A variable would be taken for YAML where text is meant, or the other way round."""
    assert OUTER.keys[key].kind == kind
    assert OUTER.keys[key].is_container is (kind != "scalar")


def test_secrets_are_recognized_through_annotations() -> None:
    """A secret of a plug-in would have no ``<key>_file``."""
    assert [key for key, shape in OUTER.keys.items() if shape.holds_secrets] == ["secret", "secrets"]
    assert OUTER.key("secret_file") == OUTER.key("secrets_file") == SCALAR
    assert OUTER.key("plain_file") is None
    assert OUTER.names()[-2:] == ["secret_file", "secrets_file"]
    assert [key for key, shape in OUTER.keys.items() if shape.nullable] == ["maybe", "secret"]


def test_a_sink_has_the_shape_that_its_type_chooses() -> None:
    """The keys of one sink would be looked for in another."""
    choice = OUTER.keys["sinks"].item
    assert choice is not None
    assert list(choice.for_value({"type": "amber"}).keys) == list(Amber.model_fields)
    for unknown in ({"type": "zinc"}, {}, None, {"type": []}, "amber"):
        assert choice.for_value(unknown) is ANYTHING


@pytest.mark.parametrize("value", [None, 5, [], {"inner": 5, "listed": {}, "named": [], "sinks": [5, {"type": 1}]}])
def test_what_has_another_form_is_passed_over(value: object) -> None:
    """A mistake in the file would end in a traceback before it could be reported."""
    assert [path for path, _section, _shape in sections(value, OUTER) if path] == []


def test_sections_are_found_wherever_they_are() -> None:
    """A secret's file under a client or a sink would not be read."""
    value = {"inner": {}, "named": {"x": {}}, "listed": [{}, {}], "sinks": [{"type": "amber"}, {"type": "zinc"}]}
    found: Mapping[object, Shape] = {path: shape for path, _section, shape in sections(value, OUTER)}
    assert set(found) == {(), ("named", "x"), ("listed", 0), ("listed", 1), ("inner",), ("sinks", 0)}
