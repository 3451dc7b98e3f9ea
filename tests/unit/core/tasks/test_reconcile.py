from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.source import Delivery
from relay.core.tasks.events import abandoned_draft, terminal_key
from relay.core.tasks.reconcile import (
    Abandon,
    Decision,
    Ended,
    Moment,
    PollAgain,
    PollAnswer,
    Timing,
    Unanswered,
    Watched,
    decide,
    makes_video,
)
from relay.sources.novita_task import NovitaTask

AT = 1_700_000_000_000
TIMING = Timing(first_after=60, every=30, give_up_after=86_400, unknown_timeout=600)
SOURCE = NovitaTask(progressed=True)
LATE = AT + 86_400_000
HTML = b"<html><body>502 Bad Gateway</body></html>"


def watched(**known: Any) -> Watched:
    return replace(Watched("t1", None, AT), **known)


def result(status: str = "TASK_STATUS_PROCESSING", task_id: str = "t1", **task: Any) -> bytes:
    return orjson.dumps({"task": {"task_id": task_id, "status": status, **task}, "images": [], "videos": []})


def error(status: int, reason: str | None = None, **more: Any) -> PollAnswer:
    named = {} if reason is None else {"reason": reason}
    return PollAnswer(status, orjson.dumps({"code": status, **named, "message": "m", "metadata": {}}), **more)


def decided(
    answer: PollAnswer | Unanswered, task: Watched | None = None, now: int = AT + 60_000, failures: int = 0
) -> Decision:
    normalized = None
    if isinstance(answer, PollAnswer) and answer.status == 200:
        normalized = SOURCE.normalize(Delivery(answer.body, now, "poll"))
    return decide(task or watched(), answer, normalized, TIMING, Moment(now, failures, 0.5))


def again(*args: Any, **kwargs: Any) -> PollAgain:
    decision = decided(*args, **kwargs)
    assert isinstance(decision, PollAgain)
    return decision


# -- answers about the task ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "end"), [("TASK_STATUS_SUCCEED", "succeeded"), ("TASK_STATUS_FAILED", "failed")])
def test_an_ending_ends_the_task_at_any_hour(status: str, end: str) -> None:
    """A task that has ended would be polled on, or be abandoned although its end is known."""
    for now in (AT, LATE, 2 * LATE - AT):
        decision = decided(PollAnswer(200, result(status)), now=now)
        assert isinstance(decision, Ended)
        assert decision.result == end
        assert decision.draft.key == terminal_key("t1")
        assert decision.draft.conflict_type == "relay.task.conflicted"


def test_a_task_under_way_is_polled_again_with_what_was_seen_of_it() -> None:
    """The registry would not show that it runs, and a list by type would lack it."""
    decision = again(PollAnswer(200, result(task_type="TXT_TO_IMG", progress_percent=40)))
    assert (decision.result, decision.state, decision.task_type) == ("running", "running", "TXT_TO_IMG")
    assert decision.progress is not None
    assert decision.progress.event.type == "relay.task.progressed"
    assert (decision.counts, decision.pause, decision.trouble) == (True, 0.0, None)


def test_a_task_in_the_queue_has_not_begun() -> None:
    """An operator would take a task for running that waits in the upstream's queue."""
    assert again(PollAnswer(200, result("TASK_STATUS_QUEUED"))).state == "submitted"


def test_a_status_nobody_knows_is_no_ending() -> None:
    """A new word of the upstream's would end every task, or throw its end away."""
    decision = again(PollAnswer(200, result("TASK_STATUS_UNKNOWN")))
    assert (decision.result, decision.state) == ("unknown_status", None)


@pytest.mark.parametrize("status", ["TASK_STATUS_PROCESSING", "TASK_STATUS_QUEUED", "TASK_STATUS_UNKNOWN"])
def test_a_task_that_never_ends_is_abandoned_by_its_last_poll(status: str) -> None:
    """It would be polled forever."""
    assert isinstance(decided(PollAnswer(200, result(status)), now=LATE - 1), PollAgain)
    decision = decided(PollAnswer(200, result(status)), now=LATE)
    assert isinstance(decision, Abandon)
    assert decision.reason == "deadline"


def test_the_result_of_another_task_ends_nothing() -> None:
    """A mix-up at the upstream would end a task with the pictures of another."""
    decision = again(PollAnswer(200, result("TASK_STATUS_SUCCEED", task_id="t2")))
    assert decision.result == "unreadable"


# -- the upstream does not know it ---------------------------------------------------------------------------------


def test_an_unknown_task_is_given_time_to_become_known() -> None:
    """A task polled within a second of its submission would be abandoned while it is being made."""
    first = again(error(404, "TASK_NOT_FOUND"))
    assert (first.result, first.trouble, first.trouble_since) == ("unknown_task", "unknown_task", AT + 60_000)
    waiting = watched(trouble="unknown_task", trouble_since=AT)
    assert isinstance(decided(error(404, "TASK_NOT_FOUND"), waiting, now=AT + 599_999), PollAgain)
    decision = decided(error(404, "TASK_NOT_FOUND"), waiting, now=AT + 600_000)
    assert isinstance(decision, Abandon)
    assert decision.reason == "unknown_task"


def test_a_task_that_becomes_known_starts_over() -> None:
    """Two short gaps a day apart would add up to an abandoned task."""
    known = again(PollAnswer(200, result()), watched(trouble="unknown_task", trouble_since=AT - 10**7))
    assert (known.trouble, known.trouble_since) == (None, None)
    other = again(error(404, "TASK_NOT_FOUND"), watched(trouble="no_answer", trouble_since=AT - 10**7))
    assert other.trouble_since == AT + 60_000


def test_a_task_that_is_unknown_at_the_deadline_is_abandoned_at_once() -> None:
    """The reason given would be that it went on too long, of a task that nobody has ever heard of."""
    decision = decided(error(404, "TASK_NOT_FOUND"), now=LATE)
    assert isinstance(decision, Abandon)
    assert decision.reason == "unknown_task"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (error(404), "unknown_task"),
        (error(400, "TASK_NOT_FOUND"), "unknown_task"),
        (error(200, "TASK_NOT_FOUND"), "unknown_task"),
        (PollAnswer(404, b'{"error":{"reason":"TASK_NOT_FOUND"}}'), "unknown_task"),
        (PollAnswer(404, b"404 page not found"), "unreadable"),
        (error(404, "API_NOT_FOUND"), "unreadable"),
        (PollAnswer(301, b""), "unreadable"),
        (PollAnswer(200, HTML), "unreadable"),
        (PollAnswer(200, b"[]"), "unreadable"),
        (PollAnswer(200, b'{"error":"x"}'), "unreadable"),
        (PollAnswer(200, b'{"task":{"status":"TASK_STATUS_SUCCEED"}}'), "unreadable"),
        (error(400, "INVALID_REQUEST_BODY"), "refused"),
        (error(422), "refused"),
        (error(400, "MISSING_API_KEY"), "unauthorized"),
        (error(401), "unauthorized"),
        (error(403, "INVALID_API_KEY"), "unauthorized"),
        (PollAnswer(403, HTML), "unauthorized"),
        (error(429), "rate_limited"),
        (error(500, "RATE_LIMIT_EXCEEDED"), "rate_limited"),
        (error(408), "unavailable"),
        (error(500, "GET_RESULT_FAILED"), "unavailable"),
        (error(500, "TASK_FAILED"), "unavailable"),
        (PollAnswer(502, HTML), "unavailable"),
        (Unanswered("timeout"), "timeout"),
        (Unanswered("unreachable"), "unreachable"),
    ],
)
def test_each_answer_has_its_name(answer: PollAnswer | Unanswered, expected: str) -> None:
    """The metric would name the wrong cause, or an answer about the address would be taken for one about the task."""
    assert again(answer).result == expected


def test_a_refusal_that_lasts_ends_the_task() -> None:
    """A task whose id the upstream will never take would be polled all day."""
    refused = watched(trouble="refused", trouble_since=AT)
    decision = decided(error(400, "INVALID_REQUEST_BODY"), refused, now=AT + 600_000)
    assert isinstance(decision, Abandon)
    assert decision.reason == "refused"


# -- answers about relay -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [error(401), error(403, "NOT_ENOUGH_BALANCE"), error(429, "RATE_LIMIT_EXCEEDED")])
def test_what_is_said_of_the_relay_never_ends_a_task(answer: PollAnswer) -> None:
    """A key that was changed a minute too late would cost every task that is under way."""
    trouble = watched(trouble="unknown_task", trouble_since=AT)
    for now in (AT, LATE, LATE + 10**9):
        decision = again(answer, trouble, now=now)
        assert decision.pause > 0
        assert not decision.counts
        assert (decision.trouble, decision.trouble_since) == ("unknown_task", AT)


def test_a_task_that_is_refused_lets_the_others_go_first() -> None:
    """One task of another account would be polled again and again, and no other ever."""
    decision = again(error(403, "ACCESS_DENY"))
    assert decision.at >= AT + 60_000 + round(decision.pause * 1000)
    assert decision.at >= AT + 90_000


@pytest.mark.parametrize(("asked", "pause"), [(90.0, 90.0), (1e9, 3600.0)])
def test_a_retry_after_is_honoured_up_to_an_hour(asked: float, pause: float) -> None:
    """The upstream would be asked again before it wants to be, or a slip of its clock stop polling for years."""
    for answer in (error(429, retry_after=asked), error(503, retry_after=asked)):
        decision = again(answer)
        assert decision.pause == pause
        assert decision.at == AT + 60_000 + min(pause * 1000, TIMING.longest)


def test_a_retry_after_of_nothing_does_not_make_polling_spin() -> None:
    """An upstream that says 0 with each 429 would be asked at full speed."""
    assert again(error(429, retry_after=0.0), failures=5).pause > 10
    assert again(error(429, retry_after=2.0), failures=5).pause == 2.0


def test_pauses_grow_while_nothing_else_happens() -> None:
    """A storm of 429s would be answered with polls at full speed."""
    for answer in (error(429), error(401), Unanswered("unreachable"), PollAnswer(503, HTML)):
        pauses = [again(answer, failures=failures).pause for failures in (0, 1, 2, 3, 50)]
        assert pauses == sorted(pauses)
        assert pauses[0] < pauses[2] <= 300


# -- the upstream says nothing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [Unanswered("unreachable"), Unanswered("timeout"), PollAnswer(502, HTML)])
def test_an_outage_pauses_everything_and_costs_no_task_its_turn(answer: PollAnswer | Unanswered) -> None:
    """After an hour's outage each task would be polled every quarter of an hour only."""
    decision = again(answer, watched(polls=2))
    assert decision.pause > 0
    assert not decision.counts


def test_one_task_that_the_upstream_fails_at_holds_up_no_other() -> None:
    """A task whose result cannot be fetched would pause the polling of all others."""
    decision = again(error(500, "GET_RESULT_FAILED"))
    assert decision.pause == 0
    assert decision.counts


def test_silence_ends_a_task_only_late_and_only_if_it_lasts() -> None:
    """Every task that has its deadline during an outage would be abandoned by one lost connection."""
    silent = watched(trouble="no_answer", trouble_since=AT)
    assert isinstance(decided(Unanswered("timeout"), silent, now=LATE - 1), PollAgain)
    assert isinstance(decided(Unanswered("timeout"), watched(), now=LATE), PollAgain)
    recent = watched(trouble="no_answer", trouble_since=LATE)
    assert isinstance(decided(Unanswered("timeout"), recent, now=LATE + 599_999), PollAgain)
    decision = decided(Unanswered("timeout"), recent, now=LATE + 600_000)
    assert isinstance(decision, Abandon)
    assert decision.reason == "no_answer"


# -- when ----------------------------------------------------------------------------------------------------------


def test_the_time_between_polls_grows_to_a_quarter_of_an_hour() -> None:
    """A task of a day would be polled three thousand times, or one of a minute be found out after an hour."""
    spacing = [TIMING.next_poll(watched(polls=polls), AT, None, 0.5) - AT for polls in range(40)]
    assert spacing[:4] == [30_000, 45_000, 67_500, 101_250]
    assert spacing == sorted(spacing)
    assert spacing[-1] == 900_000


def test_nothing_is_polled_before_the_upstream_expects_it_to_end() -> None:
    """A video that takes ten minutes would be polled six times for nothing."""
    assert again(PollAnswer(200, result(eta=300))).at == AT + 360_000
    assert again(PollAnswer(200, result(eta=10**6))).at == AT + 60_000 + 900_000


def test_the_last_poll_is_made_at_the_deadline() -> None:
    """The last thing known of a task would be a quarter of an hour old when it is given up."""
    assert again(PollAnswer(200, result()), watched(polls=30), now=LATE - 60_000).at == LATE


@given(
    st.integers(0, 2_000), st.integers(AT, LATE + 10**8), st.one_of(st.none(), st.floats(0, 1e12)), st.floats(0, 0.999)
)
def test_the_next_poll_lies_ahead(polls: int, now: int, eta: float | None, chance: float) -> None:
    """A poll that is due at once, again and again, would take the whole rate for one task."""
    assert TIMING.next_poll(watched(polls=polls), now, eta, chance) > now


def test_tasks_of_one_moment_are_spread() -> None:
    """A thousand tasks submitted together would be due in the same millisecond forever."""
    firsts = {TIMING.first_poll(AT, None, chance / 10) for chance in range(10)}
    assert len(firsts) == 10
    assert min(firsts) == AT + 60_000
    nexts = {TIMING.next_poll(watched(), AT, None, chance / 10) for chance in range(10)}
    assert len(nexts) == 10


@pytest.mark.parametrize(
    ("kind", "video"),
    [
        ("TXT_TO_VIDEO", True),
        ("HUNYUAN_VIDEO_FAST", True),
        ("MINIMAX_HAILUO_02_6S_768P", True),
        ("WAN_2_2_T2V", True),
        ("KLING_V16_I2V_STANDARD", True),
        ("/v3/async/kling-v2.1-t2v-master", True),
        ("/v3/async/wan-i2v", True),
        ("/v3/video/create", True),
        ("/v3/async/txt2video", True),
        ("/v3/async/minimax-hailuo-02", True),
        ("TXT_TO_IMG", False),
        ("HUNYUAN_IMAGE_3", False),
        ("QWEN_IMAGE_TEXT_TO_IMAGE", False),
        ("/v3/async/txt2img", False),
        ("SWAN_IMAGE", False),
        (None, False),
    ],
)
def test_videos_are_left_alone_for_longer(kind: str | None, video: bool) -> None:
    """Each video would be polled for nothing, or a lost picture be found out after minutes."""
    assert makes_video(kind) is video
    assert TIMING.first_poll(AT, kind, 0.0) - AT == (240_000 if video else 60_000)


def test_a_first_poll_is_not_later_than_the_last() -> None:
    """A video would be given up unpolled where tasks are given up early."""
    assert Timing(first_after=60, give_up_after=100).first_poll(AT, "TXT_TO_VIDEO", 0.0) == AT + 100_000


def test_an_abandoned_task_contradicts_nothing_that_is_known() -> None:
    """A webhook that comes in the moment of giving up would be followed by a false conflict."""
    draft = abandoned_draft("t1", "UPSCALE", "deadline", now=AT)
    assert (draft.event.type, draft.conflict_type, draft.key) == ("relay.task.abandoned", None, terminal_key("t1"))
    data = orjson.loads(draft.event.data)
    assert (data["status"], data["reason"], data["task_type"], data["observed_via"]) == (
        "abandoned",
        "deadline",
        "UPSCALE",
        "poll",
    )


@pytest.mark.parametrize("polls", [0, 5, 50])
def test_no_poll_is_further_away_than_the_longest_there_is(polls: int) -> None:
    """Broken: notes made while the clock was ahead could not be distinguished from what the upstream asked for."""
    answers = (error(429, retry_after=3600.0), error(503, retry_after=3600.0), error(401), Unanswered("timeout"))
    for answer in answers:
        assert again(answer, task=watched(polls=polls)).at <= AT + 60_000 + TIMING.longest


def test_trouble_that_was_noted_by_a_clock_ahead_of_time_begins_now() -> None:
    """Broken: a task that is unknown to the upstream would wait for the hour that the clock had shown."""
    met = watched(trouble="unknown_task", trouble_since=AT + 7_200_000)
    assert again(error(404, "TASK_NOT_FOUND"), task=met).trouble_since == AT + 60_000
