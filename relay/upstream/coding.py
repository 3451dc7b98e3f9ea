"""Reads an answer that is compressed although ``identity`` was requested, from a copy within limits. Pure.

The answer goes on as it came (RFC 9110, 8.4); but a task in it must be tracked, and a chat be read. What zlib does not
know (``br``, ``zstd``) stays unread.
"""

from __future__ import annotations

import zlib
from typing import Final

from relay.upstream.headers import RawHeaders

MOST_OF_A_PIECE: Final = 1 << 20
"""Bytes that one piece of an answer may become: a few milliseconds. Text shrinks by a tenth, a bomb by a thousandth."""

_KNOWN: Final = frozenset((b"gzip", b"x-gzip", b"deflate"))
_EITHER: Final = 32 + zlib.MAX_WBITS  # zlib finds out by itself whether the header is gzip's or its own


def is_coded(headers: RawHeaders) -> bool:
    """Whether the answer is compressed in a way that can be read here."""
    return _coding(headers) in _KNOWN


def is_plain(headers: RawHeaders) -> bool:
    """Whether the answer is not compressed at all."""
    return _coding(headers) in (b"", b"identity")


def _coding(headers: RawHeaders) -> bytes:
    return b",".join(value.strip().lower() for name, value in headers if name.lower() == b"content-encoding")


def decoded(body: bytes | bytearray, most: int) -> bytes | None:
    """The whole of a compressed body; ``None`` for one of more than ``most`` bytes, or one that is not whole."""
    decoder = zlib.decompressobj(_EITHER)
    try:
        text = decoder.decompress(body, most)
    except zlib.error:
        return None
    return text if decoder.eof and not decoder.unused_data else None


class Decoder:
    """Reads a compressed body as it comes; nothing more after what cannot be read, or becomes too much."""

    __slots__ = ("_decoder", "_stopped")

    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(_EITHER)
        self._stopped = False

    def take(self, piece: bytes) -> bytes:
        """What this piece says. Raises nothing."""
        if self._stopped:
            return b""
        try:
            text = self._decoder.decompress(piece, MOST_OF_A_PIECE)
        except zlib.error:
            self._stopped = True
            return b""
        self._stopped = bool(self._decoder.unconsumed_tail)
        return text
