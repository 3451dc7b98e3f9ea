"""Keys of outputs: each has its own, and none leads out of the store's prefix."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.archive.job import Job
from relay.core.archive.key import FIELDS, check_template, key_of_output
from relay.core.tasks.events import TASK_ID

TEMPLATE = "{date}/{task_id}/{index}.{ext}"
JOB = Job("t-1", 0, "image", "png", "https://out.example/1.png", "2026-12-01", 0, 0)


def test_a_key_is_made_of_the_template() -> None:
    """An operator would not find an output where the configuration says."""
    assert key_of_output(TEMPLATE, JOB) == "2026-12-01/t-1/0.png"
    assert key_of_output("a=b/{kind}-{task_id}_{index}", JOB) == "a=b/image-t-1_0"


@pytest.mark.parametrize(
    ("given_format", "extension"), [("PNG", "png"), (None, "bin"), ("../x", "bin"), ("a.b", "bin")]
)
def test_a_format_that_cannot_be_an_extension_is_left_out(given_format: str | None, extension: str) -> None:
    """What the upstream calls a format would become a part of a path."""
    assert key_of_output(TEMPLATE, replace(JOB, format=given_format)) == f"2026-12-01/t-1/0.{extension}"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{date}/{index}", "needs {task_id}"),
        ("{task_id}", "needs {index}"),
        ("{task_id}/{index}/{prompt}", "no field {prompt}"),
        ("{task_id.__class__}/{index}", "no field"),
        ("{task_id[0]}/{index}", "no field"),
        ("{task_id}/{}{index}", "no field"),
        ("{task_id!r}/{index}", "plain fields"),
        ("{task_id:>200}/{index}", "plain fields"),
        ("{task_id}/{index", "is not a template"),
        ("{task_id}{index}", "between its fields"),
        ("{index}0{task_id}", "between its fields"),
        ("/{task_id}/{index}", "must be a path below"),
        ("{task_id}//{index}", "must be a path below"),
        ("../{task_id}/{index}", "must be a path below"),
        ("{task_id}/./{index}", "must be a path below"),
        ("{task_id}/{index}/", "must be a path below"),
        ("{task_id} {index}", "takes letters"),
        ("{task_id}?{index}", "takes letters"),
        ("{{task_id}}/{task_id}/{index}", "takes letters"),
        ("a" * 600 + "{task_id}{index}", "512 characters"),
    ],
)
def test_a_template_that_could_mislead_is_refused(template: str, reason: str) -> None:
    """Two outputs would have one key, or a key lead out of the prefix; and it would show with the first output."""
    with pytest.raises(ValueError, match=reason.replace("{", r"\{").replace("}", r"\}")):
        check_template(template)


TASK_IDS = st.from_regex(TASK_ID, fullmatch=True) | st.text("./_-:%", min_size=1, max_size=8).filter(TASK_ID.fullmatch)


@given(TASK_IDS, st.integers(0, 500))
def test_no_id_leads_out_of_the_prefix(task_id: str, index: int) -> None:
    """A task with the id ``..`` would write beside the prefix, or hide among the files that are being written."""
    key = key_of_output(TEMPLATE, replace(JOB, task_id=task_id, index=index))
    parts = key.split("/")
    assert len(parts) == 3
    assert not any(part.startswith(".") or not part for part in parts)


@given(st.lists(TASK_IDS, min_size=2, max_size=4, unique=True))
def test_no_two_ids_have_one_key(task_ids: list[str]) -> None:
    """The output of one task would be taken for that of another."""
    assert len({key_of_output(TEMPLATE, replace(JOB, task_id=each)) for each in task_ids}) == len(task_ids)


def test_every_field_can_be_used() -> None:
    """A field that the documentation names would be refused, or fail with the first output."""
    template = check_template("/".join(f"{{{field}}}" for field in FIELDS))
    assert key_of_output(template, JOB) == "2026-12-01/t-1/0/png/image"
