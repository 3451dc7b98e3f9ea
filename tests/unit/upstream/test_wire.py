"""HTTP/1.1 of answers: framing at every split point, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.upstream.wire import (
    Chunked,
    Counted,
    Endless,
    Head,
    Malformed,
    body_of,
    lives_on,
    parse_head,
    request_head,
)

CHUNKED = (b"Transfer-Encoding", b"chunked")
BODY = b"5\r\nhello\r\nA;x=1\r\n,\r\nworld\r\n\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n"
CONTENT = b"hello,\r\nworld\r\n!"


def length(*values: bytes) -> Head:
    return Head(200, b"OK", [(b"content-Length", value) for value in values])


def test_a_request_is_written_as_it_was_given() -> None:
    """The upstream would get other headers than the client sent, or none of its own host."""
    assert request_head("POST", "/a?b", b"h:1", [(b"x-A", b"\xe9"), (b"x-A", b"")], 3) == (
        b"POST /a?b HTTP/1.1\r\nHost: h:1\r\nx-A: \xe9\r\nx-A: \r\nContent-Length: 3\r\n\r\n"
    )
    assert request_head("PUT", "/", b"h", [], None).endswith(b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert request_head("POST", "/", b"h", [], 0).endswith(b"\r\nContent-Length: 0\r\n\r\n")
    assert request_head("GET", "/", b"h", [], 0) == b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.mark.parametrize(
    ("method", "target", "field"),
    [
        ("GET x", "/", b"v"),
        ("", "/", b"v"),
        ("GET", "", b"v"),
        ("GET", "x", b"v"),
        ("GET", "/ x", b"v"),
        ("GET", "/\r\nX: y", b"v"),
        ("GET", "/\u00e9", b"v"),
        ("GET", "/", b"v\r\nX: y"),
        ("GET", "/", b"v\ny"),
        ("GET", "/", b"v\ry"),
        ("GET", "/", b"v\0y"),
    ],
)
def test_what_would_be_two_requests_is_not_sent(method: str, target: str, field: bytes) -> None:
    """A client could put a second request, with the relay's key, behind its own."""
    with pytest.raises(Malformed):
        request_head(method, target, b"h", [(b"A", field)], 0)


def test_a_head_is_read_as_it_came() -> None:
    """Clients would get other headers, or another reason, than the upstream sent."""
    head = parse_head(b"HTTP/1.1 299 Very Odd\r\nx-A:  1 \r\nX-b:\r\nx-A:\t\xe9, 2\r\n\r\n")
    assert head == Head(299, b"Very Odd", [(b"x-A", b"1"), (b"X-b", b""), (b"x-A", b"\xe9, 2")])
    assert parse_head(b"HTTP/1.0 200\r\n\r\n") == Head(200, b"", [], old=True)


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno field\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA : 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: 1\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: 1\nB: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: 1\0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: 1\r\n\r\n",
    ],
)
def test_a_head_that_could_be_read_in_two_ways_is_refused(data: bytes) -> None:
    """The answer of one client could be smuggled into that of the next on the same connection."""
    with pytest.raises(Malformed):
        parse_head(data)


@pytest.mark.parametrize(
    ("method", "head", "kind"),
    [
        ("GET", length(b"3"), Counted(3)),
        ("GET", length(b"3", b"3"), Counted(3)),
        ("HEAD", length(b"3"), Counted(0)),
        ("GET", Head(204, b"", []), Counted(0)),
        ("GET", Head(304, b"", [(b"Content-Length", b"3")]), Counted(0)),
        ("GET", Head(200, b"", []), Endless()),
    ],
)
def test_the_framing_of_a_body(method: str, head: Head, kind: object) -> None:
    """A body would be cut, or the next answer taken for a part of it."""
    assert body_of(method, head) == kind


def test_chunks_are_framing_whatever_the_case() -> None:
    """The sizes of the chunks would end up in the client's text."""
    assert isinstance(body_of("GET", Head(200, b"", [(b"TRANSFER-ENCODING", b" Chunked")])), Chunked)


@pytest.mark.parametrize(
    "head",
    [
        length(b"3", b"4"),
        length(b"-3"),
        length(b"3, 3"),
        length(b"9" * 19),
        Head(200, b"", [CHUNKED, (b"Content-Length", b"3")]),
        Head(200, b"", [(b"Transfer-Encoding", b"gzip, chunked")]),
        Head(200, b"", [CHUNKED, CHUNKED]),
    ],
)
def test_framing_that_is_not_certain_is_refused(head: Head) -> None:
    """Relay and upstream would disagree where an answer ends."""
    with pytest.raises(Malformed):
        body_of("GET", head)


@pytest.mark.parametrize(
    ("head", "kept"),
    [
        (Head(200, b"", []), True),
        (Head(200, b"", [(b"Connection", b"x, Close")]), False),
        (Head(200, b"", [], old=True), False),
        (Head(200, b"", [(b"connection", b"Keep-Alive")], old=True), True),
    ],
)
def test_when_a_connection_may_be_used_again(head: Head, kept: bool) -> None:
    """A request would be sent into a connection that is being closed."""
    assert lives_on(head) is kept


@pytest.mark.parametrize("size", range(1, len(BODY) + 1))
def test_chunks_in_reads_of_every_size(size: int) -> None:
    """Content would be lost or doubled, depending on how the network cuts it."""
    body, got = Chunked(), b""
    for at in range(0, len(BODY), size):
        assert not body.done
        got += body.take(BODY[at : at + size])
    assert (got, body.done, body.surplus) == (CONTENT, True, b"")


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.data())
def test_any_chunks_in_any_reads(contents: list[bytes], data: st.DataObject) -> None:
    """The same, for content that looks like framing."""
    wire = b"".join(b"%x\r\n%b\r\n" % (len(content), content) for content in contents) + b"0\r\n\r\n"
    body, got, rest = Chunked(), b"", wire
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        got += body.take(rest[:size])
        rest = rest[size:]
    assert (got, body.done) == (b"".join(contents), True)


def test_a_size_with_leading_zeros_is_a_size() -> None:
    """A content that is a number would be taken for the size that the fast way did not understand."""
    assert Chunked().take(b"5\r\nhello\r\n01\r\n1\r\n0\r\n\r\n") == b"hello1"


def test_a_trailer_is_no_content() -> None:
    """What a server puts behind the last chunk would end up in the client's text."""
    body = Chunked()
    assert body.take(b"1\r\nx\r\n0\r\n") == b"x"
    assert body.take(b"1\r\ny\r\n\r\n") == b""
    assert (body.done, body.surplus) == (True, b"")


def test_several_chunks_in_one_read_are_one_piece() -> None:
    """Each chunk would cost a write of its own."""
    assert Chunked().take(BODY) == CONTENT


@pytest.mark.parametrize(
    "data",
    [
        b"x\r\n",
        b"\r\n",
        b"-1\r\n",
        b"0x5\r\nhello",
        b"1" * 16 + b"\r\n",
        b"5\r\nhello, world",
        b"5\r\nhello\n\n",
        b"1;" + b"x" * 300,
        b"0\r\n" + b"x" * 8193,
    ],
)
def test_invalid_chunks_are_refused(data: bytes) -> None:
    """Relay and upstream would disagree where a chunk ends."""
    with pytest.raises(Malformed):
        Chunked().take(data)
    with pytest.raises(Malformed):
        body = Chunked()
        for at in range(len(data)):
            body.take(data[at : at + 1])


def test_what_comes_after_the_end_is_reported() -> None:
    """A connection that is out of step would be used again, and answer one client with what is another's."""
    chunked = Chunked()
    assert chunked.take(b"1\r\nx\r\n0\r\n\r\nHTTP") == b"x"
    assert chunked.surplus == b"HTTP"
    counted = Counted(1)
    assert counted.take(b"xy") == b"x"
    assert (counted.done, counted.surplus) == (True, b"y")


def test_a_body_without_framing_ends_with_the_connection() -> None:
    """It would be taken for broken off when it is whole."""
    body = Endless()
    assert body.take(b"x") == b"x"
    assert (body.open_ended, body.done, body.surplus) == (True, False, b"")
