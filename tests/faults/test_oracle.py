from __future__ import annotations

import random
from pathlib import Path

import orjson
import pytest

from tests.faults.harness.load import delivery
from tests.faults.harness.oracle import MAX_RSS, Acknowledged, Balance, Evidence, Seen, Usage, digest, judge
from tests.faults.harness.record import Record

FAIR = Usage(rss=1 << 20, descriptors=10, threads=3)


def balance(*, held: int, accepted: int, published: int, absorbed: int = 0, pending: int = 0) -> Balance:
    return Balance(held, accepted, published, absorbed, pending, dead=0)


def scene() -> tuple[Acknowledged, list[Seen]]:
    dice, acknowledged, seen = random.Random(1), Acknowledged(), []
    for n in range(4):
        body = delivery(f"task-{n // 2}", dice)
        acknowledged.note(f"event-{n}", digest(body), at=float(n))
        data = orjson.dumps({"raw": orjson.loads(body)["payload"]})
        seen.append(Seen(f"event-{n}", f"task-{n // 2}", data))
    return acknowledged, seen


def test_a_faithful_sink_passes() -> None:
    """Broken: the oracle would see faults where there are none, and be ignored."""
    acknowledged, seen = scene()
    unacknowledged = Seen("unacknowledged", "task-9", b"")
    assert judge(Evidence(acknowledged, seen)).holds
    assert judge(Evidence(acknowledged, [*seen, unacknowledged], balance(held=5, accepted=5, published=5))).holds
    assert judge(
        Evidence(acknowledged, seen, closed=[(1.0, 2.0)], usage=[FAIR], secrets=["never sent"], presigned=["task-0"])
    ).holds


def test_each_fault_of_an_event_is_caught() -> None:
    """Broken: a fault test could pass over lost, repeated, reordered or changed events."""
    acknowledged, seen = scene()
    other = Seen(seen[0].id, seen[0].subject, seen[3].data.replace(b"task-1", b"task-7"))
    for wrong, kind, who in (
        (seen[1:], "lost", "event-0"),
        ([*seen, seen[2]], "repeated", "event-2"),
        ([seen[1], seen[0], *seen[2:]], "reordered", "event-0"),
        ([other, *seen[1:]], "changed", "event-0"),
    ):
        assert judge(Evidence(acknowledged, wrong)).faults[kind] == [who]


@pytest.mark.parametrize(
    ("kind", "evidence"),
    [
        ("untimely", {"closed": [(0.5, 1.5)]}),
        ("undrained", {"undrained": 3}),
        ("unbounded", {"usage": [FAIR, Usage(rss=MAX_RSS + 1, descriptors=10, threads=3)]}),
        ("leaked", {"outputs": {"log": b"posted to /s3cret"}, "secrets": ["s3cret"]}),
        ("leaked", {"outputs": {"log": b"fetched ?signature=1"}, "presigned": ["signature=1"]}),
        ("leaked", {"secrets": ["task-0"]}),
        ("unbalanced", {"balance": balance(held=5, accepted=5, published=4)}),
        ("unbalanced", {"balance": balance(held=5, accepted=5, published=4, pending=1)}),
        ("unbalanced", {"balance": balance(held=5, accepted=5, published=5)}),
        ("unbalanced", {"balance": balance(held=5, accepted=4, published=4)}),
        ("unbalanced", {"balance": balance(held=4, accepted=4, published=3, absorbed=1)}),
        ("unbalanced", {"balance": balance(held=3, accepted=3, published=3), "own": {"event-0", "event-1", "event-2"}}),
    ],
)
def test_each_fault_of_the_process_is_caught(kind: str, evidence: dict[str, object]) -> None:
    """Broken: a fault test could pass over a 2xx without a journal, a backlog, a leak, a secret or a false balance."""
    acknowledged, seen = scene()
    assert list(judge(Evidence(acknowledged, seen, **evidence)).faults) == [kind]  # type: ignore[arg-type]


def test_what_another_relay_has_is_not_taken_for_lost() -> None:
    """Broken: a zombie's events would count as lost or unaccounted for, or what it dropped would not."""
    acknowledged, seen = scene()
    rival, own = {"event-0", "event-1"}, {"event-1", "event-2", "event-3"}
    absorbed = balance(held=3, accepted=3, published=2, absorbed=1)
    assert judge(Evidence(acknowledged, seen, absorbed, own=own, rival=rival)).holds
    assert judge(Evidence(acknowledged, seen[1:], absorbed, own=own, rival=rival, stranded={"event-0"})).holds
    assert judge(Evidence(acknowledged, seen[1:], absorbed, own=own, rival=rival)).lost == ["event-0"]


def test_what_two_relays_accepted_may_be_on_the_sink_once_for_each() -> None:
    """Broken: a sender's repetition to a relay's successor would count against it, or what a zombie woke up to publish
    would not."""
    acknowledged, seen = scene()
    rival, own = {"event-0", "event-1"}, {"event-1", "event-2", "event-3"}
    both = [*seen, seen[1]]
    published = balance(held=3, accepted=3, published=3)
    assert judge(Evidence(acknowledged, both, published, own=own, rival=rival)).holds
    assert judge(Evidence(acknowledged, [*both, seen[1]], published, own=own, rival=rival)).repeated == ["event-1"]
    woken = judge(Evidence(acknowledged, both, published, own=own, rival=rival, stranded={"event-1"}))
    assert woken.repeated == ["event-1"]
    assert judge(Evidence(acknowledged, both, published, own=own)).repeated == ["event-1"]


async def test_the_record_is_what_is_on_disk(tmp_path: Path) -> None:
    """Broken: the oracle would judge by what the load generator remembers, not by what it wrote down."""
    record, body = Record(tmp_path / "record"), delivery("task-1", random.Random(1))
    record.note("event-1", body)
    record.note("event-1", body)
    record.note("event-2", body)
    found = record.read()
    assert (found.ids, len(found.every)) == ({"event-1": 0, "event-2": 1}, 3)
    assert set(found.bodies.values()) == {digest(body)}
    record.close()
