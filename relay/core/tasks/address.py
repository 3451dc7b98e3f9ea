"""The secret in the webhook address of one task: made when the task is submitted, and valid for its result only.

``<nonce>.<mac>`` or ``<nonce>.<mac>.<mac>``, each in URL-safe base64. The nonce holds the time and 128 random bits; the
first code is made with a key that this journal keeps for itself, the second with one that all replicas know, since they
share the first of ``webhooks.novita.tokens``. Nobody can make an address without one of these keys, and an address says
nothing about them. Which task it belongs to is known when the upstream has named the task: see ``journal.addresses``.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

RANDOM: Final = 16
"""Bytes of a nonce that nobody can guess."""
KEY_BYTES: Final = 32

_TIME: Final = 4
_MAC: Final = 16
_SLACK: Final = 300
"""Seconds by which the clocks of two replicas may differ."""
_SHAPE: Final = re.compile(r"([A-Za-z0-9_-]{27})\.([A-Za-z0-9_-]{22})(?:\.([A-Za-z0-9_-]{22}))?", re.ASCII)
_PURPOSE: Final = b"relay: address of a task, 1"


def shared_key(token: str) -> bytes:
    """The key that replicas with the same webhook token share. It does not lead back to the token."""
    return hmac.digest(token.encode(), _PURPOSE, "sha256")


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """``own`` never leaves the journal. Of the ``shared`` ones the first signs, and all are taken: tokens rotate."""

    own: bytes
    shared: tuple[bytes, ...] = ()


def nonce(random: bytes, now: int) -> bytes:
    """A new nonce. ``random``: 16 bytes; ``now``: epoch seconds."""
    return now.to_bytes(_TIME, "big") + random


def secret_of(nonce: bytes, keys: Keys) -> str:
    """What stands in the address behind ``/webhooks/novita/``."""
    parts = [nonce, _mac(keys.own, nonce), *(_mac(key, nonce) for key in keys.shared[:1])]
    return ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def nonce_of(secret: str, keys: Keys, now: int, life: int) -> bytes | None:
    """The nonce of an address that is genuine and not older than ``life`` seconds; ``None`` for any other text.

    ``now``: epoch seconds. The time that it takes does not depend on what fits.
    """
    match = _SHAPE.fullmatch(secret)
    if match is None:
        return None
    nonce = _decoded(match[1])
    genuine = hmac.compare_digest(_mac(keys.own, nonce), _decoded(match[2]))
    genuine |= _fits(keys.shared, nonce, _decoded(match[3] or ""))
    made_at = int.from_bytes(nonce[:_TIME], "big")
    return nonce if genuine and made_at - _SLACK <= now <= made_at + life else None


def made_before(instant: int) -> bytes:
    """Every nonce made before this (epoch seconds) is less than this, and no other one."""
    return max(0, instant).to_bytes(_TIME, "big")


def _fits(keys: Sequence[bytes], nonce: bytes, mac: bytes) -> bool:
    found = False
    for key in keys:  # no early exit: the position must not show
        found |= hmac.compare_digest(_mac(key, nonce), mac)
    return found


def _mac(key: bytes, nonce: bytes) -> bytes:
    return hmac.digest(key, _PURPOSE + nonce, hashlib.sha256)[:_MAC]


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
