"""Reading what was compressed without being asked."""

from __future__ import annotations

import gzip
import zlib

import pytest

from relay.upstream.coding import MOST_OF_A_PIECE, Decoder, decoded, is_coded, is_plain

TEXT = b'{"task_id":"t1"}' * 100


@pytest.mark.parametrize("packed", [gzip.compress(TEXT), zlib.compress(TEXT)], ids=["gzip", "zlib"])
def test_a_whole_body_is_read_within_its_bound(packed: bytes) -> None:
    """A task would be forgotten, or a small answer take all memory."""
    assert decoded(packed, len(TEXT) + 1) == TEXT
    assert decoded(bytearray(packed), 1 << 20) == TEXT
    assert decoded(packed, len(TEXT) - 1) is None
    assert [decoded(odd, 1 << 20) for odd in (packed[:-1], packed + b"x", b"", b"{}", packed[1:])] == [None] * 5


def test_a_body_is_read_as_it_comes() -> None:
    """A chat's events would come at its end only."""
    packed = gzip.compress(TEXT)
    decoder = Decoder()
    assert b"".join(decoder.take(packed[at : at + 3]) for at in range(0, len(packed), 3)) == TEXT


def test_what_cannot_be_read_and_what_is_too_much_ends_it() -> None:
    """An error would break the stream, or a bomb the relay."""
    decoder = Decoder()
    assert [decoder.take(piece) for piece in (b"no gzip", gzip.compress(TEXT))] == [b"", b""]
    decoder = Decoder()
    assert len(decoder.take(gzip.compress(bytes(32 << 20)))) == MOST_OF_A_PIECE
    assert decoder.take(b"more") == b""


@pytest.mark.parametrize(
    ("value", "coded", "plain"),
    [
        (None, False, True),
        (b"identity", False, True),
        (b" GZIP ", True, False),
        (b"x-gzip", True, False),
        (b"br", False, False),
        (b"gzip, br", False, False),
    ],
)
def test_which_answers_are_compressed(value: bytes | None, coded: bool, plain: bool) -> None:
    """A frame of the relay's own would be put into compressed bytes, or a plain answer be taken for gzip."""
    headers = [] if value is None else [(b"content-Encoding", value)]
    assert (is_coded(headers), is_plain(headers)) == (coded, plain)
