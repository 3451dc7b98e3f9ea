"""Fetching outputs from sources that answer as a test says, down to the bytes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from relay.archive.errors import FetchError
from relay.archive.fetch import Limits, Source
from relay.core.archive.address import Hosts
from tests.services.certificates import self_signed
from tests.services.scripted_upstream import Call, ScriptedUpstream, answering, scripted

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4
LIMITS = Limits(size=1 << 20, total=20, stall=10, connect=5)


def answer(body: bytes = PNG, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Content-Type: image/png", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@asynccontextmanager
async def source(
    *answers: bytes, limits: Limits = LIMITS, ends: bool = False
) -> AsyncIterator[tuple[Source, ScriptedUpstream]]:
    """A source that may read from a server on loopback, which gives one answer after the other, the last one on."""
    left = list(answers)

    async def script(call: Call) -> None:
        await call.send((left.pop(0) if len(left) > 1 else left[0]).replace(b"{url}", server.url.encode()))
        if ends:
            call.writer.close()

    async with scripted(script) as server:
        found = Source(Hosts.of([server.url]), limits)
        try:
            yield found, server
        finally:
            await found.close()


async def read(found: Source, url: str, kind: str = "image") -> bytes:
    async with found.open(url, kind) as download:
        return b"".join([chunk async for chunk in download.chunks])


async def failure(found: Source, url: str, kind: str = "image") -> FetchError:
    with pytest.raises(FetchError) as caught:
        await read(found, url, kind)
    assert "secret" not in str(caught.value)
    return caught.value


async def test_an_output_arrives_whole_and_its_link_untouched() -> None:
    """If this fails, signatures break, or what is stored is not what was made."""
    async with source(answer()) as (found, server):
        target = "/a%2Fb%20c.png?X-Amz-Signature=%41b%3D&q-sign-time=1%3B2&z=a+b"
        async with found.open(server.url + target, "image") as download:
            assert (download.content_type, download.size) == ("image/png", len(PNG))
            assert b"".join([chunk async for chunk in download.chunks]) == PNG
        call = server.calls[0]
        assert call.line == f"GET {target} HTTP/1.1"
        assert call.header("accept-encoding") == "identity"


async def test_no_credentials_and_no_cookies_are_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If this fails, the maker of a link learns secrets of the machine that relay runs on."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    async with source(answer(PNG, "200 OK", "Set-Cookie: a=b; Path=/")) as (found, server):
        await read(found, f"{server.url}/1")
        await read(found, f"{server.url}/2")
        assert [name.lower() for call in server.calls for name, _ in call.fields] == [
            *(b"host", b"accept", b"accept-encoding", b"user-agent"),
        ] * 2


@pytest.mark.parametrize("location", ["/b.png?s=%2B", "{url}/b.png?s=%2B"])
async def test_a_redirect_is_followed(location: str) -> None:
    """If this fails, outputs behind a CDN that redirects are lost."""
    async with source(answer(b"", "302 Found", f"Location: {location}"), answer()) as (found, server):
        assert await read(found, f"{server.url}/a.png") == PNG
        assert server.calls[1].line == "GET /b.png?s=%2B HTTP/1.1"


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("https://127.0.0.1:{port}/", "address_not_public"),
        ("https://localhost:{port}/", "address_not_public"),
        ("https://2130706433:{port}/", "bad_link"),
        ("https://169.254.169.254/latest/meta-data/", "address_not_public"),
        ("https://[::ffff:127.0.0.1]:{port}/", "address_not_public"),
        ("http://localhost:{port}/", "not_https"),
        ("//localhost:{port}/", "not_https"),
        ("file:///etc/passwd", "bad_link"),
        ("ftp://out.example/", "not_https"),
        ("gopher://127.0.0.1:6379/_FLUSHALL", "not_https"),
        ("https://other.example/", "host_not_allowed"),
        ("https://me:secret@127.0.0.1:{port}/", "bad_link"),
        ("https://", "bad_link"),
        ("https://127.0.0.1:{port}/\u00e4", "bad_link"),
        ("", "too_many_redirects"),
        ("/", "too_many_redirects"),
    ],
)
async def test_a_redirect_that_leads_elsewhere_is_refused(location: str, code: str) -> None:
    """If this fails, a link opens the operator's network: its metadata service, its databases, its files."""
    names = ("127.0.0.1", "localhost", "169.254.169.254", "::ffff:127.0.0.1", "2130706433")
    async with source(b"") as (found, server):
        found._hosts = replace(found._hosts, names=names)
        port = server.url.rpartition(":")[2]
        server.script = answering(answer(b"", "302 Found", f"Location: {location.format(port=port)}"))
        caught = await failure(found, f"{server.url}/a.png")
        assert (caught.code, caught.retriable, caught.fresh_link) == (code, False, False)
        assert server.connections == 1, "nothing else was connected to"


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
async def test_a_name_of_this_machine_is_refused_at_the_first_link_too(name: str) -> None:
    """If this fails, a webhook with a made-up link reads what listens on loopback."""
    async with source(answer()) as (_, server):
        open_to_all = Source(Hosts(), LIMITS)
        port = server.url.rpartition(":")[2]
        caught = await failure(open_to_all, f"https://{name}:{port}/")
        await open_to_all.close()
        assert caught.code == "address_not_public"
        assert server.connections == 0


@pytest.mark.parametrize(
    ("status", "code", "retriable", "fresh_link"),
    [
        ("403 Forbidden", "link_refused", False, True),
        ("404 Not Found", "link_refused", False, True),
        ("410 Gone", "link_refused", False, True),
        ("500 Internal Server Error", "source_failed", True, False),
        ("503 Slow Down", "source_failed", True, False),
        ("429 Too Many Requests", "source_failed", True, False),
        ("206 Partial Content", "unexpected_answer", False, False),
        ("416 Range Not Satisfiable", "unexpected_answer", False, False),
        ("304 Not Modified", "unexpected_answer", False, False),
    ],
)
async def test_a_status_says_what_may_help(status: str, code: str, retriable: bool, fresh_link: bool) -> None:
    """If this fails, a lost output is tried again for nothing, or one that could be had is given up."""
    async with source(answer(b"" if "304" in status else PNG, status)) as (found, server):
        caught = await failure(found, f"{server.url}/a.png?signature=secret")
        assert (caught.code, caught.retriable, caught.fresh_link) == (code, retriable, fresh_link)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + PNG, "incomplete"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n" + PNG[:0x400] + b"\r\n", "incomplete"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "incomplete"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n" + PNG, "unreachable"),
        (b"nonsense\r\n\r\n", "unreachable"),
        (b"", "unreachable"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000, "unreachable"),
    ],
)
async def test_an_answer_that_is_not_whole_is_tried_again(sent: bytes, code: str) -> None:
    """If this fails, half an output counts as archived, or a bad moment of the source loses it."""
    async with source(sent, ends=True) as (found, server):
        caught = await failure(found, f"{server.url}/a.png")
        assert (caught.code, caught.retriable) == (code, True)


async def test_an_output_that_says_that_it_is_too_large_is_not_read() -> None:
    """If this fails, time and traffic go into what is refused in the end."""
    async with source(b"HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n") as (found, server):
        caught = await failure(found, f"{server.url}/a.png")
        assert (caught.code, caught.retriable) == ("too_large", False)


@pytest.mark.parametrize("head", ["Transfer-Encoding: chunked", "Connection: close"])
async def test_an_endless_output_ends_at_the_limit(head: str) -> None:
    """If this fails, one link fills the store, or the disk."""
    async with source(b"") as (found, server):

        async def script(call: Call) -> None:
            await call.send(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode())
            while not call.writer.transport.is_closing():
                await call.send(b"10000\r\n" + bytes(0x10000) + b"\r\n" if "chunked" in head else bytes(0x10000))

        server.script = script
        assert (await failure(found, f"{server.url}/a.png")).code == "too_large"


async def test_a_source_that_says_nothing_or_drips_is_left() -> None:
    """If this fails, slow sources hold every place of the archive, and other outputs die behind them."""
    limits = replace(LIMITS, stall=0.1, total=0.3)
    async with source(b"", limits=limits) as (found, server):

        async def stalls(call: Call) -> None:
            await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + PNG)
            await call.until_gone()

        async def drips(call: Call) -> None:
            await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n" + PNG)
            while not call.writer.transport.is_closing():
                await call.send(b".")
                await asyncio.sleep(0.02)

        async def silent(call: Call) -> None:
            await call.until_gone()

        for script in (stalls, drips, silent):
            server.script = script
            caught = await failure(found, f"{server.url}/a.png")
            assert (caught.code, caught.retriable) == ("timeout", True)


async def test_an_encoding_that_was_not_asked_for_is_refused() -> None:
    """If this fails, a few bytes become gigabytes, or an encoded file is stored as a picture."""
    async with source(answer(b"\x1f\x8b" + bytes(50), "200 OK", "Content-Encoding: gzip")) as (found, server):
        assert (await failure(found, f"{server.url}/a.png")).code == "unexpected_answer"


async def test_an_error_page_is_not_an_output() -> None:
    """If this fails, the archive is full of error pages."""
    async with source(answer(b"<html>expired</html>")) as (found, server):
        assert (await failure(found, f"{server.url}/a.png")).code == "wrong_type"
        assert (await failure(found, f"{server.url}/a.png", "video")).code == "wrong_type"


async def test_a_server_without_a_trusted_certificate_is_refused(tmp_path: Path) -> None:
    """If this fails, somebody between relay and the source decides what is archived."""
    cert, key = self_signed(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)

    async with scripted(answering(answer()), tls=context) as server:
        hosts = Hosts.of([server.url])
        strict = Source(hosts, LIMITS)
        trusting = Source(hosts, LIMITS, ssl.create_default_context(cafile=str(cert)))
        caught = await failure(strict, f"{server.url}/a.png?secret")
        assert (caught.code, caught.retriable) == ("tls_failed", True)
        assert "not trusted" in caught.message
        assert await read(trusting, f"{server.url}/a.png") == PNG
        await strict.close()
        await trusting.close()


async def test_nobody_listens() -> None:
    """If this fails, a source that is away for a minute loses outputs."""
    async with source(answer()) as (found, server):
        closed = "http://127.0.0.1:9"
        found._hosts = Hosts.of([server.url, closed])
        caught = await failure(found, closed)
        assert (caught.code, caught.retriable) == ("unreachable", True)
