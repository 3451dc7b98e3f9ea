"""P4 and P3 on both sinks at once: repetitions are absorbed, contradictions published once, in order."""

from __future__ import annotations

import asyncio
from collections import Counter

import orjson
import pytest

from tests.integration.bridge import Bridge, States
from tests.integration.conftest import MakeBridge, Pair
from tests.integration.deliveries import failed, new_task, succeeded


@pytest.fixture
async def relay(pair: Pair, bridge: MakeBridge) -> Bridge:
    """Started, on both sinks."""
    made = bridge(*pair.sinks())
    await made.start()
    return made


async def answers(relay: Bridge, *bodies: bytes) -> list[tuple[str, str]]:
    """The answers to deliveries that are posted at the same time."""
    given = await asyncio.gather(*map(relay.deliver, bodies))
    assert {answer.status for answer in given} == {200}
    return [(answer.body["status"], answer.body["event_id"]) for answer in given]


@pytest.mark.usefixtures("swift_maintenance")
async def test_a_delivery_posted_again_and_again_is_one_event(relay: Bridge, pair: Pair) -> None:
    """P4 broken: the upstream's repetitions (up to five) would reach consumers: at once, after a restart, or once
    the event is no longer in the journal."""
    task_id = new_task()
    body, event_id = succeeded(task_id), f"{task_id}:succeeded"
    at_once = Counter(await answers(relay, *[body] * 5))
    assert at_once == {("accepted", event_id): 1, ("duplicate", event_id): 4}
    assert await answers(relay, body) == [("duplicate", event_id)]
    await relay.until_published()

    relay.sections["journal"] = {"retention": "0s"}
    await relay.restart()
    assert await answers(relay, body) == [("duplicate", event_id)]
    await relay.until_pruned()
    assert Counter(await answers(relay, *[body] * 5)) == {("duplicate", event_id): 5}
    assert await relay.metric("relay_deliveries_total", result="duplicate") == 6

    await relay.until_published()
    for sink, messages in (await pair.tasks()).items():
        assert [message.id for message in messages] == [event_id], sink
        assert await relay.states(sink) == States(published=1, pending=0, dead=0)


async def test_a_resigned_url_of_the_same_object_is_a_duplicate(relay: Bridge, pair: Pair) -> None:
    """P4 broken: each poll or redelivery with renewed signatures would be reported as a contradiction."""
    task_id = new_task()
    await relay.accept(succeeded(task_id, signature="aa"))
    again = succeeded(task_id, signature="bb")
    assert await answers(relay, again) == [("duplicate", f"{task_id}:succeeded")]
    await relay.until_published()
    for messages in (await pair.tasks()).values():
        (only,) = messages
        assert orjson.loads(only.data)["outputs"][0]["url"].endswith("Signature=aa")


async def test_contradictions_are_published_once_each_and_in_order(relay: Bridge, pair: Pair) -> None:
    """P4 or P3 broken: a contradiction would be absorbed, repeated, or overtake what it contradicts."""
    tasks = [new_task() for _ in range(20)]
    for task_id in tasks:  # interleaved with the other tasks, as traffic is
        await relay.accept(succeeded(task_id))
    expected: dict[str, list[str]] = {task_id: [f"{task_id}:succeeded"] for task_id in tasks}
    for body_of in (lambda t: succeeded(t, outputs=["other.png"]), failed):
        answered = await asyncio.gather(*(answers(relay, *[body_of(task_id)] * 3) for task_id in tasks))
        for task_id, given in zip(tasks, answered, strict=True):
            (conflict_id,) = {event_id for status, event_id in given if status == "accepted"}
            assert Counter(status for status, _ in given) == {"accepted": 1, "duplicate": 2}
            assert conflict_id.startswith(f"{task_id}:conflicted:")
            expected[task_id].append(conflict_id)
    await relay.until_published()

    for sink, messages in (await pair.tasks()).items():
        published: dict[str, list[str]] = {}
        for message in messages:
            published.setdefault(message.subject, []).append(message.id)
        assert published == expected, sink
        types = Counter(message.attributes["type"] for message in messages)
        assert types == {"relay.task.succeeded": 20, "relay.task.conflicted": 40}
        assert await relay.states(sink) == States(published=60, pending=0, dead=0)


async def test_a_contradiction_says_what_it_states(relay: Bridge, pair: Pair) -> None:
    """A consumer of `relay.task.conflicted` could not see which outcome was claimed the second time."""
    task_id = new_task()
    await relay.accept(succeeded(task_id), failed(task_id, "died after all"))
    await relay.until_published()
    for messages in (await pair.tasks()).values():
        first, second = (orjson.loads(message.data) for message in messages)
        assert (first["status"], second["status"], second["reason"]) == ("succeeded", "failed", "died after all")


async def test_two_outcomes_at_the_same_moment_are_one_event_and_one_contradiction(relay: Bridge, pair: Pair) -> None:
    """A race between two deliveries would publish a task as succeeded and as failed."""
    tasks = [new_task() for _ in range(10)]
    await asyncio.gather(*(answers(relay, succeeded(task_id), failed(task_id)) for task_id in tasks))
    await relay.until_published()
    for sink, messages in (await pair.tasks()).items():
        for task_id in tasks:
            types = [message.attributes["type"] for message in messages if message.subject == task_id]
            assert len(types) == 2, sink
            assert types[0] in ("relay.task.succeeded", "relay.task.failed")
            assert types[1] == "relay.task.conflicted"
