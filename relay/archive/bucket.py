"""A bucket as the store: S3 and what speaks like it, Google's, Azure's. Only this file uses obstore.

The library signs requests, finds the credentials of the workload, and tries again for a few seconds; longer outages are
the archiver's.
"""

from __future__ import annotations

import atexit
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import obstore
from obstore import exceptions
from obstore.store import from_url

from relay.archive.errors import StoreError
from relay.archive.store import PART, Stored, Sum, occupied

_MARK: Final = "relayoutput"
"""Names of metadata: Azure takes letters and digits only, and proxies drop headers with an underscore."""
_SHA256: Final = "relaysha256"
_PARTS_AT_ONCE: Final = 2
_LET_GO: Final = 0.05
_RETRIES: Final[Any] = {"max_retries": 2, "retry_timeout": timedelta(seconds=10)}
_MAX_REASON: Final = 300
_DENIED: Final = (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError)


# obstore's threads let go of Python's objects a moment after a call has ended. If the interpreter is gone by then, they
# abort the process (PyO3 needs the GIL for it): exit code 134 after a stop without a fault.
atexit.register(time.sleep, _LET_GO)


class Bucket:
    """``url``: ``s3://bucket/prefix``, ``gs://…`` or ``az://…``. Large objects take three parts' memory each."""

    def __init__(self, url: str, options: Mapping[str, str]) -> None:
        self._url = url.rstrip("/")
        self.reconfigure(options)

    def reconfigure(self, options: Mapping[str, str]) -> None:
        config: Any = dict(options)
        plain = any(key.endswith("endpoint") and value.startswith("http://") for key, value in options.items())
        with _translated(self._url):
            self._store = from_url(
                self._url, config=config, client_options={"allow_http": plain}, retry_config=_RETRIES
            )

    async def find(self, key: str, mark: str) -> Stored | None:
        with _translated(self._url):
            try:
                found = await obstore.get_async(self._store, key, options={"head": True})
            except FileNotFoundError:
                return None
        if found.attributes.get(_MARK) != mark:
            return None
        sha256, content_type = found.attributes.get(_SHA256), found.attributes.get("Content-Type")
        if sha256 is None:
            return replace(await self._read(key), content_type=content_type)
        return Stored(self._at(key), found.meta["size"], sha256, content_type)

    async def put(self, key: str, chunks: AsyncIterator[bytes], content_type: str, mark: str) -> Stored:
        summed, attributes = Sum(), {"Content-Type": content_type, _MARK: mark}
        passing = summed.of(chunks)
        head = await _up_to_a_part(passing)
        with _translated(self._url):
            if summed.size < PART:
                attributes[_SHA256] = summed.sha256
                is_new = await self._put_small(key, b"".join(head), attributes)
            else:
                is_new = await self._put_large(key, _joined(head, passing), attributes)
        if not is_new and (await self._read(key)).sha256 != summed.sha256:
            raise occupied(self._at(key))
        return summed.stored(self._at(key), content_type)

    async def check(self) -> None:
        with _translated(self._url):
            async for _ in obstore.list(self._store, chunk_size=1):
                break

    def close(self) -> None:
        """obstore has nothing to close."""

    def _at(self, key: str) -> str:
        return f"{self._url}/{key}"

    async def _put_small(self, key: str, body: bytes, attributes: dict[str, str]) -> bool:
        try:
            await obstore.put_async(self._store, key, body, attributes=attributes, mode="create")
        except exceptions.AlreadyExistsError:
            return False
        return True

    async def _put_large(self, key: str, body: AsyncIterator[bytes], attributes: dict[str, str]) -> bool:
        """In parts. obstore cannot complete them on a condition: so it is looked up before, and again after them."""
        if await self._exists(key):
            async for _ in body:  # for its hash
                pass
            return False
        await obstore.put_async(
            self._store,
            key,
            body,
            attributes=attributes,
            use_multipart=True,
            chunk_size=PART,
            max_concurrency=_PARTS_AT_ONCE,
        )
        return True

    async def _exists(self, key: str) -> bool:
        try:
            await obstore.head_async(self._store, key)
        except FileNotFoundError:
            return False
        return True

    async def _read(self, key: str) -> Stored:
        """What is really there."""
        with _translated(self._url):
            found = await obstore.get_async(self._store, key)
            summed = Sum()
            async for chunk in found.stream(min_chunk_size=1 << 20):
                summed.add(bytes(chunk))
        return summed.stored(self._at(key))


async def _up_to_a_part(chunks: AsyncIterator[bytes]) -> list[bytes]:
    """The first chunks: all of them, or as many as make a part."""
    head, size = [], 0
    while size < PART and (chunk := await anext(chunks, b"")):
        head.append(chunk)
        size += len(chunk)
    return head


async def _joined(head: list[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    while head:
        yield head.pop(0)
    async for chunk in rest:
        yield chunk


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """obstore's exceptions as ``StoreError``. Others, such as those of a source, pass."""
    try:
        yield
    except (exceptions.BaseError, FileNotFoundError, ValueError) as error:
        raise _failure(error, url) from None


def _failure(error: Exception, url: str) -> StoreError:
    reason = _reason(str(error))
    if isinstance(error, exceptions.UnknownConfigurationKeyError):
        return StoreError("store_unusable", reason, hint="See archive.options.", retriable=False)
    # A list that is refused is a generic error: only its text says why.
    if isinstance(error, _DENIED) or re.search(r"code: 40[13]\b", reason):
        hint = "Check the credentials, and that they may list, read and write there."
        return StoreError("store_denied", f"{url} refuses relay: {reason}", hint=hint)
    if isinstance(error, FileNotFoundError) or re.search(r"code: 404\b", reason):
        return StoreError("store_missing", f"{url} is not there: {reason}", hint="Does the bucket exist?")
    return StoreError("store_unavailable", f"{url} cannot be used: {reason}")


def _reason(text: str) -> str:
    """The first line, and the code in S3's answer, without the queries of addresses: they may be signed."""
    first = re.sub(r"(https?://[^\s?]+)\?\S*", r"\1", text.partition("\n")[0])
    code = re.search(r"<Code>(\w+)</Code>", text)
    return first.partition("<?xml")[0][:_MAX_REASON].rstrip(" :") + (f" ({code[1]})" if code else "")
