"""Ways to damage a journal's two files, each with a name. A mutation changes bytes and does not know what they mean."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from relay.journal.wal import FRAME_HEADER, HEADER

PAGE = 4096
FRAME = FRAME_HEADER + PAGE


@dataclass(slots=True)
class Files:
    """A journal's bytes; ``None``: the file is not there."""

    main: bytes | None
    log: bytes | None


@dataclass(frozen=True, slots=True)
class Mutation:
    """``kind`` groups mutations in the report; ``may_lose``: cuts off what nothing in the files shows any more."""

    kind: str
    name: str
    apply: Callable[[Files], Files]
    may_lose: bool = False


def frames_in(log: bytes) -> int:
    """Frames of the log as it is now; what is left from before it started over has other salts."""
    salts = log[16:24]
    count = 0
    while log[HEADER + count * FRAME + 8 : HEADER + count * FRAME + 16] == salts:
        count += 1
    return count


def _flip(data: bytes | None, at: int, bit: int) -> bytes:
    assert data is not None
    changed = bytearray(data)
    changed[at] ^= 1 << bit
    return bytes(changed)


def _flip_log(kind: str, at: int, bit: int, *, may_lose: bool = False) -> Mutation:
    name = f"bit {bit} of byte {at} of the log"
    return Mutation(kind, name, lambda files: Files(files.main, _flip(files.log, at, bit)), may_lose)


def _flip_main(kind: str, at: int, bit: int) -> Mutation:
    name = f"bit {bit} of byte {at} of the file"
    return Mutation(kind, name, lambda files: Files(_flip(files.main, at, bit), files.log))


def cuts(files: Files) -> Iterator[Mutation]:
    """The log cut at the end of each frame, and within each."""
    assert files.log is not None
    for frame in range(frames_in(files.log)):
        for kind, at in (("log cut at a frame", HEADER + frame * FRAME), ("log cut in a frame", frame * FRAME + 1000)):
            yield Mutation(kind, f"log cut to {at} bytes", lambda f, at=at: Files(f.main, f.log[:at]), may_lose=True)


def flips(files: Files, dice: random.Random, last_transaction: int, count: int) -> Iterator[Mutation]:
    """Single bits. ``last_transaction`` is the byte of the log at which it begins."""
    assert files.log is not None
    assert files.main is not None
    for at in range(HEADER):
        yield _flip_log("bit of the log's header", at, dice.randrange(8))
    for _ in range(count):
        frame = dice.randrange(frames_in(files.log)) * FRAME + HEADER
        for kind, at in (
            ("bit of a frame's header", frame + dice.randrange(FRAME_HEADER)),
            ("bit of a page in the log", frame + FRAME_HEADER + dice.randrange(PAGE)),
        ):
            yield _flip_log(kind, at, dice.randrange(8), may_lose=at >= last_transaction)
        yield _flip_main("bit of the file's header", dice.randrange(100), dice.randrange(8))
        for _ in range(3):
            yield _flip_main("bit of a page in the file", dice.randrange(100, len(files.main)), dice.randrange(8))


def _cut_main(files: Files, size: int) -> Files:
    assert files.main is not None
    return Files(files.main[:size], files.log)


def _zero_page(files: Files, page: int) -> Files:
    assert files.main is not None
    return Files(files.main[: page * PAGE] + bytes(PAGE) + files.main[(page + 1) * PAGE :], files.log)


def gone(files: Files, other: Files, older: Files) -> Iterator[Mutation]:
    """Files that are missing, empty, cut, zeroed, or another journal's (``other``)."""
    assert files.main is not None
    pages = len(files.main) // PAGE
    yield Mutation("file missing", "no log", lambda f: Files(f.main, None))
    yield Mutation("file missing", "an empty log", lambda f: Files(f.main, b""))
    yield Mutation("file missing", "no file", lambda f: Files(None, f.log))
    yield Mutation("file missing", "an empty file", lambda f: Files(b"", f.log))
    yield Mutation("file missing", "neither", lambda f: Files(None, None), may_lose=True)
    for page in range(1, pages, max(1, pages // 6)):
        yield Mutation("file cut", f"file cut to {page} pages", lambda f, at=page * PAGE: _cut_main(f, at))
        yield Mutation("file cut", f"file cut within page {page}", lambda f, at=page * PAGE + 99: _cut_main(f, at))
    for page in range(pages):
        yield Mutation("page of zeros", f"page {page} zeroed", lambda f, page=page: _zero_page(f, page))
    yield Mutation("foreign file", "another journal's log", lambda f: Files(f.main, other.log))
    yield Mutation("foreign file", "another journal's file", lambda f: Files(other.main, f.log))
    yield Mutation("foreign file", "an older copy of the file", lambda f: Files(older.main, f.log))
    yield Mutation("foreign file", "an older copy of the log", lambda f: Files(f.main, older.log), may_lose=True)
