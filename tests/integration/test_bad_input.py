"""Whatever arrives gets its documented answer, costs nothing else, and leaves no secret behind."""

from __future__ import annotations

import asyncio
import gzip
import logging
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.services.in_process import PATH, TOKEN, running, task
from tests.services.raw_http import Answer, Wire, ask, chunked, get, post, wire
from tests.unit.letters import count_letters, letter_in

DEEP = b"[" * 100_000 + b"]" * 100_000
GOOD = task("good")


def body(raw: bytes) -> bytes:
    """A delivery of these bytes."""
    return post(PATH, raw)


def head(*lines: str, after: bytes = b"") -> bytes:
    """A request whose lines are as written."""
    return "\r\n".join([f"POST {PATH} HTTP/1.1", *lines, "", ""]).encode() + after


def envelope(status: str = '"TASK_STATUS_SUCCEED"', id: str = '"x"', event: str = '"ASYNC_TASK_RESULT"') -> bytes:
    """A delivery with these JSON values in it."""
    return body(f'{{"event_type":{event},"payload":{{"task":{{"task_id":{id},"status":{status}}}}}}}'.encode())


REFUSED = {
    "wrong token": (post("/webhooks/novita/wrong", GOOD), 401, "unauthorized"),
    "no token": (post("/webhooks/novita", GOOD), 401, "unauthorized"),
    "token with a slash behind it": (post(PATH + "/", GOOD), 401, "unauthorized"),
    "token in the query": (post(f"/webhooks/novita?{TOKEN}", GOOD), 401, "unauthorized"),
    "GET": (get(PATH), 405, "method_not_allowed"),
    "PUT": (post(PATH, GOOD, method="PUT"), 405, "method_not_allowed"),
    "unknown source": (post(f"/webhooks/acme/{TOKEN}", GOOD), 404, "not_found"),
    "two slashes": (post("/" + PATH, GOOD), 404, "not_found"),
    "dots": (post(f"/x/..{PATH}", GOOD), 404, "not_found"),
    "2 MiB": (body(b" " * (2 << 20)), 413, "payload_too_large"),
    "2 MiB in chunks": (chunked(PATH, *[b" " * 65536] * 32), 413, "payload_too_large"),
    "gzip": (post(PATH, gzip.compress(GOOD), "Content-Encoding: gzip"), 415, "unsupported_encoding"),
    "a bomb": (post(PATH, gzip.compress(b" " * (16 << 20)), "Content-Encoding: gzip"), 415, "unsupported_encoding"),
    "empty": (body(b""), 400, "not_json"),
    "HTTP/0.9": (f"POST {PATH}\r\n\r\n".encode(), 400, "not_json"),
    "no body at all": (get(PATH, method="POST"), 400, "not_json"),
    "half a document": (body(GOOD[:-1]), 400, "not_json"),
    "two documents": (body(GOOD + GOOD), 400, "not_json"),
    "NaN": (envelope(status="NaN"), 400, "not_json"),
    "1e400": (envelope(id="1e400"), 400, "not_json"),
    "deep": (body(DEEP), 400, "not_json"),
    "5000 digits": (envelope(id="9" * 5000), 400, "not_json"),
    "BOM": (body(b"\xef\xbb\xbf" + GOOD), 400, "not_json"),
    "invalid UTF-8": (envelope(id='"\\u00e9"').replace(b"\\u00e9", b"\xff\xfe\xff\xfe\xff\xfe"), 400, "not_json"),
    "UTF-16": (body(GOOD.decode().encode("utf-16")), 400, "not_json"),
    "lone surrogate": (envelope(id='"\\ud800"'), 400, "not_json"),
    "form": (body(b"a=b&c=d"), 400, "not_json"),
    "200 headers": (post(PATH, GOOD, *(f"X-{n}: y" for n in range(200))), 400, "bad_request"),
    "a header of 9 kB": (post(PATH, GOOD, "X-A: " + "y" * 9000), 431, "head_too_large"),
    "a target of 9 kB": (post(PATH + "?" + "y" * 9000, GOOD), 431, "head_too_large"),
}
"""What is no delivery: the request, and the status and code of its answer."""

SMUGGLED = {
    "length and chunks": head("Host: x", "Content-Length: 6", "Transfer-Encoding: chunked", after=b"0\r\n\r\nX"),
    "chunks and length": head("Host: x", "Transfer-Encoding: chunked", "Content-Length: 6", after=b"0\r\n\r\nX"),
    "two lengths": head("Host: x", "Content-Length: 2", "Content-Length: 3", after=b"{}x"),
    "a list of lengths": head("Host: x", "Content-Length: 2, 3", after=b"{}x"),
    "a negative length": head("Host: x", "Content-Length: -2", after=b"{}"),
    "a signed length": head("Host: x", "Content-Length: +2", after=b"{}"),
    "a hexadecimal length": head("Host: x", "Content-Length: 0x2", after=b"{}"),
    "an endless length": head("Host: x", f"Content-Length: {'9' * 40}", after=b"{}"),
    "no host": head("Content-Length: 2", after=b"{}"),
    "two hosts": head("Host: x", "Host: y", "Content-Length: 2", after=b"{}"),
    "bare line feeds": head("Host: x", "Content-Length: 2", after=b"{}").replace(b"\r\n", b"\n"),
    "a space before the colon": head("Host: x", "Content-Length : 2", after=b"{}"),
    "a folded header": head("Host: x", "X-A: b", " c", "Content-Length: 2", after=b"{}"),
    "a header without a name": head("Host: x", ": y", "Content-Length: 2", after=b"{}"),
    "a header without a colon": head("Host: x", "Nonsense", "Content-Length: 2", after=b"{}"),
    "a NUL in a header": head("Host: x", "X-A: \x00", "Content-Length: 2", after=b"{}"),
    "a carriage return in a header": head("Host: x", "X-A: b\rc", "Content-Length: 2", after=b"{}"),
    "another encoding": head("Host: x", "Transfer-Encoding: xchunked", after=b"2\r\n{}\r\n0\r\n\r\n"),
    "chunked twice": head("Host: x", "Transfer-Encoding: chunked, chunked", after=b"2\r\n{}\r\n0\r\n\r\n"),
    "chunked, then not": head("Host: x", "Transfer-Encoding: chunked, identity", after=b"2\r\n{}\r\n0\r\n\r\n"),
    "a chunk of another size": head("Host: x", "Transfer-Encoding: chunked", after=b"3\r\n{}\r\n0\r\n\r\n"),
    "a chunk size that overflows": head("Host: x", "Transfer-Encoding: chunked", after=b"f" * 17 + b"\r\n{}\r\n"),
    "a chunk size with a sign": head("Host: x", "Transfer-Encoding: chunked", after=b"+2\r\n{}\r\n0\r\n\r\n"),
    "chunks ended by line feeds": head("Host: x", "Transfer-Encoding: chunked", after=b"2\n{}\n0\n\n"),
    "another protocol": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a version that is none": head("Host: x").replace(b"HTTP/1.1", b"HTTP/9.9"),
    "a method in lower case": head("Host: x", "Content-Length: 2", after=b"{}").replace(b"POST", b"post"),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 80,
}
"""What two servers in a row could read in two ways, or is no HTTP at all."""

DEAD = {
    "array": (body(b"[]"), "not_a_task_result"),
    "string": (body(b'"x"'), "not_a_task_result"),
    "null": (body(b"null"), "not_a_task_result"),
    "no task": (body(b"{}"), "not_a_task_result"),
    "no task_id": (body(b'{"task":{"status":"TASK_STATUS_SUCCEED"}}'), "invalid_task_id"),
    "task_id null": (envelope(id="null"), "invalid_task_id"),
    "task_id a number": (envelope(id="7"), "invalid_task_id"),
    "task_id of 1 MB": (envelope(id='"' + "x" * 1_000_000 + '"'), "invalid_task_id"),
    "task_id with a line break": (envelope(id='"a\\nb"'), "invalid_task_id"),
    "task_id with a NUL": (envelope(id='"a\\u0000"'), "invalid_task_id"),
    "unknown event_type": (envelope(event='"SOMETHING_NEW"'), "unknown_event_type"),
    "unknown status": (envelope(status='"TASK_STATUS_CANCELED"'), "unknown_status"),
    "250 deep": (body(b'{"task":' + b"[" * 250 + b"]" * 250 + b"}"), "not_a_task_result"),
}
"""JSON that is authenticated and no task result: kept, and taken (P5)."""

TAKEN = {
    "percent-encoded token": post(f"/webhooks/novita/%{ord(TOKEN[0]):x}{TOKEN[1:]}", GOOD),
    "query behind the token": post(PATH + "?attempt=2&x=/y", GOOD),
    "chunks": chunked(PATH, GOOD[:7], GOOD[7:]),
    "chunks of one byte": chunked(PATH, *(bytes([byte]) for byte in GOOD)),
    "chunk extensions and trailers": head("Host: x", "Transfer-Encoding: chunked")
    + b"%x;ext=1\r\n%s\r\n0\r\nX-Trailer: y\r\n\r\n" % (len(GOOD), GOOD),
    "absolute target": post(f"http://relay.example{PATH}", GOOD),
    "HTTP/1.0": post(PATH, GOOD).replace(b"HTTP/1.1", b"HTTP/1.0"),
    "no content type": post(PATH, GOOD),
    "another content type": post(PATH, GOOD, "Content-Type: text/plain"),
    "1 MiB": post(PATH, GOOD.ljust(1 << 20)),
    "100 unknown keys": post(PATH, task("good", **{f"k{n}": n for n in range(100)})),
    "duplicate keys": post(PATH, GOOD.replace(b'"task_id"', b'"task_id": "first", "task_id"')),
    "empty line before": b"\r\n" + post(PATH, GOOD),
    "h2c": post(PATH, GOOD, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAA"),
}
"""Odd, and a delivery all the same."""


async def test_what_is_no_delivery_is_refused_and_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A sender would not learn what is wrong, or a refusal be a redirection, a page, a traceback, a lost event."""
    with capture_logs() as logs:
        async with running(tmp_path) as relay:
            for name, (request, status, code) in REFUSED.items():
                reply = await ask(relay.url, request)
                assert (name, reply.status, reply.code) == (name, status, code)
                assert TOKEN.encode() not in reply.body, name
            assert (await ask(relay.url, get(PATH, method="HEAD"), "HEAD")).status == 405
            assert relay.journal.events.last_offset == 0
            await _works(relay.url)
    assert TOKEN not in repr(logs)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_what_could_be_read_in_two_ways_is_not_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Behind a proxy that reads it otherwise, a request could be hidden in another one's body."""
    with capture_logs() as logs:
        async with running(tmp_path) as relay:
            for name, request in SMUGGLED.items():
                async with wire(relay.url) as connection:
                    await connection.send(request)
                    reply = await connection.answer()
                    assert (name, reply.status, reply.code) == (name, 400, "bad_request")
                    assert (name, await connection.rest()) == (name, b""), "nothing behind it is read either"
            assert relay.journal.events.last_offset == 0
            await _works(relay.url)
    assert TOKEN not in repr(logs)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_what_cannot_be_understood_is_kept_with_its_bytes(tmp_path: Path) -> None:
    """The upstream gives up after six attempts: what is refused is lost (P5)."""
    async with running(tmp_path) as relay:
        for name, (request, reason) in DEAD.items():
            reply = await ask(relay.url, request)
            assert (name, reply.status, reply.json["status"]) == (name, 200, "dead")
            held = await letter_in(relay.journal, reply.json["event_id"])
            assert held is not None
            assert (name, held.reason, held.raw) == (name, reason, request.partition(b"\r\n\r\n")[2])
            assert (await ask(relay.url, request)).json["status"] == "duplicate"
        assert await count_letters(relay.journal) == len(DEAD)
        await _works(relay.url)


async def test_what_is_only_odd_is_taken(tmp_path: Path) -> None:
    """Another HTTP client, or a proxy in between, would lock the upstream out."""
    async with running(tmp_path) as relay:
        for name, request in TAKEN.items():
            reply = await ask(relay.url, request)
            assert (name, reply.status, reply.json["event_id"]) == (name, 200, "good:succeeded")
        assert relay.journal.events.last_offset == 1


async def test_no_prefix_of_a_delivery_does_harm(tmp_path: Path) -> None:
    """A connection that breaks at some byte would make noise, an event, or an answer that is not the documented one."""
    with capture_logs() as logs:
        async with running(tmp_path) as relay:
            whole = post(PATH, task("prefix"))
            for cut in range(0, len(whole), 3):
                async with wire(relay.url) as connection:
                    await connection.send(whole[:cut])
            for cut in range(1, len(whole), 7):
                async with wire(relay.url) as connection:
                    await connection.send(whole[:cut])
                    await asyncio.sleep(0)
                    await connection.send(whole[cut:])
                    assert (await connection.answer()).status == 200
            assert [entry.event.id for entry in await relay.journal.events.read(0, 10)] == ["prefix:succeeded"]
    assert [line for line in logs if line["log_level"] in ("error", "critical")] == []


async def test_hundreds_that_hang_are_cut_and_hold_up_nobody(tmp_path: Path) -> None:
    """Slow loris: a few hundred sockets would keep the upstream out."""
    server, webhooks = {"header_timeout": 1.0}, {"body_timeout": 1.0}
    async with running(tmp_path, server=server, webhooks=webhooks) as relay:
        clock = asyncio.get_running_loop().time
        started = clock()
        whole = post(PATH, task("never"))
        halves = [whole[:40]] * 100 + [whole[:-5]] * 50 + [b""] * 50
        waiting = [asyncio.create_task(_cut(relay.url, half)) for half in halves]
        slowest = 0.0
        for n in range(50):
            before = clock()
            assert (await ask(relay.url, post(PATH, task(f"t{n}")))).status == 200
            slowest = max(slowest, clock() - before)
        ends = await asyncio.gather(*waiting)
        assert {code for code, _ in ends} == {"header_timeout", "body_timeout", ""}
        assert max(at for _, at in ends) - started < 5
        assert slowest < 1.0
        assert relay.journal.events.last_offset == 50


async def _cut(url: str, half: bytes) -> tuple[str, float]:
    """The code of the answer to what is never ended, if any, and when the connection was closed."""
    async with wire(url) as connection:
        await connection.send(half)
        reply = await connection.answer() if half else None
        await connection.rest()
        return reply.code if reply else "", asyncio.get_running_loop().time()


async def test_a_thousand_in_a_row_are_answered_in_their_order(tmp_path: Path) -> None:
    """A sender that pipelines would take one answer for another, or the relay buffer without end."""
    async with running(tmp_path) as relay, wire(relay.url) as connection:
        requests = [post(PATH, task(f"t{n}")) for n in range(1000)]
        requests[500] = post("/webhooks/novita/wrong", b"{}")
        sending = asyncio.create_task(_send_in_pieces(connection, b"".join(requests)))
        replies: list[Answer] = [await connection.answer() for _ in requests]
        await sending
        assert replies.pop(500).code == "unauthorized"
        assert [reply.json["event_id"] for reply in replies] == [f"t{n}:succeeded" for n in range(1000) if n != 500]


async def _send_in_pieces(connection: Wire, data: bytes) -> None:
    for start in range(0, len(data), 1001):
        await connection.send(data[start : start + 1001])
        await asyncio.sleep(0)


async def _works(url: str) -> None:
    reply = await ask(url, body(GOOD))
    assert reply.json == {"status": "accepted", "event_id": "good:succeeded"}
