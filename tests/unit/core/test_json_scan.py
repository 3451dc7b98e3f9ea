"""Where members lie: the result of a parser, without parsing, and in bounded time whatever the bytes."""

from __future__ import annotations

import json
import time
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.json_scan import MAX_KEY, MAX_STEPS, Unwalkable, Walk

scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(max_size=8) | st.text(alphabet='\\"/{}[],: \n\té', max_size=12)
values = st.recursive(
    scalars | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
layouts = st.sampled_from([{}, {"indent": 2}, {"separators": (",", ":")}, {"separators": (" ,\t", " :\r\n")}])


@given(st.dictionaries(texts, values, max_size=5), layouts, st.booleans())
def test_every_member_lies_where_a_parser_finds_it(document: dict[str, Any], layout: Any, ascii_only: bool) -> None:
    """A webhook would be inserted in the middle of a value, or a task id be read out of a prompt."""
    body = b" \n" + json.dumps(document, ensure_ascii=ascii_only, **layout).encode() + b"\t"
    members = Walk(body).members()
    assert {m.key: json.loads(body[m.start : m.end]) for m in members.found} == document
    assert body[: members.inside].strip() == b"{"


@given(st.binary(max_size=60) | st.text(alphabet='{}[]":,\\ae1 ', max_size=60).map(str.encode))
def test_bytes_that_are_no_object_are_reported_and_nothing_else_happens(body: bytes) -> None:
    """A client could make the relay fail with any bytes."""
    try:
        parsed = isinstance(orjson.loads(body), dict)
    except orjson.JSONDecodeError:
        parsed = False
    try:
        Walk(body).members()
    except Unwalkable:
        assert not parsed, body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"[]",
        b'"text"',
        b"{",
        b'{"a"',
        b'{"a":',
        b'{"a":}',
        b'{"a":1',
        b'{"a":1,',
        b'{"a":1,}',
        b'{"a" 1}',
        b"{a:1}",
        b'{"a":"',
        b'{"a":"\\"}',
        b'{"a":[1}',
        b'{"a":1} {}',
        b"{}x",
        b'{"\\x":1}',
        b"\xef\xbb\xbf{}",
        '{"a":1}'.encode("utf-16"),
    ],
)
def test_what_is_broken_is_not_walked(body: bytes) -> None:
    """A half-sent or mangled body would be taken for one that can be changed."""
    with pytest.raises(Unwalkable):
        Walk(body).members()


def test_an_escaped_key_is_the_key_that_it_spells() -> None:
    """A client that escapes its keys would get a second ``extra``."""
    assert Walk(b'{"\\u0065xtra":1}').members().only("extra") is not None


def test_a_key_that_is_there_twice_is_not_chosen_from() -> None:
    """The relay would look at one of two, and the upstream at the other."""
    members = Walk(b'{"a":1,"a":2}').members()
    with pytest.raises(Unwalkable):
        members.only("a")


@pytest.mark.parametrize(
    "filling",
    [
        b"[" * (1 << 22),
        b'"",' * (1 << 21),
        b'"' + b'\\"' * (1 << 21) + b'"',
        b'"' + b"\\" * (1 << 22) + b'"',
        b" " * (1 << 22),
        b"1," * (1 << 21),
    ],
)
def test_no_body_holds_the_event_loop_up(filling: bytes) -> None:
    """One request built for it would stop every stream of the relay for seconds."""
    started = time.thread_time()
    with pytest.raises(Unwalkable):
        Walk(b'{"a":[' + filling).members()
    assert time.thread_time() - started < 1.0


def test_a_body_in_use_has_far_fewer_steps_than_the_limit() -> None:
    """Submissions with many keywords or points would be left without their webhook."""
    points = [{"x": n, "y": n, "label": "on"} for n in range(2000)]
    assert Walk(orjson.dumps({"request": {"points": points}})).members().only("request")
    with pytest.raises(Unwalkable):
        Walk(orjson.dumps({"a": [""] * (MAX_STEPS + 1)})).members()


def test_twenty_megabytes_of_base64_are_jumped_over() -> None:
    """An image in a submission would cost as much as parsing it, in time and in memory."""
    body = bytearray(b'{"image":"' + b"QUJD" * (5 << 20) + b'","n":1}')
    started = time.thread_time()
    assert [m.key for m in Walk(body).members().found] == ["image", "n"]
    assert time.thread_time() - started < 0.25


def test_a_key_has_a_bound() -> None:
    """A client could have megabytes of a key copied and parsed, again for each member."""
    longest = b'"' + b"k" * (MAX_KEY - 2) + b'"'
    [member] = Walk(b"{%b:1}" % longest).members().found
    assert len(member.key) == MAX_KEY - 2
    with pytest.raises(Unwalkable, match="key is too long"):
        Walk(b'{"k%b:1}' % longest[1:]).members()
