from __future__ import annotations

import random

import orjson

from tests.faults.load import delivery
from tests.faults.oracle import Acknowledged, Seen, judge


def scene() -> tuple[Acknowledged, list[Seen]]:
    dice, acknowledged, seen = random.Random(1), Acknowledged(), []
    for n in range(4):
        body = delivery(f"task-{n // 2}", dice)
        acknowledged.note(f"event-{n}", body)
        data = orjson.dumps({"raw": orjson.loads(body)["payload"]})
        seen.append(Seen(f"event-{n}", f"task-{n // 2}", data))
    return acknowledged, seen


def test_a_faithful_sink_passes() -> None:
    """Broken: the oracle would see faults where there are none, and be ignored."""
    acknowledged, seen = scene()
    assert judge(acknowledged, seen).holds
    assert judge(acknowledged, [*seen, Seen("unacknowledged", "task-9", b"")]).holds


def test_each_kind_of_fault_is_caught() -> None:
    """Broken: a fault test could pass over lost, repeated, reordered or changed events."""
    acknowledged, seen = scene()
    assert judge(acknowledged, seen[1:]).lost == ["event-0"]
    assert judge(acknowledged, [*seen, seen[2]]).repeated == ["event-2"]
    assert judge(acknowledged, [seen[1], seen[0], *seen[2:]]).reordered == ["event-0"]
    other = Seen(seen[0].id, seen[0].subject, seen[3].data.replace(b"task-1", b"task-7"))
    assert judge(acknowledged, [other, *seen[1:]]).changed == ["event-0"]
