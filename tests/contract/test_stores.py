"""What every store of the archive must do, run against each of them."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import obstore
import pytest
from obstore.store import S3Store

from relay.archive.errors import FetchError, StoreError
from relay.archive.store import PART, Store, Stored, store_at
from tests.services.seaweedfs import SeaweedFS

SMALL = os.urandom(70_000)
LARGE = os.urandom(2 * PART + 12_345)
REAL = pytest.mark.matrix  # the server takes minutes to build
KEY, MARK = "2026-12-01/task-1/0.png", "task-1/0"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """A real server of S3's API."""
    server = SeaweedFS(tmp_path_factory.mktemp("seaweedfs"))
    asyncio.run(server.start())
    yield server
    asyncio.run(server.kill())


@pytest.fixture(params=["folder", "memory", pytest.param("s3", marks=REAL)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind; in ``memory`` is a bucket of obstore's own, without a network."""
    if request.param == "folder":
        return store_at(tmp_path.as_uri(), {})
    if request.param == "memory":
        return store_at("memory:///", {})
    return store_at(f"s3://outputs/{uuid4().hex}", request.getfixturevalue("s3").options)


async def chunks(body: bytes, fails: Exception | None = None) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 100_000):
        yield body[start : start + 100_000]
    if fails:
        raise fails


async def put(store: Store, body: bytes, mark: str = MARK, key: str = KEY) -> Stored:
    return await store.put(key, chunks(body), "image/png", mark)


@pytest.mark.parametrize("body", [SMALL, LARGE, LARGE[:PART], LARGE[: PART - 1], b"x"], ids=len)
async def test_what_is_put_is_found_again_whole(store: Store, body: bytes) -> None:
    """If this fails, an event names an object that is not there, or is another one."""
    stored = await put(store, body)
    assert (stored.size, stored.sha256) == (len(body), hashlib.sha256(body).hexdigest())
    assert await store.find(KEY, MARK) == stored


async def test_nothing_is_found_where_nothing_is(store: Store) -> None:
    """If this fails, an output counts as archived that never was."""
    assert await store.find(KEY, MARK) is None


async def test_an_object_of_something_else_is_not_taken_for_the_output(store: Store) -> None:
    """If this fails, a wrong key in the configuration gives consumers other people's pictures."""
    await put(store, SMALL)
    assert await store.find(KEY, "task-2/0") is None


@pytest.mark.parametrize("body", [SMALL, LARGE], ids=len)
async def test_the_same_bytes_again_are_a_success(store: Store, body: bytes) -> None:
    """If this fails, an output that was stored just before a kill is lost, though it is there."""
    assert await put(store, body) == await put(store, body)


@pytest.mark.parametrize("body", [SMALL, LARGE], ids=len)
@pytest.mark.parametrize("there", [SMALL[::-1], LARGE[::-1]], ids=len)
async def test_nothing_is_replaced(store: Store, body: bytes, there: bytes) -> None:
    """If this fails, two configurations with one prefix overwrite each other's outputs."""
    first = await put(store, there, "task-2/0")
    with pytest.raises(StoreError, match="is there already") as caught:
        await put(store, body)
    assert (caught.value.code, caught.value.retriable) == ("different_object", False)
    assert await store.find(KEY, "task-2/0") == first


@pytest.mark.parametrize("body", [SMALL, LARGE], ids=len)
async def test_a_source_that_fails_midway_leaves_nothing(store: Store, body: bytes) -> None:
    """If this fails, half an output has its key, and the whole one is refused."""
    error = FetchError("incomplete", "The source ended early.", retriable=True)
    with pytest.raises(FetchError) as caught:
        await store.put(KEY, chunks(body, error), "image/png", MARK)
    assert caught.value is error
    assert await store.find(KEY, MARK) is None
    await put(store, body)


async def test_a_put_that_is_cancelled_leaves_nothing(store: Store) -> None:
    """If this fails, a relay that stops leaves half an output behind."""
    reached, never = asyncio.Event(), asyncio.Event()

    async def stalls() -> AsyncIterator[bytes]:
        yield LARGE
        reached.set()
        await never.wait()

    task = asyncio.create_task(store.put(KEY, stalls(), "image/png", MARK))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await store.find(KEY, MARK) is None


async def test_several_outputs_of_a_task_are_put_side_by_side(store: Store) -> None:
    """If this fails, outputs get into each other's way."""
    stored = await asyncio.gather(*(put(store, LARGE[n:], f"task-1/{n}", f"task-1/{n}.png") for n in range(4)))
    assert [each.size for each in stored] == [len(LARGE) - n for n in range(4)]


async def test_a_store_that_is_there_passes_its_check(store: Store) -> None:
    """If this fails, the doctor finds fault with what works."""
    await store.check()


@REAL
@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"secret_access_key": "wrong"}, "store_denied"),
        ({"access_key_id": "nobody"}, "store_denied"),
        ({"endpoint": "http://127.0.0.1:9"}, "store_unavailable"),
    ],
)
async def test_a_bucket_that_cannot_be_used_says_why(s3: SeaweedFS, changed: dict[str, str], code: str) -> None:
    """If this fails, an operator does not learn what to change, or an outage of the store loses outputs."""
    store = store_at("s3://outputs/why", s3.options | changed)
    for call in (store.check(), store.find(KEY, MARK), put(store, SMALL)):
        with pytest.raises(StoreError) as caught:
            await call
        assert (caught.value.code, caught.value.retriable) == (code, True)
        assert "secret" not in str(caught.value)
    store.reconfigure(s3.options)
    await put(store, SMALL)


@REAL
async def test_an_object_in_a_bucket_has_its_type_and_its_hash(s3: SeaweedFS) -> None:
    """If this fails, browsers download pictures instead of showing them, and nobody can verify an object later."""
    store = store_at("s3://outputs/typed", s3.options)
    stored = await put(store, SMALL)
    bucket = S3Store("outputs", prefix="typed", **s3.options, client_options={"allow_http": True})
    attributes = (await obstore.get_async(bucket, KEY)).attributes
    assert attributes["Content-Type"] == "image/png"
    assert attributes["relaysha256"] == stored.sha256
