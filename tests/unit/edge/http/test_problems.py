from __future__ import annotations

import re

import orjson
import pytest

from relay.core.errors import RelayError
from relay.edge.http.auth import SignatureRefused, SignatureVerifier
from relay.edge.http.problems import KINDS, PROBLEM_JSON, answer, answer_to, problem, shaped_answer

EVERY_CODE = sorted(KINDS)


def test_a_problem_has_the_members_of_the_standard_and_ours() -> None:
    """Clients could not distinguish refusals by machine."""
    assert orjson.loads(problem(503, "draining", "Shutting down", "Since 2 s.", "Try again.")) == {
        "type": "urn:relay:problem:draining",
        "title": "Shutting down",
        "status": 503,
        "code": "draining",
        "detail": "Since 2 s.",
        "hint": "Try again.",
    }


def test_what_has_no_value_is_left_out_of_a_problem() -> None:
    """Clients would show an empty detail."""
    assert set(orjson.loads(problem(404, "not_found", "Nothing"))) == {"type", "title", "status", "code"}


@pytest.mark.parametrize("code", EVERY_CODE)
def test_every_code_makes_a_complete_answer(code: str) -> None:
    """A refusal would lack its hint, its content type or a status that says the same in both places."""
    refusal = answer(code, "What went wrong.")
    document = orjson.loads(refusal.body)
    assert (refusal.status, refusal.headers["Content-Type"]) == (document["status"], PROBLEM_JSON)
    assert document["code"] == code
    assert document["detail"] == "What went wrong."
    assert document["hint"].endswith(".")
    assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", code)
    assert not document["title"].endswith(".")


@pytest.mark.parametrize("code", EVERY_CODE)
def test_no_answer_redirects_or_stops_a_sender_for_good(code: str) -> None:
    """A webhook sender would disable the relay's URL or follow it elsewhere (promise P1)."""
    status = KINDS[code].status
    assert 400 <= status < 600
    assert status != 410


@pytest.mark.parametrize("code", [code for code in EVERY_CODE if KINDS[code].status in (429, 503)])
def test_every_answer_that_asks_to_come_back_says_when(code: str) -> None:
    """A sender would spend its few attempts within a second (promise P1)."""
    assert int(answer(code).headers["Retry-After"]) > 0
    assert int(shaped_answer(lambda *_: b"", code).headers["Retry-After"]) > 0


@pytest.mark.parametrize("code", ["unauthorized", "bad_signature", "stale_timestamp"])
def test_a_401_carries_a_challenge(code: str) -> None:
    """A standard client would not know which scheme to use."""
    assert answer(code).status == 401
    assert answer(code).headers["WWW-Authenticate"].startswith("Bearer")


def test_a_405_lists_the_methods() -> None:
    """A client could not find out which method to use."""
    assert answer("method_not_allowed", allow=("GET", "POST")).headers["Allow"] == "GET, POST"


def test_no_refusal_may_be_cached() -> None:
    """A proxy could answer with yesterday's refusal."""
    assert {answer(code).headers["Cache-Control"] for code in EVERY_CODE} == {"no-store"}


def test_an_unlisted_code_is_a_mistake_of_ours() -> None:
    """A code that no document lists would reach clients."""
    with pytest.raises(KeyError, match="no_such_code"):
        answer("no_such_code")


def test_a_refused_signature_answers_under_its_own_code() -> None:
    """A code that authentication raises would come out as an internal error."""
    with pytest.raises(SignatureRefused) as refused:
        SignatureVerifier([]).verify({}, b"", 0)
    refusal = answer_to(refused.value)
    document = orjson.loads(refusal.body)
    assert (refusal.status, document["code"]) == (401, "missing_signature")
    assert document["detail"] == "The header 'webhook-id' is missing."
    assert document["hint"] == KINDS["missing_signature"].hint


def test_an_error_may_bring_a_better_hint() -> None:
    """What the place of the failure knows to advise would be lost."""
    refusal = answer_to(RelayError("journal_unavailable", "Disk full.", hint="Free 1 GiB."))
    assert orjson.loads(refusal.body)["hint"] == "Free 1 GiB."


def test_an_error_that_clients_do_not_know_is_not_described_to_them() -> None:
    """Inner codes and messages would leak to strangers."""
    refusal = answer_to(RelayError("sqlite_ioerr", "write failed on page 7", hint="Replace the disk."))
    assert refusal.status == 500
    assert orjson.loads(refusal.body)["code"] == "internal"
    assert b"page 7" not in refusal.body
    assert b"Replace" not in refusal.body


def test_an_answer_in_an_apis_shape_keeps_the_hint_in_its_message() -> None:
    """A user of an SDK would not see what to do."""

    def body(status: int, code: str, message: str) -> bytes:
        return orjson.dumps([status, code, message])

    refusal = shaped_answer(body, "unauthorized", "The key is not known.")
    assert refusal.status == 401
    assert refusal.headers["Content-Type"] == "application/json"
    message = f"The key is not known. {KINDS['unauthorized'].hint}"
    assert orjson.loads(refusal.body) == [401, "unauthorized", message]
    assert orjson.loads(shaped_answer(body, "internal").body)[2].startswith("Internal error. Try again")
