"""The port of a store, and what is said of stored outputs. ``store_at`` makes one of ``archive.url``."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlsplit

from relay.archive.errors import StoreError

PART: Final = 5 << 20
"""Bytes of one part of a large object (S3 takes no less), and what an object may have to be put in one piece."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An output in the store, whole. ``url``: where it is, without anything that grants access.

    ``content_type``: as it was put; ``None`` where the store has forgotten it.
    """

    url: str
    size: int
    sha256: str
    content_type: str | None = None


class Store(Protocol):
    """A place for outputs, each under a key that nothing else has.

    ``mark`` says which output an object is, and stays with it. Methods raise ``StoreError``; what ``chunks`` raises
    goes through ``put``, which then stores nothing. ``put`` never replaces an object: one with the same bytes is a
    success, another one a ``StoreError`` (``different_object``). What is stored is durable when ``put`` returns.
    """

    async def find(self, key: str, mark: str) -> Stored | None:
        """The object that was put under this key for this very output, by this process or one before it."""
        ...

    async def put(self, key: str, chunks: AsyncIterator[bytes], content_type: str, mark: str) -> Stored: ...

    async def check(self) -> None:
        """Whether the store is there, and lets relay in."""
        ...

    def reconfigure(self, options: Mapping[str, str]) -> None:
        """Goes on with other credentials, from the next call on."""
        ...

    def close(self) -> None: ...


class Sum:
    """The size and the hash of bytes that pass."""

    def __init__(self) -> None:
        self.size = 0
        self._hash = hashlib.sha256()

    def add(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self._hash.update(chunk)

    async def of(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The same chunks, each added as it passes."""
        async for chunk in chunks:
            self.add(chunk)
            yield chunk

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def stored(self, url: str, content_type: str | None = None) -> Stored:
        return Stored(url, self.size, self.sha256, content_type)


def store_at(url: str, options: Mapping[str, str]) -> Store:
    """The store that ``archive.url`` names. ``options`` are obstore's. Raises ``StoreError`` for what cannot work."""
    if urlsplit(url).scheme == "file":
        from relay.archive.folder import Folder

        return Folder(url)
    try:
        from relay.archive.bucket import Bucket
    except ImportError:
        hint = "Install relay with its extra: pip install 'relay-bridge[archive]'."
        raise StoreError("store_unusable", f"{url} needs obstore.", hint=hint, retriable=False) from None
    return Bucket(url, options)


def occupied(url: str) -> StoreError:
    """Another object has the key of an output."""
    return StoreError(
        "different_object",
        f"{url} is there already, with other bytes.",
        hint="relay replaces nothing. Move that object away, or change archive.key, and retry the output.",
        retriable=False,
    )
