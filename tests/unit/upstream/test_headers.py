"""What goes on and what ends here."""

from __future__ import annotations

import pytest

from relay.upstream.headers import (
    declared_length,
    first,
    named_by_connection,
    replaced,
    request_headers,
    response_headers,
)

ENDING_HERE = [
    (b"Connection", b"keep-alive, X-Private"),
    (b"Keep-Alive", b"timeout=5"),
    (b"Proxy-Authenticate", b"Basic"),
    (b"Proxy-Authorization", b"Basic eA=="),
    (b"Proxy-Connection", b"close"),
    (b"TE", b"trailers"),
    (b"Trailer", b"X-Sum"),
    (b"transfer-encoding", b"chunked"),
    (b"Upgrade", b"h2c"),
    (b"x-private", b"1"),
]
GOING_ON = [(b"X-b", b"2"), (b"x-A", b"1"), (b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2"), (b"Via", b"1.1 x")]


@pytest.mark.parametrize("passing", [request_headers, lambda headers: response_headers(headers, 200)])
def test_what_is_of_one_connection_ends_here_and_nothing_else(passing: object) -> None:
    """A client would be promised an upgrade or a coding of the other connection, or lose a header, or their order."""
    mixed = [field for pair in zip(ENDING_HERE, GOING_ON * 2, strict=True) for field in pair]
    assert callable(passing)
    assert passing(mixed) == GOING_ON * 2


def test_a_request_loses_what_the_client_of_the_upstream_sets_again() -> None:
    """The upstream would get two lengths (smuggling), the relay's own host name, or an expectation nobody answers."""
    received = [(b"Host", b"relay"), (b"Content-Length", b"3"), (b"Expect", b"100-continue"), (b"A", b"1")]
    assert request_headers(received) == [(b"A", b"1")]


def test_an_answer_keeps_its_length() -> None:
    """Clients would lose the length by which they recognize a truncated answer, and HEAD its only content."""
    length = (b"Content-Length", b"3")
    assert response_headers([length], 200) == response_headers([length], 304) == [length]


def test_an_answer_keeps_one_length_and_none_where_it_has_no_body() -> None:
    """Two answers could be read out of one by what stands in front of the relay."""
    twice = [(b"content-length", b"3"), (b"A", b"1"), (b"Content-Length", b"3")]
    assert response_headers(twice, 200) == [(b"A", b"1"), (b"content-length", b"3")]
    assert response_headers(twice, 204) == [(b"A", b"1")]


def test_connection_cannot_take_away_what_makes_a_message() -> None:
    """``Connection: authorization`` would strip the relay's own key, or an answer of its length."""
    named = named_by_connection([(b"connection", b"Authorization , content-length,X-a"), (b"CONNECTION", b"x-B")])
    assert named == {b"x-a", b"x-b"}


def test_a_replaced_header_stands_in_its_place_once() -> None:
    """The client's key would reach the upstream beside the relay's."""
    received = [(b"A", b"1"), (b"authorization", b"x"), (b"B", b"2"), (b"Authorization", b"y")]
    assert replaced(received, b"authorization", b"z") == [(b"A", b"1"), (b"authorization", b"z"), (b"B", b"2")]
    assert replaced([(b"A", b"1")], b"authorization", b"z") == [(b"A", b"1"), (b"Authorization", b"z")]


def test_the_first_of_several_is_found_in_any_case() -> None:
    """A content type in capitals would go unseen."""
    assert first([(b"X", b"0"), (b"CONTENT-TYPE", b"1"), (b"content-type", b"2")], b"content-type") == b"1"
    assert first([], b"content-type") is None


def test_the_length_that_is_declared() -> None:
    """An upload would be sent in chunks to an upstream that wants to know its length, or as long as no length."""
    assert declared_length([(b"content-length", b"12")]) == 12
    assert declared_length([]) is declared_length([(b"Content-Length", b"-1")]) is None
