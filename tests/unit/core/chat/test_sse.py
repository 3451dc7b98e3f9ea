"""The SSE parser against a plain reading of the specification, cut at every place."""

from __future__ import annotations

import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.chat.sse import SSEEvent, SSEParser, is_border
from tests.chat_reference import events_of


def pairs(events: list[SSEEvent]) -> list[tuple[str, str]]:
    return [(event.data.decode("utf-8", "replace"), event.name) for event in events]


def parsed(pieces: list[bytes]) -> list[SSEEvent]:
    """Read with the general path alone."""
    parser = SSEParser()
    events = [event for piece in pieces for event in parser.take(piece)]
    return events + parser.close()


def parsed_plainly(pieces: list[bytes], *, named: bool = False) -> list[SSEEvent]:
    """Read with the short way wherever it is open."""
    parser = SSEParser(named=named)
    events: list[SSEEvent] = []
    for piece in pieces:
        end = parser.position
        plain = parser.take_plain(piece)
        if plain is None:
            events += parser.take(piece)
            continue
        for place, data in enumerate(plain.data):
            end += plain.size(place)
            events.append(SSEEvent(data, end))
        assert parser.position == end
    return events + parser.close()


NAMED_LINES = [
    b"event: a\n",
    b"event: error\n",
    b"data: 1\n",
    b"data: \n",
    b"data\n",
    b"\n",
    b"\r\n",
    b": c\n",
    b"\xef\xbb\xbf",
]
"""What named streams are made of, and what disturbs them."""

READERS = pytest.mark.parametrize("read", [parsed, parsed_plainly])

STREAMS = {
    "plain": b'data: {"a":1}\n\ndata: {"b":2}\n\ndata: [DONE]\n\n',
    "crlf": b"data: 1\r\n\r\ndata: 2\r\n\r\n",
    "cr": b"data: 1\r\rdata: 2\r\r",
    "mixed line ends": b"data: 1\n\r\ndata: 2\r\n\rdata: 3\r\r\ndata: 4\n\n",
    "plain, then not": b"data: 1\n\ndata: 2\r\n\r\ndata: 3\r\n\r\ndata: 4\r\rdata: 5\n\n",
    "bom": b"\xef\xbb\xbfdata: 1\n\n\xef\xbb\xbfdata: 2\n\ndata: 3\n\n",
    "comments": b": OPENROUTER PROCESSING\n\ndata: 1\n: inside\n\n:\n\ndata: 2\n\n",
    "several lines": b"data: 1\ndata: 2\ndata\ndata:\n\ndata: 3\n\n",
    "no space, two spaces": b"data:1\n\ndata:  2\n\n",
    "empty data": b"data\n\ndata:\n\ndata: \n\ndata: 1\n\n",
    "names": b"event: error\ndata: 1\n\ndata: 2\n\nevent: x\n\ndata: 3\n\n",
    "other fields": b"id: 7\nretry: 250\nfoo: bar\ndata: 1\n\nid: a\0b\nretry: 1x\n\ndata: 2\n\n",
    "blank lines": b"\n\n\ndata: 1\n\n\n\n\ndata: 2\n\n\n",
    "unterminated": b"data: 1\n\ndata: 2\n",
    "unterminated line": b"data: 1\n\ndata: 2",
    "a CR ends it": b"data: 1\n\ndata: 2\n\r",
    "no utf-8": b"data: \xff\xe2\x82\n\ndata: \xe2\x82\xac\xed\xa0\x80\n\n",
    "other line ends of Unicode": "data: \u2028 \u0085 \u000b \u000c\n\n".encode(),
    "nothing": b"",
    "not a stream": b'{"error": "text"}',
    "spaces before": b" data: 1\n\ndata: 2\n\n",
}


@READERS
@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS.keys())
def test_a_stream_cut_anywhere_makes_the_events_of_the_specification(read: object, stream: bytes) -> None:
    """Which events the relay sees would depend on how the network cuts the stream."""
    assert callable(read)
    expected = events_of(stream)
    whole = read([stream])
    assert pairs(whole) == expected
    assert read([bytes((byte,)) for byte in stream]) == whole
    for cut in range(len(stream)):
        assert read([stream[:cut], stream[cut:]]) == whole, cut
        assert read([stream[:cut], b"", stream[cut : cut + 1], stream[cut + 1 :]]) == whole, cut


TOKENS = (
    *(b"data: ", b"data:", b"data", b"\n", b"\n\n", b"\n\ndata: ", b"\r", b"\r\n", b"\xef\xbb\xbf", b":", b" "),
    *(b"event: ", b"id: ", b"retry: ", b"x", b"[DONE]", b'{"a":1}', b"\xff", b"\xe2\x82", b"\xac", b"\0", b"7"),
    *(b"data: 1\n\n", b"data: 2\n\n", b"data: 3\r\n\r\n", b"data: 4\r\r", b": 5\n\n", b"data: 6\n"),
)


@st.composite
def cut_streams(draw: st.DrawFn) -> list[bytes]:
    stream = b"".join(draw(st.lists(st.sampled_from(TOKENS), max_size=30)))
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    return [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


@READERS
@given(cut_streams())
def test_any_bytes_in_any_pieces_make_the_events_of_the_specification(read: object, pieces: list[bytes]) -> None:
    """A stream of a server that nobody thought of would be read otherwise than its clients read it."""
    assert callable(read)
    assert pairs(read(pieces)) == events_of(b"".join(pieces))


@pytest.mark.parametrize("tail", [b"", b"\n", b"x\n\n", b"x\r\n\r\n", b"\r\n\r", b"x\r\r", b"\n\r\n"])
def test_a_border_is_where_nothing_is_pending(tail: bytes) -> None:
    """An error frame would never be sent."""
    assert is_border(tail)


@pytest.mark.parametrize("tail", [b"x", b"x\n", b"x\r\n", b"x\r", b"\n\nx"])
def test_within_an_event_is_no_border(tail: bytes) -> None:
    """An error frame would be put into the middle of a frame, and both would be lost."""
    assert not is_border(tail)


def test_plain_streams_take_the_short_way() -> None:
    """Every stream would be read the long way."""
    parser = SSEParser()
    assert parser.take_plain(b"data: 1\n\ndata: 2\n\nda") == ([b"1", b"2"], None)
    assert parser.take_plain(b"ta: 3\n") is None
    assert parser.take(b"ta: 3\n") == []
    assert parser.take_plain(b"\ndata: 4\n\n") == ([b"3", b"4"], None)


def test_named_streams_take_the_short_way() -> None:
    """Every stream of the APIs that name their events would be read the long way."""
    parser = SSEParser(named=True)
    assert parser.take_plain(b"event: a\ndata: 1\n\nevent: bb\ndata: 2\n\nev") == (
        [b"1", b"2"],
        [b"event: a", b"event: bb"],
    )
    assert parser.take_plain(b"ent: a\ndata: 3\n\n") == ([b"3"], [b"event: a"])


@given(st.lists(st.sampled_from(NAMED_LINES)).map(b"".join), st.data())
def test_a_named_stream_says_the_same_in_both_ways(stream: bytes, data: st.DataObject) -> None:
    """What an event says would depend on whether its neighbours are plain, an error be taken for a chunk."""
    places = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=4)))
    cuts = [0, *places, len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(cuts)]
    plain = [(event.data, event.end, event.name == "error") for event in parsed_plainly(pieces, named=True)]
    assert plain == [(event.data, event.end, event.name == "error") for event in parsed(pieces)]


@pytest.mark.parametrize("read", [SSEParser.take, SSEParser.take_plain])
@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"])
def test_an_event_beyond_the_bound_is_passed_over_and_marked(read: object, end: bytes) -> None:
    """One endless line would fill the memory, or take the events behind it with it."""
    assert callable(read)
    for size, oversized in ((20, False), (21, True), (50, True)):
        stream = b"data: 1" + end + b"data: " + b"x" * (size - 6) + end + b"data: 2" + end
        for cut in range(len(stream)):
            parser = SSEParser(max_event=20)
            events: list[SSEEvent] = []
            for piece in (stream[:cut], stream[cut : cut + 1], stream[cut + 1 :]):
                if read is SSEParser.take_plain and (plain := parser.take_plain(piece)) is not None:
                    events += [SSEEvent(data, 0) for data in plain.data]
                else:
                    events += parser.take(piece)
            assert [event.oversized for event in [*events, *parser.close()]] == [False, oversized, False], cut


def test_no_more_is_held_than_the_bound() -> None:
    """One endless line would fill the memory."""
    parser = SSEParser(max_event=1000)
    for _ in range(100):
        parser.take(b"data: x")
    assert sys.getsizeof(parser._tail) < 1100
    for _ in range(1000):
        parser.take(b"data: x")
    assert sys.getsizeof(parser._tail) < 100
    assert [event.oversized for event in parser.take(b"\n\n")] == [True]


def test_ids_and_retry_are_no_part_of_an_event() -> None:
    """An upstream that numbers its chunks would have its numbers read as chunks, or its chunks lost."""
    events = SSEParser().take(b"id: 7\nretry: 250\n\nid: a\0b\ndata: x\nretry: 1x\n\n")
    assert [event.data for event in events] == [b"x"]
