"""The traces of requests: those that arrive, and those that go on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from relay.edge.http.trace import onward, trace_of
from relay.journal.journal import Journal
from tests.services.raw_http import ask, get, post
from tests.services.scripted_upstream import answering, ok
from tests.unit.edge.chat.chatting import asking, chatting
from tests.unit.edge.proxy.submitting import submitting
from tests.unit.edge.serving import PATH, TOKEN, gate, opened, receiving, task

THEIRS, OURS = f"00-{'a' * 32}-{'b' * 16}-01", f"00-{'a' * 32}-{'c' * 16}-01"


@pytest.mark.parametrize(
    ("fields", "trace"),
    [
        ([("TraceParent", THEIRS)], THEIRS),
        ([("traceparent", THEIRS), ("Traceparent", OURS)], None),
        ([("traceparent", "nonsense")], None),
        ([], None),
    ],
)
def test_a_request_belongs_to_the_one_trace_that_it_names(fields: list[tuple[str, str]], trace: str | None) -> None:
    """A trace would end at the relay, or one go on that nobody meant."""
    assert trace_of(CIMultiDictProxy(CIMultiDict(fields))) == trace


HEADERS = [(b"Accept", b"*/*"), (b"TraceParent", THEIRS.encode()), (b"tracestate", b"v=1"), (b"X-A", b"1")]


@pytest.mark.parametrize(("received", "ours"), [(THEIRS, THEIRS), (None, None)])
def test_headers_go_on_as_they_came_while_nothing_is_traced_here(received: str | None, ours: str | None) -> None:
    """The relay would touch what it only has to pass on."""
    assert onward(HEADERS, received, ours) is HEADERS


def test_the_upstream_gets_our_span_in_the_clients_trace() -> None:
    """What the upstream does would hang in the trace beside the relay's part instead of below it."""
    changed = [(name, OURS.encode() if value == THEIRS.encode() else value) for name, value in HEADERS]
    assert onward(HEADERS, THEIRS, OURS) == changed


def test_the_state_of_a_trace_that_nobody_can_read_ends_here() -> None:
    """The upstream would take a vendor's notes on another trace for its own (W3C Trace Context, 3.3.1.3)."""
    broken = [(b"traceparent", b"nonsense"), (b"TraceState", b"v=1"), (b"X-A", b"1")]
    assert onward(broken, None, OURS) == [(b"traceparent", OURS.encode()), (b"X-A", b"1")]


# -- through the edge, with tracing off ----------------------------------------------------------------------------

FIELD = f"TraceParent: {THEIRS}"
DONE = ok(b'{"task":{"task_id":"t1","status":"TASK_STATUS_SUCCEED"}}')


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    async with opened(tmp_path) as journal:
        yield journal


async def traces(journal: Journal) -> list[str | None]:
    return [entry.event.traceparent for entry in await journal.events.read(0, 1000)]


@pytest.mark.parametrize("shortcut", [True, False])
async def test_a_delivery_keeps_its_senders_trace_on_both_ways(journal: Journal, shortcut: bool) -> None:
    """A trace would go on or break off by how a request happens to arrive."""
    async with receiving(journal, gate(TOKEN), shortcut=shortcut) as receiver:
        await ask(receiver.url, post(PATH, task("a"), FIELD))
        await ask(receiver.url, post(PATH, task("b")))
        await ask(receiver.url, post(PATH, task("c"), "traceparent: nonsense"))
        await ask(receiver.url, post(PATH, b'{"unreadable":1}', FIELD))
    assert await traces(journal) == [THEIRS, None, None, THEIRS]


async def test_a_sender_that_may_not_deliver_names_no_trace(journal: Journal) -> None:
    """Anybody could write into the traces of others."""
    async with receiving(journal, gate(TOKEN)) as receiver:
        assert (await ask(receiver.url, post("/webhooks/novita/no", task("a"), FIELD))).status == 401
    assert await traces(journal) == []


async def test_a_submission_and_its_result_keep_their_clients_trace(journal: Journal) -> None:
    """The trace of a task would begin nowhere, or the upstream get another one than the client's."""
    async with submitting(journal, answering(DONE)) as relay:
        await ask(relay.url, get("/v3/async/task-result?task_id=t1", FIELD, "tracestate: v=1"))
        await ask(relay.url, post("/v3/async/txt2img", b"{}", FIELD, "tracestate: v=1"))
        for call in relay.upstream.calls:
            assert (b"TraceParent", THEIRS.encode()) in call.fields
            assert call.header("tracestate") == "v=1"
    assert await traces(journal) == [THEIRS, THEIRS]


async def test_a_chat_reaches_the_upstream_with_its_clients_trace_as_it_came(tmp_path: Path) -> None:
    """The relay would touch what it only has to pass on."""
    async with chatting(tmp_path, answering(ok(b"{}"))) as served:
        await ask(served.url, asking("a/m", FIELD, "tracestate: v=1"))
        [call] = served.upstream.calls
        assert (b"TraceParent", THEIRS.encode()) in call.fields
        assert call.header("tracestate") == "v=1"
