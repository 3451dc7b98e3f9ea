"""JSON that the SDKs read though it is not strictly valid, and JSON that every consumer reads."""

from __future__ import annotations

import math

import orjson
import pytest

from relay.core.chat.json import read_json, write_json


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a": "\xff"}', {"a": "\ufffd"}),
        (b'{"a": "\\ud83d"}', {"a": "\ud83d"}),
        (b'{"a": NaN}', {"a": None}),
    ],
)
def test_what_the_sdks_read_is_read(data: bytes, value: object) -> None:
    """A chunk that the client got would be missing in the event."""
    assert read_json(data) == (value, False)


def test_plain_json_is_read_as_such() -> None:
    """Every chunk would be serialized again instead of being passed on."""
    assert read_json(b' {"a": [1, 2.5, "\xe2\x82\xac"]}\n') == ({"a": [1, 2.5, "€"]}, True)


@pytest.mark.parametrize("data", [b"", b"{", b"[DONE]", b"text", b"[" * 100_000, b"1" * 5000 + b"x"])
def test_what_is_no_json_is_refused(data: bytes) -> None:
    """An odd frame would raise into the stream."""
    with pytest.raises(ValueError, match=r"."):
        read_json(data)


def test_halves_of_a_character_are_joined_or_replaced() -> None:
    """An emoji that a server cut in two would cost the event."""
    assert orjson.loads(write_json({"whole": "\ud83d\ude00", "half": "a\ud83d"})) == {"whole": "😀", "half": "a\ufffd"}


def test_anything_read_can_be_written() -> None:
    """A chunk that can be read would raise when its event is made."""
    nested = read_json(b'{"a":' * 900 + b"1" + b"}" * 900)[0]
    assert orjson.loads(write_json(nested))["a"]
    assert write_json({"a": math.inf}) == b'{"a":null}'
    assert write_json({"a": 10**30}) == b'{"a":%d}' % 10**30
