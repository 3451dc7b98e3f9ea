"""Removes configured secrets, as they are written, from what leaves relay: the last line of defence behind
``core.redact``.

An upstream may quote the key that it was asked with, and a webhook's address that it was given. In answers a secret is
covered by as many stars, so that no length changes and nothing has to be held back but the beginning of a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import orjson

from relay.core.event import Draft
from relay.core.redact import REDACTED

SHORTEST: Final = 8
"""Characters: what is shorter may be part of any word, and would make other texts unreadable."""

_ADDRESS: Final = re.compile(rb"(?<=webhooks/novita/)[A-Za-z0-9_-]{27}(?:\.[A-Za-z0-9_-]{22}){1,2}")
_REDACTED: Final = REDACTED.encode()


class Concealed:
    """The secrets of one configuration, in each form in which a text can hold them."""

    __slots__ = ("_beginnings", "_longest", "_secrets")

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        found = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
        self._secrets = tuple(sorted(found, key=lambda form: (-len(form), form)))
        self._beginnings = frozenset(secret[:size] for secret in self._secrets for size in range(1, len(secret)))
        self._longest = max(map(len, self._secrets), default=0)

    def __repr__(self) -> str:
        return f"Concealed({len(self._secrets)})"

    def in_draft(self, draft: Draft) -> Draft:
        """The draft without a secret in its event's data."""
        data = draft.event.data
        for secret in self._secrets:
            if secret in data:
                return draft._replace(event=draft.event._replace(data=self._redacted(data)))
        return draft

    def in_text(self, text: str) -> str:
        """A text (a line of the log) without a secret."""
        data = text.encode("utf-8", "surrogatepass")
        redacted = self._redacted(data)
        return text if redacted is data else redacted.decode("utf-8", "surrogatepass")

    def covered(self, data: bytes | bytearray) -> bytes | bytearray:
        """A whole answer of the same length with its secrets covered, the addresses given to tasks among them."""
        return _ADDRESS.sub(_stars, self._starred(data)) if b"webhooks/novita/" in data else self._starred(data)

    def split(self, data: bytes) -> tuple[bytes, bytes]:
        """The part of a text's beginning that can be shown, covered, and its end, with which a secret may begin."""
        covered = bytes(self._starred(data))
        for size in range(min(self._longest - 1, len(covered)), 0, -1):
            if covered[-size:] in self._beginnings:
                return covered[:-size], covered[-size:]
        return covered, b""

    def _starred(self, data: bytes | bytearray) -> bytes | bytearray:
        for secret in self._secrets:
            if secret in data:
                data = data.replace(secret, b"*" * len(secret))
        return data

    def _redacted(self, data: bytes) -> bytes:
        for secret in self._secrets:
            if secret in data:
                data = data.replace(secret, _REDACTED)
        return data


class Cover:
    """Covers secrets, but no addresses of tasks, in one answer as it comes; holds back the beginning of one at most."""

    __slots__ = ("_concealed", "_kept")

    def __init__(self, concealed: Concealed) -> None:
        self._concealed, self._kept = concealed, b""

    def take(self, piece: bytes) -> bytes:
        """What can be shown now."""
        shown, self._kept = self._concealed.split(self._kept + piece)
        return shown

    def rest(self) -> bytes:
        """What was held back, at the end."""
        kept, self._kept = self._kept, b""
        return kept


def _forms(secret: str) -> set[bytes]:
    """As it is, and as it stands in a JSON string: orjson's form, and the one that escapes slashes."""
    plain, quoted = secret.encode(), orjson.dumps(secret)[1:-1]
    return {plain, quoted, quoted.replace(b"/", b"\\/")}


def _stars(match: re.Match[bytes]) -> bytes:
    return b"*" * len(match[0])
