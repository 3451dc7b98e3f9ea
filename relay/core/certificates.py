"""From when until when a certificate is valid, read from its bytes. Pure.

Python decodes a certificate only once a peer has shown it and it is trusted, and relay's own never comes that way. The
two times stand near the beginning: all that comes before them is skipped unread (RFC 5280, 4.1).
"""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from typing import Final, NamedTuple

_SOON: Final = 14 * 86_400.0
"""Seconds before its end from which a certificate should have been renewed; of a short life the last third."""

_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")
_SEQUENCE, _VERSION, _UTC_TIME, _TIME = 0x30, 0xA0, 0x17, 0x18
_FIELDS_BEFORE: Final = 3
"""Serial number, algorithm and issuer."""


class Validity(NamedTuple):
    """In epoch seconds."""

    begins: float
    ends: float

    def is_due(self, now: float) -> bool:
        """Whether it should have been renewed by now."""
        return self.ends - now < min(_SOON, (self.ends - self.begins) / 3)


def validity_of_pem(content: bytes) -> Validity:
    """Of the first certificate in a file, which is the holder's own; what follows is its chain.

    Raises ``ValueError`` where there is none.
    """
    found = _PEM.search(content)
    if found is None:
        raise ValueError("it holds no certificate in PEM")
    return validity_of(base64.b64decode(found[1]))


def validity_of(der: bytes) -> Validity:
    """Of a certificate in DER. Raises ``ValueError`` for other bytes."""
    _, at, _ = _element(der, 0, _SEQUENCE)
    _, at, _ = _element(der, at, _SEQUENCE)
    tag, _, after = _element(der, at)
    at = after if tag == _VERSION else at
    for _ in range(_FIELDS_BEFORE):
        at = _element(der, at)[2]
    _, at, _ = _element(der, at, _SEQUENCE)
    begins, at = _time(der, at)
    return Validity(begins, _time(der, at)[0])


def _element(der: bytes, at: int, wanted: int | None = None) -> tuple[int, int, int]:
    """The tag at this place, where its content begins, and where it ends (X.690, 8.1)."""
    if at + 2 > len(der):
        raise ValueError("it is not a certificate: it is cut off")
    tag, length, at = der[at], der[at + 1], at + 2
    if length & 0x80:
        digits = length & 0x7F
        length, at = int.from_bytes(der[at : at + digits], "big"), at + digits
    if at + length > len(der) or (wanted is not None and tag != wanted):
        raise ValueError("it is not a certificate")
    return tag, at, at + length


def _time(der: bytes, at: int) -> tuple[float, int]:
    """The epoch seconds of a time, and where the next element begins (RFC 5280, 4.1.2.5)."""
    tag, begin, end = _element(der, at)
    text = der[begin:end].decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text >= "50" else "20") + text
    elif tag != _TIME:
        raise ValueError("it is not a certificate: it does not say when it ends")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp(), end
