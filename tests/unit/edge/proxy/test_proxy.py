"""What passes through: bytes as they came, in both directions."""

from __future__ import annotations

import asyncio
import socket
from typing import cast

import pytest

from relay.edge.http.bodies import BodyLimits
from relay.edge.proxy.proxy import _is_text
from relay.settings.model import UpstreamSettings
from relay.upstream.client import Answer, Incoming
from relay.upstream.wire import Head
from tests.services.raw_http import ask, chunked, get, post, wire
from tests.services.scripted_upstream import Call, answering, chunks, ok
from tests.unit.edge.proxy.proxying import proxying

KEY = "relay-key-of-web-0123456789"
MODELS = "/openai/v1/models"


async def test_a_request_reaches_the_upstream_as_it_was_sent() -> None:
    """The upstream would see another path, query, spelling or body than the client sent."""
    async with proxying(answering(ok())) as proxied:
        target = "/v3/openai/files/a%2Fb//x;y?q=%20+&q"
        await ask(proxied.url, post(target, b"body\0", "X-b: 2", "x-A: 1", "X-b: 3", "TE: trailers", method="PATCH"))
        [call] = proxied.upstream.calls
        assert call.line == f"PATCH {target} HTTP/1.1"
        assert call.body == b"body\0"
        assert [field for field in call.fields if field[0].lower() in (b"x-a", b"x-b", b"te")] == [
            (b"X-b", b"2"),
            (b"x-A", b"1"),
            (b"X-b", b"3"),
        ]


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        (200, b"application/json; charset=utf-8", True),
        (200, b"application/problem+json", True),
        (200, b"Text/Plain", True),
        (200, b"text/event-stream", False),
        (200, b"image/png", False),
        (200, b"", False),
        (500, b"image/png", True),
    ],
)
def test_what_an_upstream_may_quote_a_secret_in_is_known(status: int, kind: bytes, text: bool) -> None:
    """A client would be shown the relay's key, or a file and a stream be held up by the search for it."""
    head = Head(status, b"", [(b"Content-Type", kind)] if kind else [])
    assert _is_text(Answer(head, cast(Incoming, None))) is text


async def test_an_answer_reaches_the_client_byte_for_byte() -> None:
    """A client behind the relay would see another answer than one without it."""
    lines = ["x-B: 1", "Date: x", "X-RateLimit-Remaining: 0", "Content-Encoding: gzip", "x-B: 2"]
    sent = ok(b"\x1f\x8b not really", *lines, status="429 Slow Down")
    async with proxying(answering(sent)) as proxied, wire(proxied.url) as connection:
        await connection.send(get(MODELS))
        received = await connection.reader.readexactly(len(sent))
    assert received == sent


@pytest.mark.parametrize(
    ("path", "base"),
    [
        ("/v1/chat/completions", "/openai/v1"),
        ("/chat/completions", "/openai/v1"),
        ("/v1/models", "/openai/v1"),
        ("/v1/responses/r1/cancel", "/openai/v1"),
        ("/v1/messages?beta=true", "/anthropic"),
        ("/v1/v1/messages/count_tokens", "/anthropic"),
    ],
)
async def test_a_client_that_is_one_path_off_reads_what_to_change(path: str, base: str) -> None:
    """The first chat of a newcomer would end in a bare 404."""
    async with proxying(answering(ok())) as proxied:
        reply = await ask(proxied.url, post(path, b"{}"))
        assert proxied.upstream.calls == []
    expected = f"This API is elsewhere here: set base_url to http://127.0.0.1{base}. Check the path and the id."
    assert (reply.status, reply.json["error"]["message"]) == (404, expected)
    assert reply.json["error"]["code"] == "not_found"


async def test_a_stream_passes_piece_by_piece() -> None:
    """A stream would be held back until it is whole."""
    more = asyncio.Event()

    async def script(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunks(b"one", end=False))
        await more.wait()
        await call.send(chunks(b"two"))

    async with proxying(script) as proxied, wire(proxied.url) as connection:
        await connection.send(get(MODELS))
        head = await connection.reader.readuntil(b"\r\n\r\n")
        assert b"\r\nTransfer-Encoding: chunked\r\n" in head
        assert await connection.reader.readexactly(8) == chunks(b"one", end=False)
        more.set()
        assert await connection.reader.readexactly(13) == chunks(b"two")


async def test_the_connection_lives_on_after_an_answer() -> None:
    """Each request would pay for a new connection."""
    async with proxying(answering(ok())) as proxied, wire(proxied.url) as connection:
        for _ in range(3):
            await connection.send(get(MODELS))
            assert (await connection.answer()).body == b"{}"


async def test_an_old_client_gets_the_body_until_the_end_of_the_connection() -> None:
    """A client of HTTP/1.0 would take the chunks' framing for content."""
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(b"one", b"two")
    async with proxying(answering(answer)) as proxied, wire(proxied.url) as connection:
        await connection.send(b"GET /openai/v1/models HTTP/1.0\r\n\r\n")
        head, _, body = (await connection.rest()).partition(b"\r\n\r\n")
    assert body == b"onetwo"
    assert b"chunked" not in head
    assert b"Connection: close" in head


@pytest.mark.parametrize(("method", "status"), [("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "304 Same")])
async def test_an_answer_without_a_body_has_none(method: str, status: str) -> None:
    """The client would wait for a body that never comes, or take the next answer for it."""

    async def script(call: Call) -> None:
        length = b"" if status.startswith("204") else b"Content-Length: 9\r\n"
        await call.send(f"HTTP/1.1 {status}\r\n".encode() + length + b"\r\n")

    async with proxying(script) as proxied, wire(proxied.url) as connection:
        for _ in range(2):
            await connection.send(get(MODELS, method=method))
            head = await connection.reader.readuntil(b"\r\n\r\n")
            assert head.startswith(f"HTTP/1.1 {status}\r\n".encode())
            assert b"chunked" not in head


async def test_a_large_upload_streams() -> None:
    """Uploads of files would have to fit into memory, and into a limit made for chats."""
    pieces = [b"x" * 65536] * 64
    async with proxying(answering(ok()), limits=BodyLimits(1024, 1024, 5.0, "proxy")) as proxied:
        await ask(proxied.url, chunked("/openai/v1/files", *pieces))
        assert proxied.upstream.calls[0].body == b"".join(pieces)


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (chunked("/v3/async/x", b"{}").replace(b": chunked", b": gzip, chunked"), 501, "unsupported_transfer_coding"),
        (post("/v3/%2e%2e/x"), 400, "bad_request"),
        (post("/v3/async/x", method="TRACE"), 405, "method_not_allowed"),
    ],
    ids=["coding", "target", "method"],
)
async def test_what_the_upstream_may_read_otherwise_goes_no_further(request_: bytes, status: int, code: str) -> None:
    """The relay's limits would be held to one request, and the upstream serve another."""
    async with proxying(answering(ok())) as proxied:
        answer = await ask(proxied.url, request_)
        assert (answer.status, answer.code) == (status, code)
        assert proxied.upstream.calls == []


async def test_a_client_that_waits_to_be_invited_is() -> None:
    """curl would wait a second before each large upload, other clients forever."""
    async with proxying(answering(ok())) as proxied, wire(proxied.url) as connection:
        await connection.send(post("/openai/v1/files", b"", "Expect: 100-continue").replace(b": 0", b": 4"))
        assert await connection.line() == b"HTTP/1.1 100 Continue\r\n"
        await connection.line()
        await connection.send(b"body")
        assert (await connection.answer()).status == 200
        assert proxied.upstream.calls[0].header("expect") is None


async def test_an_answer_that_breaks_off_ends_without_its_end() -> None:
    """The client would take half an answer for the whole of it."""

    async def script(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunks(b"one", end=False))
        call.reset()

    async with proxying(script) as proxied, wire(proxied.url) as connection:
        await connection.send(get(MODELS))
        assert (await connection.rest()).endswith(b"\r\n\r\n" + chunks(b"one", end=False))


@pytest.mark.parametrize(("path", "shape"), [("/openai/v1/models", "openai"), ("/v3/admin/x", "problem")])
async def test_an_upstream_that_is_away_is_reported_in_the_routes_own_shape(path: str, shape: str) -> None:
    """SDKs would fail to read the error, and hide it behind one of their own."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        async with proxying(answering(ok()), base_url=url) as proxied:
            answer = await ask(proxied.url, get(path), "GET")
    assert answer.status == 502
    assert (answer.json["error"]["code"] if shape == "openai" else answer.code) == "upstream_unreachable"


async def test_an_upstream_that_hangs_is_a_504() -> None:
    """The client would wait forever."""

    async def script(call: Call) -> None:
        await call.until_gone()

    async with proxying(script, timeouts=UpstreamSettings(first_byte_timeout=0.1)) as proxied:
        answer = await ask(proxied.url, get(MODELS), "GET")
    assert (answer.status, answer.json["error"]["code"]) == (504, "upstream_timeout")


async def test_only_clients_get_through_and_with_the_relays_key() -> None:
    """Anyone who can reach the relay could spend the upstream's credit."""
    async with proxying(answering(ok()), clients={"web": {"key": KEY}}, api_key="upstream-key") as proxied:
        refused = await ask(proxied.url, get(MODELS, "Authorization: Bearer wrong"), "GET")
        assert (refused.status, refused.json["error"]["code"]) == (401, "unauthorized")
        assert proxied.upstream.calls == []
        assert (await ask(proxied.url, get(MODELS, f"Authorization: Bearer {KEY}"), "GET")).status == 200
        assert proxied.upstream.calls[0].header("authorization") == "Bearer upstream-key"


async def test_a_limit_on_models_holds_on_every_route_of_openai() -> None:
    """A client could use any model through ``/completions``, or send a batch that does."""
    limited = {"web": {"key": KEY, "models": ["a/m"]}}
    async with proxying(answering(ok()), clients=limited, api_key="upstream-key") as proxied:
        key = f"Authorization: Bearer {KEY}"
        for body, status in ((b'{"model":"a/m"}', 200), (b'{"model":"b/m"}', 403), (b"--boundary", 403)):
            assert (await ask(proxied.url, post("/openai/v1/completions", body, key))).status == status
        assert (await ask(proxied.url, get(MODELS, key), "GET")).status == 200
        assert [call.body for call in proxied.upstream.calls] == [b'{"model":"a/m"}', b""]


async def test_who_is_limited_to_models_gets_to_no_route_that_is_not_known() -> None:
    """A client could use any model by a route of the upstream's that names it elsewhere than relay looks."""
    clients = {"web": {"key": KEY, "models": ["a/m"]}, "free": {"key": KEY * 2}}
    async with proxying(answering(ok()), clients=clients, api_key="upstream-key") as proxied:
        answer = await ask(proxied.url, get("/v3/models", f"Authorization: Bearer {KEY}"), "GET")
        assert (answer.status, answer.code) == (403, "model_not_allowed")
        assert proxied.upstream.calls == []
        assert (await ask(proxied.url, get("/v3/models", f"Authorization: Bearer {KEY * 2}"), "GET")).status == 200


@pytest.mark.parametrize(
    "target",
    [
        "/v3//openai/v1/completions",
        "/openai//v1/completions?x=//",
        "/v3/%6Fpenai/v1/completions",
    ],
)
async def test_another_spelling_of_a_route_gets_past_no_limit(target: str) -> None:
    """An upstream that tidies paths up would serve a client any model that it spells its way to."""
    limited = {"web": {"key": KEY, "models": ["a/m"]}}
    async with proxying(answering(ok()), clients=limited, api_key="upstream-key") as proxied:
        key = f"Authorization: Bearer {KEY}"
        assert (await ask(proxied.url, post(target, b'{"model":"b/m"}', key))).status == 403
        assert (await ask(proxied.url, post(target, b'{"model":"a/m"}', key))).status == 200
        assert [call.line for call in proxied.upstream.calls] == [f"POST {target} HTTP/1.1"]


@pytest.mark.usefixtures("swift_parting")
async def test_an_upload_that_stops_is_cut() -> None:
    """One byte of a hundred would hold a connection here and one at the upstream forever."""
    async with proxying(answering(ok()), idle_timeout=0.5) as proxied, wire(proxied.url) as connection:
        await connection.send(post("/openai/v1/files", b"x" * 100)[:-99])
        reply = await connection.answer()
        assert (reply.status, reply.json["error"]["code"]) == (408, "body_timeout")
        assert await connection.rest() == b""
        async with asyncio.timeout(5):
            while proxied.upstream.connected:
                await asyncio.sleep(0.01)


async def test_an_upload_that_is_slow_goes_on() -> None:
    """A client with little bandwidth could upload nothing large."""
    async with proxying(answering(ok()), idle_timeout=0.5) as proxied, wire(proxied.url) as connection:
        request = post("/openai/v1/files", b"x" * 8)
        await connection.send(request[:-8])
        for _ in range(8):
            await asyncio.sleep(0.1)
            await connection.send(b"x")
        assert (await connection.answer()).status == 200
        assert proxied.upstream.calls[0].body == b"x" * 8
