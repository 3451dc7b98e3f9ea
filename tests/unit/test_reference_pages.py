"""``docs/reference`` against the code that it is written from."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from types import NoneType
from typing import get_args

import pytest
from prometheus_client.core import CounterMetricFamily
from pydantic import BaseModel

from docs.reference import tree
from docs.reference.markdown import anchor, table
from docs.reference.metrics import _values
from docs.reference.pages import pages
from relay.app.plugins import sink_configs
from relay.contract.examples import events
from relay.contract.schemas import schemas
from relay.edge.http.problems import KINDS
from relay.settings import ClientSettings, Settings

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "reference"
NAMES = ("settings.md", "metrics.md", "events.md", "errors.md")


@cache
def written() -> dict[str, str]:
    """The pages as the code writes them now: made when the first test asks, and not for each collection."""
    return pages(ROOT)


def rows(name: str) -> list[list[str]]:
    """The cells of all tables of a page, without their heads."""
    lines = [line for line in written()[name].splitlines() if line.startswith("| ") and not line.startswith("| ---")]
    return [re.split(r"(?<!\\) \| ", line.removeprefix("| ").removesuffix(" |")) for line in lines]


def keys_of(model: type[BaseModel], prefix: str) -> set[str]:
    """Every key of a model that holds a value, with its path."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        parts = get_args(field.annotation)
        inner = parts[0] if NoneType in parts else field.annotation  # a section may be left out
        is_section = isinstance(inner, type) and issubclass(inner, BaseModel)
        found |= keys_of(inner, f"{prefix}{name}.") if is_section else {prefix + name}  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_page_is_what_the_code_says(name: str) -> None:
    """The pages would name settings, metrics, fields or codes that do not exist, or miss new ones."""
    assert (FOLDER / name).read_text(encoding="utf-8") == written()[name], "run: make docs"


def test_every_file_is_in_the_architecture_as_it_describes_itself() -> None:
    """A newcomer would not find a file, or find another than the page describes."""
    page = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    assert page == tree.renewed(page, tree.files(ROOT)), "run: make docs"


def test_no_page_is_left_over() -> None:
    """A reference page would stay that nothing writes any more."""
    assert {path.name for path in FOLDER.glob("*.md")} == written().keys() == set(NAMES)


def test_every_setting_has_its_row_and_its_meaning() -> None:
    """A setting would exist that the reference does not explain."""
    expected = keys_of(Settings, "") - {"sinks"} | keys_of(ClientSettings, "proxy.clients.<name>.")
    expected |= {key for config in sink_configs().values() for key in keys_of(config, "")} - {"type"}
    listed = {row[0].strip("`"): row for row in rows("settings.md") if row[0] != "key"}
    assert listed.keys() == expected
    assert [key for key, row in listed.items() if not (row[1] and row[2] and row[4] and row[5])] == []


def test_every_code_has_its_row() -> None:
    """A client would meet an answer that the reference does not explain."""
    listed = {row[0].strip("`"): row for row in rows("errors.md") if len(row) == 5}
    assert listed.keys() - {"code"} == KINDS.keys()
    assert [code for code, row in listed.items() if not all(row)] == []


def test_every_failure_of_a_sink_says_something() -> None:
    """An operator would look a code up and find an empty row."""
    listed = [row for row in rows("errors.md") if len(row) == 4]
    silent = [row[0] for row in listed if not (row[2] or row[3])]
    assert len(listed) > 60
    assert set(silent) <= {"`broker_error`", "`producer_lost`", "`system`"}  # the broker's or the system's own words


def test_every_metric_has_its_row() -> None:
    """A figure of the contract would be missing from the reference, or stand there without a word."""
    listed = {row[0].strip("`"): row for row in rows("metrics.md") if row[0] != "metric"}
    for name in ("relay_deliveries_total", "relay_webhook_ack_seconds", "relay_sink_events", "relay_chats_total"):
        assert name in listed
    assert [name for name, row in listed.items() if not (row[1] and row[3])] == []
    assert listed["relay_publish_failures_total"][2] == "`sink`; `code`"
    assert listed["relay_webhook_ack_seconds"][2] == "`source`"


def test_a_metric_whose_values_are_unknown_is_named() -> None:
    """Somebody who adds a counter would get a KeyError that names neither the counter nor what to do."""
    with pytest.raises(LookupError, match=r"relay_new has no series.*label 'result'.*_VALUES"):
        _values(CounterMetricFamily("relay_new", "New.", labels=["result"]), "result")


def test_every_type_and_every_field_has_its_row() -> None:
    """A consumer would meet an event or a field that is explained nowhere."""
    text = written()["events.md"]
    listed = {row[0].strip("`"): row for row in rows("events.md")}
    assert events().keys() <= listed.keys()
    for name, schema in schemas().items():
        part = text.partition(f"## The data of {name}\n")[2].partition("\n## ")[0]
        assert all(f"| `{field}" in part for field in schema["properties"])
    assert [line for line in text.splitlines() if line.endswith("|  |")] == []


def test_a_cell_cannot_end_its_table() -> None:
    """A bar or a tag in a text would tear the table apart on the page."""
    assert table(["a"], [["x | <y> `<z>`"]]).splitlines()[2] == r"| x \| \<y> `<z>` |"


def test_anchors_are_those_of_the_page() -> None:
    """Links into a page would lead to its top."""
    assert anchor("Codes of the relay itself") == "codes-of-the-relay-itself"
    assert anchor("P5: nothing is dropped, `ever`") == "p5-nothing-is-dropped-ever"
