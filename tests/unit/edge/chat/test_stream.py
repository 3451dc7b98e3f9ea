"""The bytes of a chat completion, and how it ends."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from relay.edge.http.raw_response import RawResponse
from relay.edge.http.server import Connection
from relay.settings.model import UpstreamSettings
from tests.services.raw_http import ask, wire
from tests.services.scripted_upstream import Call, Script, answering, chunks, ok
from tests.unit.edge.chat.chatting import DONE, HEAD, asking, chatting, frame, streaming, until

FRAMES = [b": hello\n\n", frame("Hel"), frame("lo", "stop"), DONE]


async def test_a_stream_reaches_the_client_as_it_was_sent(tmp_path: Path) -> None:
    """A client would see other bytes than without the relay."""
    odd = [b": c\r\n\r\n\n\n", b"event: x\ndata:{\r\n", b"data: }\n\n", *FRAMES]
    async with chatting(tmp_path, streaming(*odd)) as served, wire(served.url) as connection:
        await connection.send(asking())
        head = await connection.reader.readuntil(b"\r\n\r\n")
        body = b"".join(odd)
        received = b""
        while not received.endswith(b"0\r\n\r\n"):
            received += await connection.reader.read(65536)
    assert unchunked(received) == body
    assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Relay-Chat-Id: ")
    assert head.endswith(
        b"\r\nX-Accel-Buffering: no\r\nCache-Control: no-transform\r\nTransfer-Encoding: chunked\r\n\r\n"
    )


def unchunked(data: bytes) -> bytes:
    content = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        content, data = content + data[: int(size, 16)], data[int(size, 16) + 2 :]
    return content


async def test_a_completed_stream_is_published_with_what_was_said(tmp_path: Path) -> None:
    """The conversation would be missing in the events."""
    async with chatting(tmp_path, streaming(*FRAMES)) as served, wire(served.url) as connection:
        await connection.send(asking())
        await connection.reader.readuntil(b"0\r\n\r\n")
        started, chunk, _ = events = await served.events()
        ending = await served.ending()
    assert [event.type for event in events] == ["relay.chat.started", "relay.chat.chunk", "relay.chat.completed"]
    assert started.subject == chunk.subject == ending["chat_id"]
    assert ending["choices"][0]["content"] == "Hello"
    assert served.metric("relay_chats_total", api="chat_completions", outcome="completed", reason="") == 1
    assert served.metric("relay_chats_active") == 0


async def test_an_answer_that_is_no_stream_is_published_as_well(tmp_path: Path) -> None:
    """Calls without ``stream`` would leave no trace."""
    body = b'{"id":"c","model":"a/m","choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}]}'
    answer = ok(body, "Content-Type: application/json")
    async with chatting(tmp_path, answering(answer)) as served:
        assert (await ask(served.url, asking(stream=False))).body == body
        ending = await served.ending()
    assert (ending["type"], ending["choices"][0]["content"]) == ("relay.chat.completed", "hi")


async def test_an_error_status_passes_and_is_published(tmp_path: Path) -> None:
    """SDKs would not see why, and neither would the events."""
    body = b'{"code":429,"reason":"RATE_LIMIT_EXCEEDED","message":"slow down"}'
    sent = ok(body, "retry-after: 7", status="429 Too Many Requests")
    async with chatting(tmp_path, answering(sent)) as served:
        answer = await ask(served.url, asking())
        assert (answer.status, answer.body, answer.headers["retry-after"]) == (429, body, "7")
        ending = await served.ending()
    assert (ending["type"], ending["reason"], ending["http_status"]) == ("relay.chat.failed", "error_status", 429)


async def test_an_upstream_that_breaks_off_is_seen_to_do_so(tmp_path: Path) -> None:
    """Half an answer would be taken for the whole of it; a frame of the relay's would hide what happened."""

    async def script(call: Call) -> None:
        await call.send(HEAD, chunks(FRAMES[1], end=False))
        call.reset()

    async with chatting(tmp_path, script) as served, wire(served.url) as connection:
        await connection.send(asking())
        assert (await connection.rest()).endswith(b"\r\n\r\n" + chunks(FRAMES[1], end=False))
        ending = await served.ending()
    assert (ending["type"], ending["reason"]) == ("relay.chat.failed", "upstream_reset")
    assert ending["choices"][0]["content"] == "Hel"


async def hang(call: Call) -> None:
    await call.send(HEAD, chunks(FRAMES[1], end=False))
    await call.until_gone()


async def test_an_upstream_that_hangs_is_reported_in_a_frame_and_without_an_end(tmp_path: Path) -> None:
    """The client would wait forever, or take what it has for the whole."""
    async with (
        chatting(tmp_path, hang, timeouts=UpstreamSettings(idle_timeout=0.1)) as served,
        wire(served.url) as connection,
    ):
        await connection.send(asking())
        rest = await connection.rest()
        ending = await served.ending()
    assert b'data: {"error":{"message":"The upstream did not answer within upstream.idle_timeout' in rest
    assert not rest.endswith(b"0\r\n\r\n")
    assert rest.endswith(b"}}\n\n\r\n")
    assert (ending["type"], ending["reason"]) == ("relay.chat.failed", "upstream_timeout")
    assert served.upstream.calls[0].gone.is_set()


async def test_no_frame_is_put_into_the_middle_of_another(tmp_path: Path) -> None:
    """The SDK would fail to read both."""

    async def script(call: Call) -> None:
        await call.send(HEAD, chunks(FRAMES[1][:-1], end=False))
        await call.until_gone()

    async with (
        chatting(tmp_path, script, timeouts=UpstreamSettings(idle_timeout=0.1)) as served,
        wire(served.url) as connection,
    ):
        await connection.send(asking())
        assert (await connection.rest()).endswith(chunks(FRAMES[1][:-1], end=False))


async def before(call: Call) -> None:
    await call.until_gone()


@pytest.mark.parametrize(("script", "stream"), [(before, True), (before, False), (hang, True)])
async def test_a_client_that_leaves_takes_the_upstream_with_it(tmp_path: Path, script: Script, stream: bool) -> None:
    """The upstream would go on, and bill, what nobody reads; before the first byte, too."""
    async with chatting(tmp_path, script) as served:
        async with wire(served.url) as connection:
            await connection.send(asking(stream=stream))
            if script is hang:
                await connection.reader.readuntil(b"Hel")
            else:
                while not served.upstream.calls:
                    await asyncio.sleep(0.002)
        async with asyncio.timeout(5):
            await served.upstream.calls[0].gone.wait()
        ending = await served.ending()
    assert (ending["type"], ending["reason"]) == ("relay.chat.cancelled", "client_gone")
    assert served.metric("relay_chats_total", api="chat_completions", outcome="cancelled", reason="client_gone") == 1


async def test_a_client_that_leaves_after_the_end_has_it_all(tmp_path: Path) -> None:
    """SDKs close at ``[DONE]``: every stream would count as cancelled."""

    async def script(call: Call) -> None:
        await call.send(HEAD, chunks(*FRAMES, end=False))
        await call.until_gone()

    async with chatting(tmp_path, script) as served:
        async with wire(served.url) as connection:
            await connection.send(asking())
            await connection.reader.readuntil(DONE)
        assert (await served.ending())["type"] == "relay.chat.completed"


async def test_a_drained_stream_is_read_to_its_end(tmp_path: Path) -> None:
    """Usage, which comes last, would be lost with each client that leaves early."""
    left = asyncio.Event()

    async def script(call: Call) -> None:
        await call.send(HEAD, chunks(FRAMES[1], end=False))
        await left.wait()
        await call.send(chunks(FRAMES[2], frame(usage={"total_tokens": 7}), DONE))

    async with chatting(tmp_path, script, on_disconnect="drain") as served:
        async with wire(served.url) as connection:
            await connection.send(asking())
            await connection.reader.readuntil(b"Hel")
        while not any(record.left for record in served.chat._streams):
            await asyncio.sleep(0.002)
        left.set()
        ending = await served.ending()
    assert (ending["type"], ending["usage"]) == ("relay.chat.cancelled", {"total_tokens": 7})
    assert ending["choices"][0]["content"] == "Hello"


async def test_what_is_drained_is_not_tried_again(tmp_path: Path) -> None:
    """A stream without a client would wait for an attempt that nobody makes, and never end."""
    left = asyncio.Event()

    async def script(call: Call) -> None:
        await left.wait()
        await call.send(ok(b"", status="503 Service Unavailable"))

    async with chatting(tmp_path, script, on_disconnect="drain", max_retries=3) as served:
        async with wire(served.url) as connection:
            await connection.send(asking())
            await until(lambda: bool(served.upstream.calls))
        await until(lambda: any(record.left for record in served.chat._streams))
        left.set()
        assert (await served.ending())["type"] == "relay.chat.cancelled"
        assert len(served.upstream.calls) == 1


@pytest.mark.parametrize("cap", [{"drain_timeout": "50ms"}, {"max_drain_size": 1000}])
async def test_draining_has_an_end(tmp_path: Path, cap: dict[str, object]) -> None:
    """A stream without end would be read for nobody, forever."""

    async def script(call: Call) -> None:
        await call.send(HEAD, chunks(FRAMES[1], end=False))
        gone = asyncio.create_task(call.until_gone())
        while not gone.done() and "max_drain_size" in cap:
            call.writer.write(chunks(FRAMES[1], end=False))
            await asyncio.sleep(0.001)
        await gone

    async with chatting(tmp_path, script, on_disconnect="drain", **cap) as served:
        async with wire(served.url) as connection:
            await connection.send(asking())
            await connection.reader.readuntil(b"Hel")
        async with asyncio.timeout(5):
            await served.upstream.calls[0].gone.wait()
        assert (await served.ending())["reason"] == "client_gone"


async def test_what_was_not_answered_is_tried_again_where_that_is_allowed(tmp_path: Path) -> None:
    """A moment's trouble of the upstream's would reach every client, or one that is not allowed would be paid twice."""
    failures = [b"", ok(b"", status="502 Bad Gateway"), ok(b"", status="503 Service Unavailable")]

    async def script(call: Call) -> None:
        if len(served.upstream.calls) <= len(failures):
            await call.send(failures[len(served.upstream.calls) - 1])
            call.writer.close()
        else:
            await streaming(*FRAMES)(call)

    async with chatting(tmp_path, script, max_retries=3) as served, wire(served.url) as connection:
        await connection.send(asking())
        await connection.reader.readuntil(DONE)
        assert (await served.ending())["type"] == "relay.chat.completed"
        assert len({call.body for call in served.upstream.calls}) == 1
        assert len(served.upstream.calls) == 4


@pytest.mark.parametrize("first", [b"", ok(b"no", status="503 Service Unavailable")])
async def test_by_default_nothing_is_tried_again(tmp_path: Path, first: bytes) -> None:
    """A request that may be paid for would be sent twice without anybody's leave."""

    async def script(call: Call) -> None:
        await call.send(first)
        call.writer.close()

    async with chatting(tmp_path, script) as served:
        answer = await ask(served.url, asking())
        assert answer.status == (503 if first else 502)
        assert len(served.upstream.calls) == 1
        assert (await served.ending())["reason"] == ("error_status" if first else "upstream_reset")


async def test_a_time_that_is_over_is_not_taken_again(tmp_path: Path) -> None:
    """A client would wait several times ten minutes, and pay for each."""
    async with chatting(tmp_path, before, max_retries=3, timeouts=UpstreamSettings(first_byte_timeout=0.05)) as served:
        assert (await ask(served.url, asking())).status == 504
        assert len(served.upstream.calls) == 1


async def test_after_the_first_byte_nothing_is_tried_again(tmp_path: Path) -> None:
    """The client would get the beginning of an answer twice."""

    async def script(call: Call) -> None:
        await call.send(HEAD)
        call.reset()

    async with chatting(tmp_path, script, max_retries=3) as served, wire(served.url) as connection:
        await connection.send(asking())
        await connection.rest()
        assert (await served.ending())["reason"] == "upstream_reset"
        assert len(served.upstream.calls) == 1


async def test_an_upstream_that_is_away_is_reported_in_openais_shape(tmp_path: Path) -> None:
    """The SDK would hide the error behind one of its own, and the events would not have it."""
    async with chatting(tmp_path, before, base_url="http://127.0.0.1:1") as served:
        answer = await ask(served.url, asking())
        assert (answer.status, answer.json["error"]["code"]) == (502, "upstream_unreachable")
        assert (await served.ending())["reason"] == "upstream_unreachable"


BLOCK = frame("x" * 60_000)


async def flood(call: Call) -> None:
    """Sends as much as is taken; ``call.body`` has what that was."""
    await call.send(HEAD)
    sent = 0
    gone = asyncio.create_task(call.until_gone())
    while not gone.done():
        call.writer.write(chunks(BLOCK, end=False))
        draining = asyncio.ensure_future(call.writer.drain())
        await asyncio.wait((draining, gone), return_when=asyncio.FIRST_COMPLETED)
        sent += len(BLOCK)
        call.body = b"%d" % sent
    draining.cancel()
    await asyncio.gather(draining, return_exceptions=True)


async def test_a_slow_reader_slows_its_upstream_and_is_cut_in_time(tmp_path: Path) -> None:
    """Everything that a client does not read would pile up in memory, forever."""
    async with chatting(tmp_path, flood, idle_timeout="300ms") as served:
        async with wire(served.url) as connection:
            await connection.send(asking())
            await connection.reader.readuntil(b"data: ")
            connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
            [stream] = served.chat._streams.values()
            await _until_still(served.upstream.calls[0])
            assert stream._client is not None
            assert stream._client._transport.get_write_buffer_size() < 1 << 20
            async with asyncio.timeout(5):
                await served.upstream.calls[0].gone.wait()
        ending = await served.ending()
    assert (ending["type"], ending["reason"]) == ("relay.chat.failed", "slow_client")


async def _until_still(call: Call) -> None:
    """Returns when the upstream could send nothing more for a while."""
    async with asyncio.timeout(5):
        before = b""
        while before != call.body:
            before = call.body
            await asyncio.sleep(0.05)


async def test_a_reader_that_is_slow_but_reads_is_not_cut(tmp_path: Path) -> None:
    """A client on a thin line would lose its stream in the middle."""
    total, begun = 8, asyncio.Event()

    async def script(call: Call) -> None:
        await call.send(HEAD, chunks(frame("first"), end=False))
        await begun.wait()
        await call.send(*[chunks(BLOCK, end=False)] * total, chunks(DONE))

    async with chatting(tmp_path, script, idle_timeout="1s") as served, wire(served.url) as connection:
        connection.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        await connection.send(asking())
        received = await connection.reader.readuntil(b"first")
        [stream] = served.chat._streams.values()
        stream._request.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        begun.set()
        clock, waited = asyncio.get_running_loop().time, 0.0
        while not received.endswith(b"0\r\n\r\n"):
            read_at = clock()
            piece = await connection.reader.read(8192)
            assert piece, "cut"
            received += piece
            await asyncio.sleep(0.05)
            waited += (clock() - read_at) * (stream._timer is not None)
        assert waited > 2 * 1.0, "the reader was never so slow that it could have been cut"
        assert received.count(b"data: {") == total + 1
        assert (await served.ending())["type"] == "relay.chat.completed"


async def test_a_client_that_has_caught_up_is_slow_no_more(tmp_path: Path) -> None:
    """A client that was slow for a moment would be cut later, while it waits for an upstream that thinks."""
    thought = asyncio.Event()

    async def script(call: Call) -> None:
        await call.send(HEAD, chunks(FRAMES[1], end=False))
        await thought.wait()
        await call.send(chunks(*FRAMES[2:]))

    async with chatting(tmp_path, script) as served, wire(served.url) as connection:
        await connection.send(asking())
        await connection.reader.readuntil(b"Hel")
        [stream] = served.chat._streams.values()
        stream.pause()
        assert stream._timer is not None
        stream.resume()
        assert stream._timer is None
        thought.set()
        await connection.reader.readuntil(DONE)
        assert (await served.ending())["type"] == "relay.chat.completed"


async def test_a_client_that_leaves_while_it_is_slow_is_noticed(tmp_path: Path) -> None:
    """The upstream would stay paused, and be paid for, until a limit."""
    async with chatting(tmp_path, flood) as served:
        async with wire(served.url) as connection:
            await connection.send(asking())
            await connection.reader.readuntil(b"data: ")
            connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await _until_still(served.upstream.calls[0])
            connection.writer.transport.abort()
        async with asyncio.timeout(5):
            await served.upstream.calls[0].gone.wait()
        assert (await served.ending())["type"] == "relay.chat.cancelled"


async def test_a_client_of_http_1_0_gets_its_stream(tmp_path: Path) -> None:
    """An old client would find the sizes of chunks in its text."""
    async with chatting(tmp_path, streaming(*FRAMES)) as served, wire(served.url) as connection:
        await connection.send(asking().replace(b"HTTP/1.1", b"HTTP/1.0"))
        head, _, body = (await connection.rest()).partition(b"\r\n\r\n")
    assert body == b"".join(FRAMES)
    assert b"hunked" not in head


async def test_two_chats_on_one_connection(tmp_path: Path) -> None:
    """SDKs keep their connection: the second chat would find the first one's end, or its flow control."""
    async with chatting(tmp_path, streaming(*FRAMES)) as served, wire(served.url) as connection:
        for _ in range(3):
            await connection.send(asking())
            await connection.reader.readuntil(b"0\r\n\r\n")
        assert len(await served.events()) == 9
        assert served.upstream.connections == 1


async def test_a_connection_forgets_the_chat_that_has_ended(tmp_path: Path) -> None:
    """Each idle connection of an SDK would keep its last chat in memory, with all that was said."""
    async with chatting(tmp_path, streaming(*FRAMES)) as served, wire(served.url) as connection:
        await connection.send(asking())
        await connection.reader.readuntil(b"0\r\n\r\n")
        assert (await served.ending())["type"] == "relay.chat.completed"
        [kept] = served.listener.server.connections
        assert isinstance(kept, Connection)
        assert kept.flow is None


async def test_a_stream_is_over_when_its_client_has_taken_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that does not take the end would not be cut, and its next answer be piled up on this one."""
    waited_for, taken = asyncio.Event(), asyncio.Event()

    async def drained(_: RawResponse) -> bool:
        waited_for.set()
        await taken.wait()
        return True

    monkeypatch.setattr(RawResponse, "drained", drained)
    async with chatting(tmp_path, streaming(*FRAMES)) as served, wire(served.url) as connection:
        await connection.send(asking() + asking())
        async with asyncio.timeout(5):
            await waited_for.wait()
            assert len(served.upstream.calls) == 1
            taken.set()
            await until(lambda: len(served.upstream.calls) == 2)
