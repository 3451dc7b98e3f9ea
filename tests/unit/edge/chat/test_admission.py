"""Who may begin a chat completion, and what the upstream gets of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest
from structlog.testing import capture_logs

from relay.edge.chat import event_queue
from relay.journal.journal import Policy
from tests.services.raw_http import ask, get, post, wire
from tests.services.scripted_upstream import Call, Script, answering, chunks, ok
from tests.unit.edge.chat.chatting import (
    DONE,
    HEAD,
    PATH,
    asking,
    chatting,
    clients,
    frame,
    key,
    shown,
    streaming,
    until,
)

PLAIN = answering(ok(b'{"choices":[]}', "Content-Type: application/json"))


@pytest.mark.parametrize(
    "path", [PATH, "/openai/chat/completions", "/v3/openai/chat/completions?x=1", "/openai/v1//chat/completions/"]
)
async def test_each_base_that_sdks_use_is_recorded(tmp_path: Path, path: str) -> None:
    """The chats of an older base would pass without a trace."""
    async with chatting(tmp_path, PLAIN) as served:
        await ask(served.url, asking(path=path))
        assert served.upstream.calls[0].line == f"POST {path} HTTP/1.1"
        assert len(await served.events()) == 2


async def test_the_body_goes_on_as_it_came(tmp_path: Path) -> None:
    """The upstream would be asked for something else than the client asked for."""
    body = b'{ "model":"a/m",\n "stream" : false, "x": 1e400, "model":"a/m" }'
    async with chatting(tmp_path, PLAIN) as served:
        await ask(served.url, post(PATH, body, "X-Stainless-Lang: python", "Accept-Encoding: gzip, br"))
        [call] = served.upstream.calls
    assert call.body == body
    assert call.header("x-stainless-lang") == "python"
    assert call.header("accept-encoding") == "identity"
    assert call.header("content-length") == str(len(body))


@pytest.mark.parametrize("body", [b"", b"[]", b'{"model":', b"\xff"])
async def test_a_body_that_is_no_request_is_the_upstreams_to_refuse(tmp_path: Path, body: bytes) -> None:
    """A client would get another error than without the relay, or none at all."""
    async with chatting(tmp_path, answering(ok(b"no", status="400 Bad Request"))) as served:
        assert (await ask(served.url, post(PATH, body))).status == 400
        assert (await served.ending())["http_status"] == 400


@pytest.mark.parametrize("capture", ["none", "metadata", "full"])
async def test_events_say_of_the_request_what_the_setting_allows(tmp_path: Path, capture: str) -> None:
    """Prompts would be published against the operator's will."""
    async with chatting(tmp_path, PLAIN, capture={"request": capture}) as served:
        await ask(served.url, asking())
        requests = [orjson.loads(event.data)["request"] for event in await served.events()]
    assert requests[0] == requests[1]
    assert (requests[0] is None) == (capture == "none")
    assert (requests[0] or {}).get("messages") == ([{"role": "user", "content": "hi"}] if capture == "full" else None)


async def test_a_clients_name_and_trace_are_in_its_events(tmp_path: Path) -> None:
    """Nobody would know whose conversation it was."""
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    async with chatting(tmp_path, PLAIN, clients=clients(web={}), api_key="up") as served:
        await ask(served.url, asking("a/m", shown("web"), f"traceparent: {trace}"))
        events = await served.events()
    assert [orjson.loads(event.data)["client"] for event in events] == ["web", "web"]
    assert [event.traceparent for event in events] == [trace, trace]
    assert key("web") not in str(events)


async def test_a_client_gets_no_model_that_it_may_not_use(tmp_path: Path) -> None:
    """A client could use the dearest model there is."""
    named = clients(web={"models": ["a/m"]})
    async with chatting(tmp_path, PLAIN, clients=named, api_key="up") as served:
        answer = await ask(served.url, asking("b/m", shown("web")))
        assert (answer.status, answer.json["error"]["code"]) == (403, "model_not_allowed")
        assert (await ask(served.url, post(PATH, b"no json", shown("web")))).status == 403
        assert (await ask(served.url, asking("a/m", shown("web")))).status == 200
        assert len(served.upstream.calls) == 1


async def test_a_client_has_no_more_streams_than_it_may(tmp_path: Path) -> None:
    """One client could take the upstream's whole rate for itself; or would lose a place with each stream that ends."""

    async def script(call: Call) -> None:
        await call.send(HEAD, chunks(frame("a"), end=False))
        await call.until_gone()

    named = clients(web={"max_concurrent": 1}, batch={})
    async with chatting(tmp_path, script, clients=named, api_key="up") as served:
        for _ in range(2):
            async with wire(served.url) as connection:
                await connection.send(asking("a/m", shown("web")))
                await connection.reader.readuntil(b"data: ")
                refused = await ask(served.url, asking("a/m", shown("web")))
                assert (refused.status, refused.json["error"]["code"]) == (429, "too_many_chats")
                assert refused.headers["retry-after"]
                async with wire(served.url) as other:
                    await other.send(asking("a/m", shown("batch")))
                    await other.reader.readuntil(b"data: ")
            await until(lambda: not served.chat._streams)
        assert len(await served.events()) == 3 * 4


MESSAGES = "/anthropic/v1/messages"
SPENT = frame("a", "stop").replace(b'"choices"', b'"usage":{"prompt_tokens":70,"completion_tokens":50},"choices"')


async def test_a_client_that_has_spent_its_tokens_begins_no_chat_until_they_are_back(tmp_path: Path) -> None:
    """One client could spend the upstream's whole credit; or others, or its other requests, would pay for it."""
    named = clients(web={"tokens_per_minute": 100}, batch={})
    async with chatting(tmp_path, streaming(SPENT, DONE), clients=named, api_key="up") as served:
        assert (await ask(served.url, asking("a/m", shown("web")))).status == 200
        await served.ending()
        refused = await ask(served.url, asking("a/m", shown("web")))
        assert (refused.status, refused.json["error"]["code"]) == (429, "rate_limited")
        assert 1 <= int(refused.headers["retry-after"]) <= 13
        other = await ask(served.url, post(MESSAGES, b'{"model":"a/m"}', shown("web")))
        assert other.json["type"] == "error"
        assert other.json["error"]["type"] == "rate_limit_error"
        assert (await ask(served.url, asking("a/m", shown("batch")))).status == 200
        assert (await ask(served.url, post("/openai/v1/embeddings", b"{}", shown("web")))).status == 200
        assert len(served.upstream.calls) == 3


async def test_requests_of_all_kinds_count_but_questions(tmp_path: Path) -> None:
    """A client would get around its limit on another route, or use it up by asking for the models."""
    named = clients(web={"requests_per_minute": 2})
    async with chatting(tmp_path, PLAIN, clients=named, api_key="up") as served:
        for _ in range(5):
            assert (await ask(served.url, get("/openai/v1/models", shown("web")), "GET")).status == 200
        assert (await ask(served.url, asking("a/m", shown("web")))).status == 200
        assert (await ask(served.url, post("/openai/v1/embeddings", b"{}", shown("web")))).status == 200
        for request in (asking("a/m", shown("web")), post("/openai/v1/embeddings", b"{}", shown("web"))):
            refused = await ask(served.url, request)
            assert (refused.status, refused.json["error"]["code"]) == (429, "rate_limited")
            assert 1 <= int(refused.headers["retry-after"]) <= 30


async def test_a_place_counts_for_one_stream_though_two_requests_come_at_once(tmp_path: Path) -> None:
    """A client would have as many streams as it likes, if it only sent their bodies slowly."""
    named, request = clients(web={"max_concurrent": 1}), asking("a/m", shown("web"))
    async with chatting(tmp_path, streaming(frame("a"), DONE), clients=named, api_key="up") as served:
        held = asyncio.Event()
        served.upstream.script = _until(held)
        async with wire(served.url) as first, wire(served.url) as second:
            for connection in (first, second):
                await connection.send(request[:-1])
            begun = len(request.partition(b"\r\n\r\n")[2]) - 1
            await until(lambda: served.chat._proxy.bodies.inflight == 2 * begun)
            await first.send(request[-1:])
            await first.reader.readuntil(b"data: ")
            await second.send(request[-1:])
            refused = await second.answer()
            assert (refused.status, refused.json["error"]["code"]) == (429, "too_many_chats")
            held.set()


def _until(held: asyncio.Event) -> Script:
    async def script(call: Call) -> None:
        await call.send(HEAD, chunks(frame("a"), end=False))
        await held.wait()
        await call.send(chunks(DONE))

    return script


async def test_while_draining_no_stream_begins_and_those_under_way_go_on(tmp_path: Path) -> None:
    """A stream would begin that cannot end, or one end that could have gone on."""
    go_on = asyncio.Event()

    async def script(call: Call) -> None:
        await call.send(HEAD, chunks(frame("a"), end=False))
        await go_on.wait()
        await call.send(chunks(frame("b", "stop")))

    async with chatting(tmp_path, script) as served, wire(served.url) as connection:
        await connection.send(asking())
        await connection.reader.readuntil(b"data: ")
        served.chat.intake.chats = False
        refused = await ask(served.url, asking())
        assert (refused.status, refused.json["error"]["code"]) == (503, "draining")
        assert refused.headers["retry-after"]
        go_on.set()
        await connection.reader.readuntil(b"0\r\n\r\n")
        assert (await served.ending())["type"] == "relay.chat.completed"


async def test_a_relay_that_shuts_down_says_so_and_ends_what_is_left(tmp_path: Path) -> None:
    """Clients would take a stream that was cut for a whole one, and its events would have no ending."""

    async def script(call: Call) -> None:
        await call.send(HEAD, chunks(frame("a"), end=False))
        await call.until_gone()

    async with chatting(tmp_path, script) as served, wire(served.url) as connection:
        await connection.send(asking())
        await connection.reader.readuntil(b'"a"')
        await served.chat.finish(5.0)
        rest = await connection.rest()
        ending = await served.ending()
    assert b'data: {"error":{"message":"The relay is shutting down.","type":"server_error"' in rest
    assert b"[DONE]" not in rest
    assert not rest.endswith(b"0\r\n\r\n")
    assert (ending["type"], ending["reason"]) == ("relay.chat.failed", "relay_shutdown")


async def test_a_relay_that_shuts_down_before_the_first_byte_answers_with_an_error(tmp_path: Path) -> None:
    """An SDK would see a connection that breaks, where it could have tried again elsewhere."""

    async def script(call: Call) -> None:
        await call.until_gone()

    async with chatting(tmp_path, script) as served, wire(served.url) as connection:
        await connection.send(asking())
        await until(lambda: bool(served.upstream.calls))
        await served.chat.finish(5.0)
        answer = await connection.answer()
        assert (answer.status, answer.json["error"]["code"]) == (503, "draining")
        assert (await served.ending())["reason"] == "relay_shutdown"


async def test_a_journal_that_is_full_breaks_no_stream_and_loses_no_ending(tmp_path: Path) -> None:
    """Clients would suffer from an outage of a broker, or conversations be lost to it."""
    script = streaming(frame("a"), frame("b", "stop"), DONE)
    async with chatting(tmp_path, script, policy=Policy(max_backlog=1)) as served:
        async with wire(served.url) as connection:
            for _ in range(2):
                await connection.send(asking())
                await connection.reader.readuntil(b"0\r\n\r\n")
        await until(lambda: not served.chat._streams and served.journal.events.last_offset > 0)
        assert served.queue.waiting > 0
        while await served.queue.flushed(0.05):
            served.journal.progress.advance("kafka", served.journal.events.last_offset, published=1, dead=0)
        types = [event.type.removeprefix("relay.chat.") for event in await served.events()]
    assert sorted(types) == sorted(2 * ["started", "chunk", "completed"])
    assert types.index("started") < types.index("chunk") < types.index("completed")


async def test_a_relay_that_ends_before_the_journal_has_everything_says_so(tmp_path: Path) -> None:
    """Conversations would be missing in the events without a word."""
    with capture_logs() as lines:
        async with chatting(tmp_path, streaming(DONE), policy=Policy(max_backlog=1)) as served:
            async with wire(served.url) as connection:
                await connection.send(asking())
                await connection.reader.readuntil(b"0\r\n\r\n")
            await until(lambda: served.journal.events.last_offset > 0)
            await served.chat.finish(0.05)
    assert {"chats": 1} in [{"chats": line["chats"]} for line in lines if line["event"] == "chat events not recorded"]


async def test_nothing_begins_whose_ending_could_not_be_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory would grow with each stream while the journal is full."""
    monkeypatch.setattr(event_queue, "FULL", -1)
    async with chatting(tmp_path, streaming(frame("a"))) as served:
        answer = await ask(served.url, asking())
        assert (answer.status, answer.json["error"]["code"]) == (503, "overloaded")
        assert served.upstream.calls == []
