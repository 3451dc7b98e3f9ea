"""Task events: their ids, keys and fingerprints, and the schema of their data."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter

from relay.core.dedup import judge
from relay.core.event import Draft
from relay.core.tasks.events import (
    CONFLICTED,
    TASK_SCHEMA,
    TASK_SOURCE,
    Kind,
    Output,
    TaskData,
    TaskStatus,
    bare_task,
    progressed_draft,
    submitted_draft,
    terminal_draft,
)

AT = 1_700_000_000_000
SCHEMA = TypeAdapter(TaskData).json_schema()


def output(kind: Kind, url: str | None) -> Output:
    return {
        "kind": kind,
        "url": url,
        "format": None,
        "ttl_seconds": None,
        "expires_at": None,
        "nsfw": None,
        "metadata": None,
    }


def ended(status: TaskStatus, *outputs: Output, task_id: str = "t1") -> Draft:
    return terminal_draft({**bare_task(task_id, status, via="webhook", received_at=AT), "outputs": list(outputs)})


kinds: st.SearchStrategy[Kind] = st.sampled_from(["image", "video", "audio"])
paths = st.text("abcdefgh/.", min_size=1, max_size=8)
queries = st.text("abc=&?#;%3B", max_size=12)
objects = st.lists(st.tuples(kinds, paths), max_size=4)


def signed(files: list[tuple[Kind, str]], queries: list[str]) -> list[Output]:
    return [
        output(kind, f"https://out.example/{path}?{query}") for (kind, path), query in zip(files, queries, strict=True)
    ]


@given(st.data(), objects, st.randoms(use_true_random=False))
def test_a_signature_or_an_order_is_no_contradiction(data: st.DataObject, files: Any, rng: random.Random) -> None:
    """Each poll, which may renew the signatures of the URLs, would publish a false conflict."""
    query_lists = st.lists(queries, min_size=len(files), max_size=len(files))
    first = ended("succeeded", *signed(files, data.draw(query_lists)))
    again = signed(files, data.draw(query_lists))
    rng.shuffle(again)
    second = ended("succeeded", *again)
    assert second.key == first.key
    assert judge(second, first.fingerprint) is None


@given(objects, objects)
def test_other_objects_contradict(one: Any, other: Any) -> None:
    """A second, different result of a task would be swallowed as a duplicate."""
    first = ended("succeeded", *signed(one, [""] * len(one)))
    second = ended("succeeded", *signed(other, [""] * len(other)))
    assert (judge(second, first.fingerprint) is None) == (sorted(one) == sorted(other))


def test_the_same_address_as_another_kind_contradicts() -> None:
    """A file that turned from an image into a video would be swallowed as a duplicate."""
    first = ended("succeeded", output("image", "https://out.example/1"))
    assert judge(ended("succeeded", output("video", "https://out.example/1")), first.fingerprint) is not None


@pytest.mark.parametrize(
    ("first", "second"), [("succeeded", "failed"), ("abandoned", "succeeded"), ("failed", "abandoned")]
)
def test_another_ending_contradicts_under_the_same_key(first: TaskStatus, second: TaskStatus) -> None:
    """A task could end twice, or its later ending be lost."""
    one, other = ended(first), ended(second)
    assert one.key == other.key
    conflict = judge(other, one.fingerprint)
    assert conflict is not None
    assert conflict.event.type == CONFLICTED == "relay.task.conflicted"
    assert conflict.event.id.startswith("t1:conflicted:")


def test_endings_of_different_tasks_have_different_keys() -> None:
    """The second task's ending would be absorbed as a duplicate of the first's."""
    assert ended("succeeded").key != ended("succeeded", task_id="t2").key


@pytest.mark.parametrize("status", ["succeeded", "failed", "abandoned"])
def test_an_ending_is_named_after_its_task_and_status(status: TaskStatus) -> None:
    """Consumers could not recognize the same event when it arrives another way."""
    event = ended(status).event
    assert (event.id, event.type, event.subject) == (f"t1:{status}", f"relay.task.{status}", "t1")
    assert (event.topic, event.source, event.dataschema) == ("tasks", TASK_SOURCE, TASK_SCHEMA)


def test_an_ending_happened_when_the_upstream_says_so() -> None:
    """The event's time would be that of the delivery, hours late after an outage."""
    data = bare_task("t1", "succeeded", via="poll", received_at=AT)
    data["timings"]["finished_at"] = "2023-11-14T22:00:00.000Z"
    assert terminal_draft(data).event.time == "2023-11-14T22:00:00.000Z"
    assert ended("succeeded").event.time == "2023-11-14T22:13:20.000Z"


def test_a_submission_is_absorbed_when_it_is_seen_again_and_is_no_ending() -> None:
    """A task watched twice would be announced twice, or its ending be taken for a duplicate of its submission."""
    draft = submitted_draft(bare_task("t1", "submitted", via="submit", received_at=AT))
    later = submitted_draft(bare_task("t1", "submitted", via="submit", received_at=AT + 5))
    assert (draft.event.id, draft.event.type) == ("t1:submitted", "relay.task.submitted")
    assert later.key == draft.key != ended("succeeded").key
    assert judge(later, draft.fingerprint) is None


@pytest.mark.parametrize(("percent", "step"), [(None, "unknown"), (0, "0"), (40, "40"), (40.0, "40"), (40.5, "40.5")])
def test_progress_is_reported_once_per_step(percent: float | None, step: str) -> None:
    """Every poll of a running task would publish the same progress again."""
    data: TaskData = {**bare_task("t1", "running", via="poll", received_at=AT), "progress_percent": percent}
    draft = progressed_draft(data)
    assert draft.event.id == f"t1:progressed:running:{step}"
    assert draft.event.type == "relay.task.progressed"
    assert draft.conflict_type is None
    assert draft.key != progressed_draft({**data, "progress_percent": 99}).key


def test_the_schema_names_every_field_and_demands_it() -> None:
    """Consumers that generate types from the schema would not see a field, or take it for optional."""
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["required"] == list(bare_task("t1", "submitted", via="submit", received_at=AT))
    assert all("description" in field for field in SCHEMA["properties"].values())


def test_a_bare_task_matches_the_schema() -> None:
    """Submitted and abandoned events would break their own contract."""
    data = orjson.loads(submitted_draft(bare_task("t1", "submitted", via="submit", received_at=AT)).event.data)
    Draft202012Validator(SCHEMA).validate(data)
