"""The loop of the archiver, in virtual time. What failures mean: tests/unit/core/archive/test_job.py."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from relay.archive.archiver import Pace
from relay.archive.errors import FetchError
from relay.core.event import Draft, Receipt
from relay.core.tasks.reconcile import PollAnswer, Unanswered
from relay.journal.errors import JournalUnavailable
from relay.journal.projections.outputs import Outputs
from tests.unit.archive.archiving import BUSY, DOWN, REFUSED, World, link, now, play, result
from tests.unit.virtual_time import until


def test_each_output_of_a_task_ends_archived(tmp_path: Path) -> None:
    """A consumer would wait for a copy that never comes, or get two."""

    async def story(w: World) -> None:
        await w.succeed("t1", link("a"), link("b"))
        await w.until_ended(2)
        assert sorted(await w.types()) == [("t1:output:0", "archived"), ("t1:output:1", "archived")]
        assert {key: content for key, (content, _) in w.store.objects.items()} == {
            "t1/0.png": b"https://out.example/a.png",
            "t1/1.png": b"https://out.example/b.png",
        }
        assert (await w.row("t1")).state == "archived"
        await asyncio.sleep(10)
        assert len(w.source.opened) == 2
        assert w.metric("relay_outputs_total", result="archived") == 2

    play(tmp_path, story)


def test_killed_behind_the_store_it_ends_once_without_another_download(tmp_path: Path) -> None:
    """An output that was stored just before a kill would be lost, or be fetched behind a dead link."""

    async def story(w: World) -> None:
        append = w.journal.append

        def hanging(draft: Draft) -> asyncio.Future[Receipt]:
            return append(draft) if draft.event.topic == "tasks" else asyncio.get_running_loop().create_future()

        w.journal.append = hanging  # type: ignore[method-assign]
        await w.succeed("t1")
        await until(lambda: _true(w.store.puts == 1), 30)
        await w.kill()
        w.journal.append = append  # type: ignore[method-assign]
        assert (await w.row("t1")).state == "waiting"
        w.start()
        await w.until_ended()
        assert await w.types() == [("t1:output:0", "archived")]
        assert (w.store.puts, len(w.source.opened)) == (1, 1)

    play(tmp_path, story)


async def _true(value: bool) -> bool:
    return value


def test_a_source_that_fails_is_asked_again_before_the_link_ends(tmp_path: Path) -> None:
    """One answer of 503 would cost a paid video."""

    async def story(w: World) -> None:
        w.source.failing = lambda url, nth: BUSY if nth < 6 else None
        await w.succeed("t1")
        await w.until_ended(within=600)
        assert await w.types() == [("t1:output:0", "archived")]
        assert w.metric("relay_outputs_failures_total", reason="source_failed") == 5

    play(tmp_path, story)


def test_what_can_never_be_had_is_lost_at_once_with_the_reason(tmp_path: Path) -> None:
    """Nobody would hear of it, or relay would ask a hostile source for hours."""

    async def story(w: World) -> None:
        w.source.failing = lambda url, nth: FetchError("too_large", "it has 3 GiB")
        await w.succeed("t1")
        await w.until_ended()
        assert await w.types() == [("t1:output:0", "lost")]
        [data] = await w.data()
        assert (data["reason"], data["source_url"], data["url"]) == ("too_large", "https://out.example/t1.png", None)
        assert w.metric("relay_outputs_total", result="lost") == 1

    play(tmp_path, story)


def test_an_output_without_a_link_is_lost(tmp_path: Path) -> None:
    """It would wait forever."""

    async def story(w: World) -> None:
        await w.succeed("t1", "https://out.example/" + "a" * 20_000)
        await w.until_ended()
        assert [data["reason"] for data in await w.data()] == ["no_link"]

    play(tmp_path, story)


def test_a_link_that_has_ended_is_renewed_by_a_poll(tmp_path: Path) -> None:
    """An outage of an hour would lose what the upstream still has."""

    async def story(w: World) -> None:
        w.source.failing = lambda url, nth: None if url == link("t1", "2") else REFUSED
        w.upstream.answer = lambda task_id: PollAnswer(200, result("t1", link("t1", "2")))
        await w.succeed("t1")
        await w.until_ended()
        assert await w.types() == [("t1:output:0", "archived")]
        assert w.source.links == [link("t1"), link("t1", "2")]
        assert w.upstream.polls["t1"] == 1

    play(tmp_path, story)


@pytest.mark.parametrize(
    "answer",
    [PollAnswer(200, result("t1")), PollAnswer(200, result("t1", link("other", "2"))), PollAnswer(404, b"{}")],
    ids=["the same link", "another object", "unknown task"],
)
def test_a_link_without_another_one_is_tried_to_its_end_and_then_lost(tmp_path: Path, answer: PollAnswer) -> None:
    """Storage that answers 404 for a moment would cost an output; or a dead link would be asked for days."""

    async def story(w: World) -> None:
        w.source.failing = lambda url, nth: REFUSED
        w.upstream.answer = lambda task_id: answer
        await w.succeed("t1", ttl=600)
        await w.until_ended(within=700)
        assert [data["reason"] for data in await w.data()] == ["link_expired"]
        assert 600 <= asyncio.get_running_loop().time() <= 660
        assert set(w.source.links) == {link("t1")}
        assert len(w.source.links) > 10

    play(tmp_path, story)


def test_an_upstream_that_does_not_answer_loses_nothing(tmp_path: Path) -> None:
    """An outage of the upstream while a link ends would lose what a later poll brings."""

    async def story(w: World) -> None:
        w.source.failing = lambda url, nth: None if url == link("t1", "2") else REFUSED
        w.upstream.answer = lambda task_id: Unanswered("timeout")
        await w.succeed("t1", ttl=60)
        await asyncio.sleep(600)
        assert await w.ends() == []
        w.upstream.answer = lambda task_id: PollAnswer(200, result("t1", link("t1", "2")))
        await w.until_ended(within=120)
        assert await w.types() == [("t1:output:0", "archived")]

    play(tmp_path, story)


def test_it_is_given_up_some_day(tmp_path: Path) -> None:
    """An output that nobody can fetch would be tried for years."""

    async def story(w: World) -> None:
        w.source.failing = lambda url, nth: BUSY
        w.upstream.answer = lambda task_id: Unanswered("timeout")
        await w.succeed("t1", ttl=60)
        await w.until_ended(within=7200)
        assert [data["reason"] for data in await w.data()] == ["poll_failed"]
        assert 3600 <= asyncio.get_running_loop().time() <= 3700

    play(tmp_path, story, Pace(give_up_after=3600))


def test_while_the_store_is_down_one_output_at_a_time_asks_for_it(tmp_path: Path) -> None:
    """A store that comes back would be met by everything at once, or an output lose its tries to an outage."""

    async def story(w: World) -> None:
        w.store.error = DOWN
        for n in range(20):
            await w.succeed(f"t{n}")
        await asyncio.sleep(300)
        assert await w.ends() == []
        asked = w.metric("relay_outputs_failures_total", reason="store_unavailable")
        assert 5 <= asked <= 60
        assert {(await w.row(f"t{n}")).attempts for n in range(20)} == {0}
        w.store.error = None
        await w.until_ended(20, within=60)
        assert Counter(kind for _, kind in await w.types()) == {"archived": 20}

    play(tmp_path, story)


def test_another_object_under_the_key_loses_the_output(tmp_path: Path) -> None:
    """Somebody's object would be overwritten, or an output be taken for stored that is not."""

    async def story(w: World) -> None:
        w.store.objects["t1/0.png"] = (b"somebody's", "")
        await w.succeed("t1")
        await w.until_ended()
        assert [data["reason"] for data in await w.data()] == ["different_object"]
        assert w.store.objects["t1/0.png"] == (b"somebody's", "")

    play(tmp_path, story)


def test_no_more_at_once_than_said_and_the_nearest_deadline_first(tmp_path: Path) -> None:
    """Links that end soon would wait behind those that live for a week."""

    async def story(w: World) -> None:
        await w.stop()
        for n, ttl in enumerate([604_800, 3600, 600, 7200, 60]):
            await w.succeed(f"t{n}", ttl=ttl)
        w.start()
        await w.until_ended(5)
        assert w.source.links == [link(f"t{n}") for n in (4, 2, 1, 3, 0)]
        assert w.source.most_at_once == 2

    play(tmp_path, story, Pace(concurrency=2))


def test_no_more_begin_in_a_second_than_said(tmp_path: Path) -> None:
    """A batch of tasks would take all of the network at once."""

    async def story(w: World) -> None:
        for n in range(20):
            await w.succeed(f"t{n}")
        await w.until_ended(20)
        assert asyncio.get_running_loop().time() >= 9

    play(tmp_path, story, Pace(concurrency=20, rate=2))


def test_a_lost_output_that_is_tried_again_ends_archived_a_second_time_only(tmp_path: Path) -> None:
    """An operator's retry would publish each failure, or its success would be taken for a repetition."""

    async def story(w: World) -> None:
        w.source.failing = lambda url, nth: FetchError("wrong_type", "it is text") if nth < 3 else None
        await w.succeed("t1")
        await w.until_ended()
        retry = w.journal.projection(Outputs).execute
        assert await retry(Outputs.retry, "t1", 0, now(), now())
        await asyncio.sleep(5)
        assert ((await w.row("t1")).state, await w.types()) == ("lost", [("t1:output:0", "lost")])
        assert await retry(Outputs.retry, "t1", 0, now(), now())
        await w.until_ended(2)
        assert await w.types() == [("t1:output:0", "lost"), ("t1:output:0", "archived")]
        assert [data["retried"] for data in await w.data()] == [False, True]
        assert not await retry(Outputs.retry, "t1", 0, now(), now())

    play(tmp_path, story)


def test_a_journal_that_cannot_commit_only_delays_the_end(tmp_path: Path) -> None:
    """A full disk would end the archiver, or an output without its event."""

    async def story(w: World) -> None:
        append, refused = w.journal.append, 0

        def full(draft: object) -> asyncio.Future[object]:
            nonlocal refused
            refused += 1
            raise JournalUnavailable("disk_full", "no room", hint="")

        await w.stop()
        await w.succeed("t1")
        w.journal.append = full  # type: ignore[method-assign, assignment]
        w.start()
        await until(lambda: _true(refused > 3), 30)
        assert w.store.puts == 1
        w.journal.append = append  # type: ignore[method-assign]
        await w.until_ended()
        assert await w.types() == [("t1:output:0", "archived")]

    play(tmp_path, story)


def test_a_bug_costs_one_output_a_try_and_no_other_its_own(tmp_path: Path) -> None:
    """An answer that nobody thought of would end the process, or the archiver."""

    async def story(w: World) -> None:
        def failing(url: str, nth: int) -> FetchError | None:
            if url == link("t1") and nth == 1:
                raise ZeroDivisionError
            return None

        w.source.failing = failing
        await w.succeed("t1")
        await w.succeed("t2")
        await w.until_ended(2)
        assert Counter(kind for _, kind in await w.types()) == {"archived": 2}

    play(tmp_path, story)
