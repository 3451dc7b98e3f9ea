"""Journals as releases have left them, in ``tests/samples/journals``: every later release has to open them.

Each release has one folder: ``killed.db.gz`` with ``killed.db-wal.gz`` as ``kill -9`` leaves a journal,
``closed.db.gz`` the same after a stop, and ``holds.json`` with what is in it.

``python -m tests.unit.journal.stored`` makes those of the present version, as long as it is not released.
"""

from __future__ import annotations

import gzip
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import orjson

from relay import __version__
from relay.apis import apis
from relay.cli.journal import exported
from relay.core.chat.events import Opening, chunk_draft, chunk_key, started_draft
from relay.core.chat.recovery import closed_by_restart
from relay.core.dead import refused_draft, unreadable_draft
from relay.core.event import Draft, Entry
from relay.core.publishing.lineage import Names
from relay.core.sink import Refused
from relay.core.source import Delivery, Unreadable
from relay.core.tasks.events import abandoned_draft, bare_task, submitted_draft
from relay.journal.names import take_names
from relay.journal.projections.chats import Chats
from relay.journal.projections.dead_letters import DeadLetters
from relay.journal.projections.history import History, Passage
from relay.journal.projections.task_addresses import Addresses, Binding
from relay.journal.projections.tasks import Tasks, Wanted
from relay.journal.rows import Progress
from relay.journal.store import Store
from relay.journal.volume import log_of
from relay.sources.novita_task import NovitaTask

ROOT: Final = Path(__file__).parents[3]
FOLDER: Final = ROOT / "tests/samples/journals"
CHANGELOG: Final = ROOT / "CHANGELOG.md"
AT: Final = 1_767_225_600_000
"""2026-01-01: when the first event was accepted."""

SINKS: Final = ("kafka", "redis")
NAMES: Final = Names("relay-0", {"kafka": "kafka", "redis": "redis"})
NONCES: Final = {"t-succeeds": bytes(range(20)), "t-runs": bytes(range(20, 40))}
SOURCE: Final = NovitaTask(progressed=True)


def released() -> list[str]:
    """The versions in the changelog that have a date."""
    return re.findall(r"^## \[?(\d+\.\d+\.\d+)\]? - \d{4}-\d{2}-\d{2}$", CHANGELOG.read_text("utf-8"), re.MULTILINE)


def unpack(release: str, state: str, path: Path) -> None:
    """Puts a stored journal to a path. ``state``: ``killed`` or ``closed``."""
    for suffix in ("", "-wal"):
        packed = FOLDER / release / f"{state}.db{suffix}.gz"
        if packed.exists():
            path.with_name(path.name + suffix).write_bytes(gzip.decompress(packed.read_bytes()))


def held_by(release: str) -> Any:
    """What its journal holds: see ``portrait``; ``deliveries`` are bodies that were delivered, with their receipts."""
    return orjson.loads((FOLDER / release / "holds.json").read_bytes())


def drafts_of(body: str, at: int = AT) -> list[Draft]:
    """What a delivery becomes."""
    normalized = SOURCE.normalize(Delivery(body.encode(), at))
    if isinstance(normalized, Unreadable):
        return [unreadable_draft(Delivery(body.encode(), at), normalized, origin="novita")]
    assert isinstance(normalized, Draft), normalized
    return [normalized]


def portrait(store: Store) -> dict[str, Any]:
    """All that an open journal holds, asked through its code: independent of how the file is laid out."""
    entries = list(_entries(store))
    offsets = [entry.offset for entry in entries]
    chats, tasks, history = store.projection(Chats), store.projection(Tasks), store.projection(History)
    return {
        "journal_id": store.journal_id,
        "forks": [asdict(fork) for fork in store.forks],
        "names": orjson.loads(store.meta("names") or "null"),
        "last_offset": store.last_offset,
        "events": [{**orjson.loads(exported(entry)), **_beside(entry)} for entry in entries],
        "checkpoints": {sink: asdict(saved) for sink, saved in store.checkpoints().items()},
        "places": {sink: [[at, *found] for at, found in history.passages(sink, offsets).items()] for sink in SINKS},
        "repetitions": [each._asdict() for each in history.repetitions(offsets)],
        "dead_letters": list(_letters(store)),
        "tasks": list(_tasks(tasks)),
        "open_chats": [chat._asdict() for chat in chats.all()],
        "chunks_of_open_chats": chats.chunks(),
        "addresses": _addresses(store),
    }


def _entries(store: Store) -> Iterator[Entry]:
    after = 0
    while page := store.read(after, 1000, 4 << 20):
        yield from page
        after = page[-1].offset


def _beside(entry: Entry) -> dict[str, Any]:
    return {"accepted_at": entry.accepted_at, "key": entry.key.hex(), "fingerprint": entry.fingerprint.hex()}


def _letters(store: Store) -> Iterator[dict[str, Any]]:
    letters = store.projection(DeadLetters)
    for each in letters.page("", 100):
        whole = letters.find(each.id)
        assert whole is not None
        assert whole.raw is not None
        yield {**whole._asdict(), "raw": whole.raw.decode()}


def _tasks(tasks: Tasks) -> Iterator[dict[str, Any]]:
    for row in reversed(tasks.newest(1 << 62, 100, Wanted()).rows):
        known = row._asdict()
        del known["known_via"]  # not stored: what the events say
        yield known


def _addresses(store: Store) -> dict[str, Any]:
    addresses = store.projection(Addresses)
    bound = {task: addresses.find(nonce, task)._asdict() for task, nonce in NONCES.items()}
    return {"key": addresses.key.hex(), "bound": bound}


def delivered() -> list[str]:
    """Bodies of webhooks: endings, a contradiction, progress, one that nobody can read, and a large one."""
    bodies = [_result("t-succeeds", prompt="ä🦀"), _result("t-succeeds", image="b"), _result("t-fails", "FAILED")]
    bodies += [_result("t-runs", "PROCESSING", progress_percent=40), _result("t-large", image="x" * 20_000)]
    bodies += [_result("t-odd", "SOMETHING_NEW"), _result("t-elsewhere")]
    return bodies


def _result(task: str, status: str = "SUCCEED", image: str = "a", **more: Any) -> str:
    about = {"task_id": task, "task_type": "TXT_TO_IMG", "status": f"TASK_STATUS_{status}", **more}
    images = [{"image_url": f"https://outputs.example/{task}/{image}.png", "image_type": "png"}]
    return orjson.dumps({"task": about, "images": images if status == "SUCCEED" else []}).decode()


def fill(store: Store) -> list[dict[str, Any]]:
    """Everything that a journal can hold, in several commits. Answers the deliveries with their receipts."""
    take_names(store, Names("relay-old", NAMES.sinks))
    addresses = store.projection(Addresses)
    addresses.bind(NONCES["t-succeeds"], Binding("t-succeeds", given=True))
    store.append([_submitted(task) for task in ("t-succeeds", "t-fails", "t-runs", "t-abandoned")], AT)
    receipts = [
        {"body": body, **store.append(drafts_of(body, AT), AT + 10).receipts[0]._asdict()} for body in delivered()
    ]
    addresses.bind(NONCES["t-runs"], Binding("t-runs", given=False))
    store.append([abandoned_draft("t-abandoned", "UPSCALE", "deadline", now=AT + 20)], AT + 20)
    store.append(drafts_of(delivered()[0]), AT + 25)  # a repetition
    for chat in ("chat-ends", "chat-open"):
        key = chunk_key(chat)
        opened = started_draft(Opening(chat, AT + 30, 0.0, model="vendor/model", stream=True, client="web"))
        chunks = [
            chunk_draft(chat, key, first, [_chunk(first), _chunk(first + 1)], time="2026-01-01T00:00:00.040Z")
            for first in (0, 2)
        ]
        store.append([opened], AT + 30)
        store.append(chunks, AT + 40)
        if chat == "chat-ends":
            store.append(
                [closed_by_restart(opened.event, [each.event for each in chunks], AT + 50, apis()).terminal], AT + 50
            )
    _settle(store)
    take_names(store, NAMES)  # a fork: it has another identity from here
    store.append([*drafts_of(_result("t-after-the-fork"))], AT + 70)
    return receipts


def _submitted(task: str) -> Draft:
    data = bare_task(task, "submitted", via="submit", received_at=AT)
    return submitted_draft(data)


def _chunk(number: int) -> bytes:
    delta = {"index": 0, "delta": {"content": f"word {number} "}, "finish_reason": None}
    return orjson.dumps({"id": "cmpl-1", "object": "chat.completion.chunk", "choices": [delta]})


def _settle(store: Store) -> None:
    """One sink has nearly all and has refused an event, which is replayed to it; the other is far behind."""
    first, second, *_ = store.read(0, 10, 1 << 20)
    refused = refused_draft(second, Refused("too_large", "It is too large."), origin="kafka", refused_at=AT + 55)
    store.append([refused, Draft(second.event, b"replay of event 2", sink="kafka")], AT + 55)
    last = store.last_offset - 1
    history = store.projection(History)
    history.passed(Passage("kafka", last, AT + 60, [(second.offset, "dead"), (3, "absorbed")]))
    history.passed(Passage("redis", first.offset, AT + 61))
    progress = {"kafka": Progress(last, last - 2, 1, 1), "redis": Progress(1, 1, 0)}
    store.append([], AT + 60, progress)
    store.write_what_waits(AT + 60_000)


def make(folder: Path) -> None:
    """Writes the journals of the present version to a folder, and what they hold."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "relay.db")
        store = Store(path)
        receipts = fill(store)
        holds = {**portrait(store), "deliveries": receipts}
        left = {"killed.db": path.read_bytes(), "killed.db-wal": log_of(path).read_bytes()}
        store.close()
        left["closed.db"] = path.read_bytes()
    for name, content in left.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))
    (folder / "holds.json").write_bytes(orjson.dumps(holds, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS))


def main(version: str = __version__, known: Sequence[str] = ()) -> int:
    """The exit code: 1 where that version is released, and its journal is what people have on their disks."""
    if version in (known or released()):
        print(f"{version} is released: its journal is what people have on their disks, and stays.", file=sys.stderr)
        return 1
    make(FOLDER / version)
    return 0


if __name__ == "__main__":
    sys.exit(main())
