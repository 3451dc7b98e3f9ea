"""Deliveries: who may, what is taken, and what is answered."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import itertools
import logging
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from relay.core.source import Delivery, Normalized, Unreadable
from relay.edge.http.auth import networks
from relay.edge.http.bodies import BodyLimits
from relay.edge.http.problems import KINDS
from relay.edge.webhooks import Webhooks
from relay.journal.errors import JournalBroken, JournalUnavailable
from relay.journal.journal import Journal, Policy
from tests.services.raw_http import Answer, ask, chunked, get, post, wire
from tests.unit.edge.serving import PATH, TOKEN, Stub, gate, opened, receiving, task
from tests.unit.letters import letter_in

LOCAL = "/webhooks/novita"
SECRETS = ["whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2)]


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    async with opened(tmp_path) as journal:
        yield journal


async def delivered(journal: Journal) -> list[str]:
    return [entry.event.id for entry in await journal.events.read(0, 1000)]


# -- the answers -----------------------------------------------------------------------------------------------------


async def test_a_delivery_is_in_the_journal_when_it_is_answered(journal: Journal) -> None:
    """A 2xx would promise what a crash can take back (P1)."""
    async with receiving(journal, gate(TOKEN)) as receiver:
        reply = await ask(receiver.url, post(PATH, task("a")))
        assert (reply.status, reply.json) == (200, {"status": "accepted", "event_id": "a:succeeded"})
        assert await delivered(journal) == ["a:succeeded"]
        assert receiver.count("accepted") == 1


async def test_a_repetition_gets_the_same_answer_and_no_event(journal: Journal) -> None:
    """A retry would be published twice, or refused and tried forever (P4)."""
    async with receiving(journal, gate(TOKEN)) as receiver:
        await ask(receiver.url, post(PATH, task("a")))
        reply = await ask(receiver.url, post(PATH, task("a")))
        assert (reply.status, reply.json) == (200, {"status": "duplicate", "event_id": "a:succeeded"})
        assert await delivered(journal) == ["a:succeeded"]
        assert receiver.count("duplicate") == 1


async def test_a_contradiction_is_an_event_of_its_own(journal: Journal) -> None:
    """Consumers would never learn that the upstream changed its mind (P4)."""
    async with receiving(journal, gate(TOKEN)) as receiver:
        await ask(receiver.url, post(PATH, task("a", image="https://x/1.png")))
        reply = await ask(receiver.url, post(PATH, task("a", "TASK_STATUS_FAILED")))
        assert reply.json["status"] == "accepted"
        assert reply.json["event_id"].startswith("a:conflicted:")
        again = await ask(receiver.url, post(PATH, task("a", "TASK_STATUS_FAILED")))
        assert again.json == {"status": "duplicate", "event_id": reply.json["event_id"]}


async def test_what_cannot_be_read_is_kept_and_taken(journal: Journal) -> None:
    """The upstream would try it six times and then forget it: lost without a trace (P5)."""
    async with receiving(journal, gate(TOKEN)) as receiver:
        reply = await ask(receiver.url, post(PATH, b'{"task":{"task_id":"a","status":"TASK_STATUS_NEW"}}'))
        assert (reply.status, reply.json["status"]) == (200, "dead")
        letter = await letter_in(journal, reply.json["event_id"])
        assert letter is not None
        assert letter.reason == "unknown_status"
        assert receiver.count("dead") == 1
        found = receiver.telemetry.metrics.registry.get_sample_value
        assert found("relay_dead_letters_total", {"reason": "unknown_status"}) == 1


async def test_a_report_that_makes_no_event_is_taken(journal: Journal) -> None:
    """The upstream would repeat a progress report that nobody wants."""
    async with receiving(journal, gate(TOKEN)) as receiver:
        reply = await ask(receiver.url, post(PATH, task("a", "TASK_STATUS_PROCESSING")))
        assert (reply.status, reply.json) == (200, {"status": "ignored"})
        assert await delivered(journal) == []
        assert receiver.count("ignored") == 1


@pytest.mark.parametrize("shortcut", [True, False])
async def test_an_answer_takes_from_its_request_to_its_end(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, shortcut: bool
) -> None:
    """Dashboards would show the time since the machine was started, or alerts be silent while senders wait."""
    seconds = itertools.count(1000.0)
    clock = SimpleNamespace(perf_counter=lambda: next(seconds), time_ns=time.time_ns)
    monkeypatch.setattr("relay.edge.webhooks.time", clock)
    async with receiving(journal, gate(TOKEN), shortcut=shortcut) as receiver:
        await ask(receiver.url, post(PATH, task("a")))
        await ask(receiver.url, post(PATH, task("a", "TASK_STATUS_PROCESSING")))
        found = receiver.telemetry.metrics.registry.get_sample_value
        assert found("relay_webhook_ack_seconds_sum", {"source": "novita"}) == 2.0


async def test_a_bug_in_a_source_costs_no_delivery(journal: Journal) -> None:
    """A 500 would be answered until the upstream gives up, and the event be gone."""

    def fails(_: Delivery) -> Normalized:
        raise ZeroDivisionError("with a secret")

    async with receiving(journal, gate(TOKEN), source=Stub(fails)) as receiver:
        reply = await ask(receiver.url, post(PATH, b'{"odd": 1}'))
        assert (reply.status, reply.json["status"]) == (200, "dead")
        letter = await letter_in(journal, reply.json["event_id"])
        assert letter is not None
        assert (letter.reason, letter.raw) == ("source_failed", b'{"odd": 1}')
        assert "secret" not in letter.detail


# -- the gate --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/webhooks/novita", 401, "unauthorized"),
        ("/webhooks/novita/", 401, "unauthorized"),
        ("/webhooks/novita/wrong", 401, "unauthorized"),
        (PATH + "/", 401, "unauthorized"),
        (PATH + "x", 401, "unauthorized"),
        (PATH.upper(), 404, "not_found"),
        (f"/webhooks/novita//{TOKEN}", 401, "unauthorized"),
        (f"//webhooks/novita/{TOKEN}", 404, "not_found"),
        (f"/webhooks//novita/{TOKEN}", 404, "not_found"),
        (f"/webhooks/other/{TOKEN}", 404, "not_found"),
        (f"/webhooks/novita/{TOKEN[:-1]}%ff", 401, "unauthorized"),
        ("/webhooks/", 404, "not_found"),
        ("/webhooks", 404, "not_found"),
        (f"/webhooks/novita/?token={TOKEN}", 401, "unauthorized"),
        (f"/webhooks/../webhooks/novita/{TOKEN}", 404, "not_found"),
    ],
)
async def test_only_the_exact_address_opens_the_door(journal: Journal, path: str, status: int, code: str) -> None:
    """Strangers could put events into the stream."""
    async with receiving(journal, gate(TOKEN)) as receiver:
        reply = await ask(receiver.url, post(path, task("a")))
        assert (reply.status, reply.code) == (status, code)
        assert TOKEN.encode() not in reply.body
        assert await delivered(journal) == []


@pytest.mark.parametrize(
    "path",
    [PATH, "/webhooks/novita/%74" + TOKEN[1:], PATH + "?attempt=2", PATH + "?a=1/2"],
    ids=["plain", "percent-encoded", "query", "slash in the query"],
)
async def test_other_spellings_of_the_address_are_the_same(journal: Journal, path: str) -> None:
    """A sender that encodes its URLs, or adds a query, would be locked out."""
    async with receiving(journal, gate(TOKEN)) as receiver:
        assert (await ask(receiver.url, post(path, task("a")))).status == 200


async def test_two_tokens_are_valid_while_they_are_rotated(journal: Journal) -> None:
    """Changing the token would lose the deliveries of tasks submitted before."""
    other = "another-token-0123456789abcdef-0123"
    async with receiving(journal, gate(TOKEN, other)) as receiver:
        assert (await ask(receiver.url, post(PATH, task("a")))).status == 200
        assert (await ask(receiver.url, post(f"/webhooks/novita/{other}", task("b")))).status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"])
async def test_other_methods_are_refused_behind_the_token_only(journal: Journal, method: str) -> None:
    """A prober would learn which addresses exist, or a HEAD count as a delivery."""
    async with receiving(journal, gate(TOKEN)) as receiver:
        reply = await ask(receiver.url, get(PATH, method=method), method)
        if method == "BREW":
            assert reply.status == 400, "not a method that the parser knows"
            return
        assert (reply.status, reply.headers["allow"]) == (405, "POST")
        assert (await ask(receiver.url, get(LOCAL, method=method), method)).status == 401


@pytest.mark.parametrize(
    "header", ["X-Forwarded-For: 203.0.113.9", "Forwarded: for=203.0.113.9", "x-real-ip: 127.0.0.1"]
)
async def test_without_a_token_a_proxy_is_not_taken_for_its_clients(journal: Journal, header: str) -> None:
    """A proxy on this machine would open the door to the world."""
    async with receiving(journal, gate()) as receiver:
        reply = await ask(receiver.url, post(LOCAL, task("a"), header))
        assert (reply.status, reply.code) == (403, "forbidden_address")


async def test_without_a_token_this_machine_may_deliver(journal: Journal) -> None:
    """The relay would not work out of the box."""
    async with receiving(journal, gate()) as receiver:
        assert (await ask(receiver.url, post(LOCAL, task("a")))).status == 200
        assert (await ask(receiver.url, post(LOCAL + "/any-token", task("b")))).status == 200
        assert (await ask(receiver.url, post(LOCAL, task("c"), host="localhost:8080"))).status == 200


@pytest.mark.parametrize(
    ("host", "header"),
    [("rebound.example.org", "X-A: b"), ("127.0.0.1", "Origin: https://example.org"), ("127.0.0.1", "Origin: null")],
)
async def test_without_a_token_no_web_page_may_deliver(journal: Journal, host: str, header: str) -> None:
    """Any page in the user's browser could forge events."""
    async with receiving(journal, gate()) as receiver:
        reply = await ask(receiver.url, post(LOCAL, task("a"), header, host=host))
        assert (reply.status, reply.code) == (403, "forbidden_origin")


@pytest.mark.parametrize(
    ("forwarded", "status"),
    [
        ((), 403),
        (("198.51.100.7",), 200),
        (("198.51.100.7, 203.0.113.1",), 403),
        (("203.0.113.1, 198.51.100.7",), 200),
        (("203.0.113.1", "198.51.100.7"), 200),
        (("198.51.100.7", "203.0.113.1"), 403),
        (("198.51.100.7, unknown",), 403),
        (("198.51.100.7:443, 127.0.0.2",), 200),
    ],
)
async def test_an_allow_list_sees_through_trusted_proxies(
    journal: Journal, forwarded: tuple[str, ...], status: int
) -> None:
    """The sender's own text would decide about its address, or no sender pass behind a proxy."""
    door = gate(TOKEN, allow_from=["198.51.100.0/24"], trusted_proxies=networks(["127.0.0.0/8"]))
    async with receiving(journal, door) as receiver:
        headers = [f"X-Forwarded-For: {value}" for value in forwarded]
        reply = await ask(receiver.url, post(PATH, task("a"), *headers))
        assert reply.status == status
        if status == 403:
            assert reply.code == "forbidden_address"


async def test_an_allow_list_ignores_forwarded_addresses_by_default(journal: Journal) -> None:
    """Anybody could claim an allowed address."""
    async with receiving(journal, gate(TOKEN, allow_from=["198.51.100.0/24"])) as receiver:
        reply = await ask(receiver.url, post(PATH, task("a"), "X-Forwarded-For: 198.51.100.7"))
        assert reply.code == "forbidden_address"


# -- signatures ------------------------------------------------------------------------------------------------------


def signed(body: bytes, secret: str, *, at: float = 0.0, id: str = "msg_1") -> list[str]:
    """The headers of Standard Webhooks, by the specification's own recipe."""
    stamp = str(int(time.time() + at))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    signature = "v1," + base64.b64encode(digest).decode()
    return [f"Webhook-Id: {id}", f"webhook-timestamp: {stamp}", f"WEBHOOK-SIGNATURE: {signature}"]


async def test_signed_deliveries_pass_with_either_secret(journal: Journal) -> None:
    """Rotating a secret would refuse deliveries signed with the other one."""
    async with receiving(journal, gate(TOKEN, signing_secrets=SECRETS)) as receiver:
        for n, secret in enumerate(SECRETS):
            body = task(f"t{n}")
            assert (await ask(receiver.url, post(PATH, body, *signed(body, secret)))).status == 200
        body = task("near")
        assert (await ask(receiver.url, post(PATH, body, *signed(body, SECRETS[0], at=-290)))).status == 200


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        (list, "missing_signature"),
        (lambda: signed(task("a"), SECRETS[0])[:2], "missing_signature"),
        (lambda: signed(task("other"), SECRETS[0]), "bad_signature"),
        (lambda: signed(task("a"), "whsec_" + "x" * 32), "bad_signature"),
        (lambda: signed(task("a"), SECRETS[0], at=-330), "stale_timestamp"),
        (lambda: signed(task("a"), SECRETS[0], at=330), "stale_timestamp"),
        (lambda: ["webhook-id: 1", "webhook-timestamp: soon", "webhook-signature: v1,x"], "bad_timestamp"),
    ],
)
async def test_other_deliveries_are_refused(journal: Journal, headers: Callable[[], list[str]], code: str) -> None:
    """Forged, altered and replayed deliveries would become events."""
    async with receiving(journal, gate(TOKEN, signing_secrets=SECRETS)) as receiver:
        reply = await ask(receiver.url, post(PATH, task("a"), *headers()))
        assert (reply.status, reply.code) == (401, code)
        assert await delivered(journal) == []
        assert receiver.count("rejected") == 1


# -- the body --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["whole", "chunked", "in pieces", "100-continue", "upgrade"])
async def test_a_body_may_come_in_any_form_that_http_has(journal: Journal, form: str) -> None:
    """Senders with another client would be refused, or wait forever."""
    body = task("a")
    async with receiving(journal, gate(TOKEN)) as receiver, wire(receiver.url) as connection:
        if form == "whole":
            await connection.send(post(PATH, body))
        elif form == "chunked":
            await connection.send(chunked(PATH, body[:10], body[10:]))
        elif form == "upgrade":
            await connection.send(
                post(PATH, body, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: ")
            )
        else:
            expect = ["Expect: 100-continue"] if form == "100-continue" else []
            await connection.send(post(PATH, body, *expect)[: -len(body)])
            if expect:
                assert await connection.line() == b"HTTP/1.1 100 Continue\r\n"
                assert await connection.line() == b"\r\n"
            await asyncio.sleep(0.05)
            await connection.send(body)
        reply = await connection.answer()
        assert (reply.status, reply.json["event_id"]) == (200, "a:succeeded")


async def test_a_sender_that_is_refused_is_not_invited_to_go_on(journal: Journal) -> None:
    """It would send its whole body for nothing."""
    async with receiving(journal, gate(TOKEN)) as receiver, wire(receiver.url) as connection:
        await connection.send(post(LOCAL, b"x" * 100, "Expect: 100-continue")[:-100])
        assert (await connection.answer()).code == "unauthorized"
    async with receiving(journal, gate(TOKEN)) as receiver, wire(receiver.url) as connection:
        head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\nExpect: 100-continue\r\n\r\n"
        await connection.send(head.encode())
        assert (await connection.answer()).code == "payload_too_large"


@pytest.mark.parametrize("size", [1 << 20, (1 << 20) + 1])
@pytest.mark.parametrize("form", [post, chunked])
async def test_the_limit_of_a_body_is_exact(journal: Journal, size: int, form: object) -> None:
    """A body of just the limit would be refused, or one beyond it fill the memory."""
    body = task("a").ljust(size)
    async with receiving(journal, gate(TOKEN)) as receiver:
        reply = await ask(receiver.url, form(PATH, body))  # type: ignore[operator]
        if size > 1 << 20:
            assert (reply.status, reply.code) == (413, "payload_too_large")
        else:
            assert reply.status == 200


async def test_encoded_bodies_are_refused(journal: Journal) -> None:
    """A bomb would unfold, and a signature be checked over other bytes."""
    async with receiving(journal, gate(TOKEN)) as receiver:
        for encoding in ("gzip", "br", "identity, gzip", "GZIP"):
            reply = await ask(receiver.url, post(PATH, task("a"), f"Content-Encoding: {encoding}"))
            assert (reply.status, reply.code) == (415, "unsupported_encoding")
        assert (await ask(receiver.url, post(PATH, task("a"), "Content-Encoding: identity"))).status == 200
        zipped = chunked(PATH, task("b")).replace(b": chunked", b": gzip, chunked")
        reply = await ask(receiver.url, zipped)
        assert (reply.status, reply.code) == (501, "unsupported_transfer_coding")


@pytest.mark.usefixtures("swift_parting")
async def test_half_a_body_is_cut_in_time(journal: Journal) -> None:
    """Senders that hang would hold memory forever."""
    limits = BodyLimits(1 << 20, 64 << 20, timeout=0.2)
    async with receiving(journal, gate(TOKEN), body_limits=limits) as receiver, wire(receiver.url) as connection:
        await connection.send(post(PATH, task("a"))[:-5])
        reply = await connection.answer()
        assert (reply.status, reply.code, reply.headers["connection"]) == (408, "body_timeout", "close")
        assert await connection.rest() == b""


async def test_bodies_being_received_share_a_budget(journal: Journal) -> None:
    """Many slow senders together would end in the hands of the OOM killer."""
    limits = BodyLimits(max_body=1000, max_inflight_bytes=1500, timeout=5.0)
    async with receiving(journal, gate(TOKEN), body_limits=limits) as receiver:
        body = task("a").ljust(1000)
        async with wire(receiver.url) as slow:
            await slow.send(post(PATH, body)[:-10])
            await _until_inflight(receiver.webhooks, 990)
            reply = await ask(receiver.url, post(PATH, body)[:-10])
            assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "overloaded", "5")
            assert (await ask(receiver.url, post(PATH, task("whole")))).status == 200, "it is there already"
            await slow.send(body[-10:])
            assert (await slow.answer()).status == 200
        async with wire(receiver.url) as left:
            await left.send(post(PATH, body)[:-10])
            await _until_inflight(receiver.webhooks, 990)
        await _until_inflight(receiver.webhooks, 0)


async def _until_inflight(webhooks: Webhooks, expected: int) -> None:
    async with asyncio.timeout(5):
        while webhooks.bodies.inflight != expected:
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("chunk", [b"zz\r\n", b"-1\r\n", b"5\r\nab\r\n0\r\n\r\n"])
async def test_a_broken_chunk_is_the_senders_fault(
    journal: Journal, chunk: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """It would be answered with a 500 and logged as a bug of ours."""
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    async with receiving(journal, gate(TOKEN)) as receiver, wire(receiver.url) as connection:
        await connection.send(head)
        await asyncio.sleep(0.02)
        await connection.send(chunk)
        reply = await connection.answer()
        assert (reply.status, reply.code) == (400, "bad_request")
        assert await connection.rest() == b""
    assert not caplog.records


# -- the journal -----------------------------------------------------------------------------------------------------


async def test_over_the_backlog_nothing_is_taken_until_it_drains(tmp_path: Path) -> None:
    """A 2xx would be given for what has no place, or the relay stay closed for good (P1)."""
    policy = Policy(max_backlog=2)
    async with opened(tmp_path, "redis", policy=policy) as journal, receiving(journal, gate(TOKEN)) as receiver:
        for name in ("a", "b"):
            assert (await ask(receiver.url, post(PATH, task(name)))).status == 200
        reply = await ask(receiver.url, post(PATH, task("c")))
        assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "backlog_full", "5")
        journal.progress.advance("redis", 1, published=1, dead=0)
        assert (await ask(receiver.url, post(PATH, task("c")))).status == 200


class Failing:
    """A journal whose commits fail as the test says."""

    def __init__(self, error: Exception, *, at_once: bool) -> None:
        self._error, self._at_once = error, at_once

    def append(self, _: object) -> asyncio.Future[object]:
        if self._at_once:
            raise self._error
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        future.set_exception(self._error)
        return future


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    "error", [JournalUnavailable("journal_full", "/disk/x", hint="h"), JournalBroken("journal_broken", "/disk/x")]
)
async def test_what_cannot_be_committed_is_never_a_2xx(error: Exception, at_once: bool) -> None:
    """The upstream would believe that it was delivered (P1)."""
    async with receiving(Failing(error, at_once=at_once), gate(TOKEN)) as receiver:  # type: ignore[arg-type]
        reply = await ask(receiver.url, post(PATH, task("a")))
        assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "journal_unavailable", "5")
        assert b"/disk" not in reply.body
        assert receiver.count("unavailable") == 1


async def test_a_sender_that_hangs_up_has_delivered(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    """An event would be half written, or lost although the sender had sent all of it."""
    caplog.set_level(logging.INFO)
    async with receiving(journal, gate(TOKEN)) as receiver:
        for n in range(20):
            async with wire(receiver.url) as connection:
                await connection.send(post(PATH, task(f"t{n}")))
        async with asyncio.timeout(5):
            await journal.events.wait(19)
        assert len(await delivered(journal)) == 20
        assert receiver.count("rejected") + receiver.count("unavailable") == 0
    assert not caplog.records


async def test_requests_in_a_row_are_answered_in_their_order(journal: Journal) -> None:
    """A sender that pipelines would take one delivery's answer for another's."""
    async with receiving(journal, gate(TOKEN)) as receiver, wire(receiver.url) as connection:
        sending = asyncio.create_task(connection.send(b"".join(post(PATH, task(f"t{n}")) for n in range(1000))))
        replies = [await connection.answer() for _ in range(1000)]
        await sending
    assert [reply.json["event_id"] for reply in replies] == [f"t{n}:succeeded" for n in range(1000)]


async def test_no_answer_sends_a_sender_away_for_good(journal: Journal) -> None:
    """A redirection or a 410 makes senders stop delivering (P1)."""
    assert not [code for code, kind in KINDS.items() if kind.status == 410 or 300 <= kind.status < 400]
    async with receiving(journal, gate(TOKEN)) as receiver:
        statuses = {(await _any(receiver.url, path)).status for path in (PATH, LOCAL, "/webhooks/", "/webhooks/x/")}
    assert statuses == {200, 401, 404}


async def _any(url: str, path: str) -> Answer:
    return await ask(url, post(path, b'{"task":{}}'))


async def test_what_a_source_says_becomes_the_letter(journal: Journal) -> None:
    """The reason would be lost between the source and the reader of the letter."""
    stub = Stub(lambda _: Unreadable("odd", "why it is odd", "task-1"))
    async with receiving(journal, gate(TOKEN), source=stub) as receiver:
        reply = await ask(receiver.url, post(PATH, b"[]"))
        again = await ask(receiver.url, post(PATH, b"[]"))
    assert again.json == {"status": "duplicate", "event_id": reply.json["event_id"]}
    held = await letter_in(journal, reply.json["event_id"])
    assert held is not None
    assert (held.reason, held.detail, held.raw) == ("odd", "why it is odd", b"[]")
