"""What measurements mean."""

from __future__ import annotations

import pytest

from relay.cli.doctor.findings import (
    judge_certificate,
    judge_clock,
    judge_descriptors,
    judge_disk,
    judge_key,
    judge_public,
    judge_space,
    judge_steadiness,
    judge_token,
    problem_code,
    skew,
)
from relay.core.certificates import Validity
from relay.edge.http import problems

URL = "https://relay.example"
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"
AT = 1_700_000_000.0


@pytest.mark.parametrize(("p99", "status"), [(0.01, "ok"), (0.6, "warning"), (3.0, "failed")])
def test_a_disk_is_judged_by_what_webhooks_wait_for(p99: float, status: str) -> None:
    """A disk on which every webhook is repeated would look healthy."""
    found = judge_disk(0.005, p99, 200)
    assert found.status == status
    assert bool(found.hint) == (status != "ok")
    assert f"{p99 * 1000:.1f} ms" in found.message


@pytest.mark.parametrize(
    ("free", "room", "status"), [(2 << 30, 1 << 30, "ok"), (2 << 30, 10 << 30, "warning"), (1 << 20, 0, "failed")]
)
def test_space_is_judged_by_what_the_journal_may_take(free: int, room: int, status: str) -> None:
    """The disk would fill within the journal's own limit, and webhooks be refused."""
    assert judge_space(free, room).status == status


@pytest.mark.parametrize(("limit", "status"), [(20_000, "ok"), (1024, "warning")])
def test_descriptors_are_judged_by_the_connections(limit: int, status: str) -> None:
    """A relay would run out of descriptors below the connections that it allows."""
    assert judge_descriptors(limit, 10_000).status == status


@pytest.mark.parametrize(
    ("begins", "ends", "status", "code"),
    [
        (-40, 50, "ok", None),
        (-80, 10, "warning", "certificate_ends_soon"),
        (-90, -1, "failed", "certificate_expired"),
        (1, 90, "failed", "certificate_not_yet_valid"),
    ],
)
def test_a_certificate_is_judged_by_its_days(begins: int, ends: int, status: str, code: str | None) -> None:
    """A certificate would end, or have ended, and the doctor find nothing."""
    validity = Validity(AT + begins * 86_400, AT + ends * 86_400)
    found = judge_certificate("server.tls", validity, AT, "Renew it.")
    assert (found.status, found.code, found.measured["not_after"]) == (status, code, validity.ends)
    assert bool(found.hint) == (status != "ok")


@pytest.mark.parametrize(
    ("sent", "received", "ahead"),
    [
        (AT + 0.5, AT + 0.6, 0.0),
        (AT - 0.2, AT + 0.1, 0.0),
        (AT + 1.1, AT + 5.0, pytest.approx(0.1)),
        (AT + 101.0, AT + 101.5, 100.0),
        (AT - 100.5, AT - 100.0, -100.0),
    ],
)
def test_the_skew_is_what_the_exchange_proves(sent: float, received: float, ahead: float) -> None:
    """A slow answer, or the header's whole seconds, would be taken for a wrong clock."""
    assert skew(DATE, sent, received) == ahead


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_without_a_date_nothing_is_known(date: str | None) -> None:
    """A server that sends no time would look like a correct clock."""
    assert skew(date, AT, AT) is None
    assert judge_clock(None, "").status == "warning"


@pytest.mark.parametrize(("ahead", "status"), [(0.0, "ok"), (-1.9, "ok"), (-3.0, "warning"), (70.0, "failed")])
def test_a_clock_is_judged_by_its_lead(ahead: float, status: str) -> None:
    """Signatures and expiry times would be wrong, and nobody would know why."""
    assert judge_clock(ahead, URL).status == status


def test_a_clock_that_is_set_meanwhile_is_noticed() -> None:
    """A clock that jumps would be taken for one that is right."""
    assert judge_steadiness(2.0, 2.1) is None
    jumped = judge_steadiness(62.0, 2.0)
    assert jumped is not None
    assert "+60.0 s" in jumped.message


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (problems.answer("unauthorized").body, "unauthorized"),
        (b'{"code": "unauthorized"}', None),
        (b"<html>", None),
        (b"[]", None),
    ],
)
def test_a_relay_is_known_by_its_problems(body: bytes, code: str | None) -> None:
    """Another program's error would be taken for the relay."""
    assert problem_code(body) == code


@pytest.mark.parametrize(
    ("status", "code", "verdict"),
    [
        (401, "unauthorized", None),
        (301, None, "redirected"),
        (200, None, "not_a_relay"),
        (404, None, "not_a_relay"),
        (403, "forbidden_address", "forbidden_address"),
        (503, "draining", "draining"),
    ],
)
def test_what_answers_at_the_public_address_is_told_apart(status: int, code: str | None, verdict: str | None) -> None:
    """Webhooks would go to something else, and the doctor call it healthy."""
    found = judge_public(URL, status, code)
    assert (found.code if found else None) == verdict


def test_a_token_that_is_known_there_shows() -> None:
    """Another relay behind the address would be taken for this one."""
    assert judge_token(URL, "method_not_allowed").status == "ok"
    assert judge_token(URL, "unauthorized").code == "token_refused"
    assert judge_token(URL, None).status == "failed"


@pytest.mark.parametrize(
    ("result", "with_key", "status"),
    [
        ("unknown_task", True, "ok"),
        ("unauthorized", True, "failed"),
        ("unauthorized", False, "warning"),
        ("rate_limited", True, "warning"),
    ],
)
def test_a_key_is_judged_by_a_poll_for_no_task(result: str, with_key: bool, status: str) -> None:
    """A key that is refused would show only when the first webhook is lost."""
    assert judge_key(result, URL, with_key=with_key).status == status
