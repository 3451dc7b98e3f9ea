"""Where the records of TLS begin and end in what a peer sends (RFC 8446, 5.1). Pure, and blind to what is in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

HEADER: Final = 5
"""Bytes of a record before its content; the last two say how many follow."""
AT_ONCE: Final = 64
"""Records in one piece, at most: what OpenSSL reads in one call, it reads to its end."""


class Records:
    """Those of one connection."""

    def __init__(self) -> None:
        self._open = 0  # bytes that the last record still lacks
        self._held = b""  # less than a header

    def pieces(self, data: bytes) -> Iterator[tuple[memoryview, int]]:
        """The same bytes in pieces, each with the number of records that begin in it.

        Up to four bytes at the end, of a header that is not whole, are held back until the rest of it comes.
        """
        data = self._held + data if self._held else data
        view, begin, at, number = memoryview(data), 0, self._open, 0
        while at + HEADER <= len(data):
            if number == AT_ONCE:
                yield view[begin:at], number
                begin, number = at, 0
            number += 1
            at += HEADER + int.from_bytes(data[at + HEADER - 2 : at + HEADER], "big")
        end = min(at, len(data))
        self._open, self._held = at - end, data[end:]
        if end > begin:
            yield view[begin:end], number
