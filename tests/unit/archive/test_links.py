"""Fresh links from the upstream."""

from __future__ import annotations

import pytest

from relay.archive.errors import FetchError
from relay.archive.links import Links
from relay.core.archive.job import ASSUMED_LIFE, Job, Link
from relay.core.tasks.reconcile import PollAnswer, Unanswered
from relay.sources.novita_task import NovitaTask
from tests.unit.archive.archiving import link, result

NOW = 1_700_000_000_000
JOB = Job("t1", 1, "image", "png", link("b"), "2023-11-14", NOW, NOW)


async def fresh(answer: PollAnswer | Unanswered) -> Link | None:
    async def poll(task_id: str) -> PollAnswer | Unanswered:
        assert task_id == "t1"
        return answer

    return await Links(poll, NovitaTask()).fresh(JOB, NOW)


async def test_a_renewed_link_is_taken() -> None:
    """What the upstream still has would be lost."""
    body = result("t1", link("a", "2"), link("b", "2"), ttl=600)
    assert await fresh(PollAnswer(200, body)) == Link(link("b", "2"), NOW + 600_000)
    assert await fresh(PollAnswer(200, result("t1", link("a"), link("b", "3"), ttl=0))) == Link(
        link("b", "3"), NOW + ASSUMED_LIFE
    )


@pytest.mark.parametrize(
    "body",
    [
        result("t1", link("a", "2"), link("b")),
        result("t1", link("a", "2")),
        result("t1", link("a", "2"), link("other", "2")),
        result("t1", link("a", "2"), link("b", "x" * 20_000)),
        result("t1", link("a", "2"), link("b", "2"), status="TASK_STATUS_PROCESSING"),
        result("t1", link("a", "2"), link("b", "2"), status="WHATEVER"),
        b"no JSON",
    ],
    ids=["the same", "fewer outputs", "another object", "too long", "still running", "unknown status", "no JSON"],
)
async def test_only_another_link_to_the_same_output_is_taken(body: bytes) -> None:
    """Another file would be stored as this output, or the dead link be tried at once again."""
    assert await fresh(PollAnswer(200, body)) is None


async def test_an_upstream_that_does_not_know_the_task_has_no_link() -> None:
    """An output that is gone would be asked for until it is given up."""
    assert await fresh(PollAnswer(404, b"{}")) is None


@pytest.mark.parametrize(
    "answer", [Unanswered("timeout"), PollAnswer(429, b""), PollAnswer(503, b""), PollAnswer(401, b"")]
)
async def test_an_upstream_that_does_not_say_is_asked_again(answer: PollAnswer | Unanswered) -> None:
    """An outage of the upstream would be taken for the end of a link."""
    with pytest.raises(FetchError) as caught:
        await fresh(answer)
    assert (caught.value.code, caught.value.retriable) == ("poll_failed", True)
