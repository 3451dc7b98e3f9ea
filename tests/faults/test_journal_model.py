"""R9: the journal against its twin of dictionaries, whatever comes in whatever order: appends, repetitions,
contradictions, crashes, full disks, pruning, merging, forks. Offsets are never given out twice.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from relay.core.chat.events import STARTED
from relay.core.dedup import key_of
from relay.core.event import CHAT, Draft, Event
from relay.journal import dedup_index
from relay.journal.errors import JournalUnavailable
from relay.journal.projections.chats import Chats
from relay.journal.projections.dead_letters import DeadLetters
from relay.journal.projections.history import History, Passage, SettledAs
from relay.journal.rows import Progress
from relay.journal.store import Store
from relay.journal.volume import log_of
from tests.faults.harness.matrix import Effort, Row
from tests.faults.harness.twin import Disk, TwinStore
from tests.unit.drafts import dead_draft, draft

SINKS = ("kafka", "redis")
EVERYTHING = (0, 1 << 30, 1 << 40)
_COUNTED: dict[str, int] = {}


def _letter(name: str) -> Draft:
    return dead_draft(f"dead-{name}", b'{"raw":"%s"}' % name.encode())


def _stream(name: str, ends: bool) -> Draft:
    """A chat's beginning or its end."""
    kind = "relay.chat.completed" if ends else STARTED
    event = Event(CHAT, kind, f"{name}:{kind}", "/openai", name, "2026-01-01T00:00:00.000Z", b"{}")
    return Draft(event, key_of("stream", name, kind))


NAMES = st.sampled_from([f"task-{n}" for n in range(12)])
DRAFTS = st.one_of(
    st.builds(
        draft, NAMES, says=st.sampled_from("abc"), data=st.sampled_from([b'{"n":1}', b'"%s"' % (b"x" * 3000)])
    ).map(lambda made: made._replace(via="webhook")),
    st.builds(draft, NAMES, says=st.sampled_from("ab"), conflict=st.just(False)),
    st.builds(lambda name, sink: draft(name)._replace(sink=sink), NAMES, st.sampled_from(SINKS)),
    st.builds(_letter, NAMES),
    st.builds(_stream, NAMES, st.booleans()),
)
MOVES = st.dictionaries(st.sampled_from(SINKS), st.tuples(st.integers(0, 5), st.integers(0, 2)), max_size=2)


class JournalMachine(RuleBasedStateMachine):
    """Each rule does the same to the real store and to its twin; after each they must agree in all that shows.

    A projection joins by one line: what it answers beside the twin's in ``agree``.
    """

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="relay-journal-model-"))
        self.copies = 0
        self.path = self.folder / "relay.db"
        self.store = Store(self.path)
        self.twin = TwinStore(Disk("origin"), lambda: "fork")
        self.now = 1_000_000
        self.offsets_given: dict[int, str] = {}
        self.opened_at = 0
        self.crashes = 0

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.folder)

    # -- what users and sinks do -------------------------------------------------------------------------------

    @rule(drafts=st.lists(DRAFTS, max_size=6), moves=MOVES, later=st.integers(0, 2000))
    def append(self, drafts: list[Draft], moves: dict[str, tuple[int, int]], later: int) -> None:
        """A group, and with it how far the sinks have got."""
        self.now += later
        progress = {sink: self._moved(sink, *by) for sink, by in moves.items()}
        for sink, moved in progress.items():
            self._pass(sink, moved)
        mine = self._both(lambda store: store.append(drafts, self.now, progress))
        for entry in mine.entries if mine else ():
            assert entry.offset not in self.offsets_given, "an offset was given out twice"
            self.offsets_given[entry.offset] = entry.event.id

    append_again = append_once_more = append_yet_again = append  # as often as all that goes wrong

    def _pass(self, sink: str, moved: Progress) -> None:
        """What a full disk kept from being saved is not passed again."""
        before = self._reached(sink)
        refused: list[tuple[int, SettledAs]] = [
            (offset, "dead") for offset in range(max(before, moved.offset - moved.dead) + 1, moved.offset + 1)
        ]
        if moved.offset > before:
            self._note(Passage(sink, moved.offset, self.now, refused))

    def _note(self, passage: Passage) -> None:
        for store in (self.store, self.twin):
            store.projection(History).passed(passage)

    @rule(sink=st.sampled_from(SINKS), back=st.integers(0, 6))
    def lose(self, sink: str, back: int) -> None:
        """A sink says that it is not as far as it was."""
        self._open_sink(sink, max(0, self._reached(sink) - back))

    def _reached(self, sink: str) -> int:
        return max(self.twin.history.sinks.get(sink, {}), default=0)

    def _open_sink(self, sink: str, at: int) -> None:
        """As a publisher does, which asks its sink how far it has got."""
        for store in (self.store, self.twin):
            store.projection(History).rewound(sink, at)
        self.write_what_waits(0)
        self._note(Passage(sink, at, None))

    def _moved(self, sink: str, published: int, dead: int) -> Progress:
        known = self.twin.disk.saved.get(sink)
        at = known.offset if known else 0
        upto = min(self.twin.last_offset, at + published + dead)
        return Progress(upto, upto - at - min(dead, upto - at), min(dead, upto - at))

    @rule(name=NAMES)
    def delete_dead_letter(self, name: str) -> None:
        self._both(lambda store: store.execute(store.projection(DeadLetters).delete, f"dead-{name}"))

    @rule(beyond=st.integers(0, 30))
    def fork(self, beyond: int) -> None:
        """A sink turned out to be ahead of the file."""
        at = min(self.opened_at, self.twin.last_offset)
        self._both(lambda store: store.fork(at, self.twin.last_offset + beyond - 10))

    # -- looking after the file --------------------------------------------------------------------------------

    @rule(behind=st.integers(0, 6), age=st.integers(0, 8000), chunk=st.integers(1, 20))
    def prune(self, behind: int, age: int, chunk: int) -> None:
        floor, older = self.twin.last_offset - behind, self.now - age
        self._both(lambda store: store.prune(floor=floor, older_than=older, over_size=1 << 50, chunk=chunk))

    @rule(steps=st.integers(1, 9))
    def merge(self, steps: int) -> None:
        """Some steps. A merge takes what had gathered when it began; it changes nothing that anybody can ask for."""
        try:
            for _ in range(steps):
                self.store.merge_dedup()
        except JournalUnavailable:
            self._count_full_disk()
        self.twin.disk.merged_offset = self.store._index.merged_offset

    @rule(age=st.integers(0, 8000))
    def sweep(self, age: int) -> None:
        """After a merge, as the journal does it."""
        while self.store._index.waiting():
            before = self.store._index.waiting()
            self.merge(steps=1)
            if self.store._index.waiting() == before:
                return  # a full disk
        self._both(lambda store: _sweep_all(store, self.now - age))

    @rule(later=st.integers(0, 20_000))
    def write_what_waits(self, later: int) -> None:
        """Changes nothing that anybody can ask for."""
        self.now += later
        try:
            self.store.write_what_waits(self.now)
        except JournalUnavailable:
            self._count_full_disk()

    @rule()
    def move_log_into_file(self) -> None:
        self.store.checkpoint_wal()

    # -- what goes wrong ---------------------------------------------------------------------------------------

    @rule()
    def fill_disk(self) -> None:
        self.store._db.execute("PRAGMA max_page_count = 1")  # as many as there are now

    @rule()
    def free_disk(self) -> None:
        self.store._db.execute("PRAGMA max_page_count = 1000000")

    @rule()
    def reopen(self) -> None:
        """An orderly stop and start."""
        if self.store.projection(History).stale():
            return
        self.store.close()
        self._open()

    @rule(drafts=st.lists(DRAFTS, max_size=4))
    def crash(self, drafts: list[Draft]) -> None:
        """``kill -9`` in the middle of a group: what was not committed is gone, everything else is there."""
        if self.store.projection(History).stale():
            return  # a full disk keeps the loss of a sink from being noted: the earlier times are still reported then
        if drafts:
            self.store._db.execute("BEGIN IMMEDIATE")
            self.store._db.execute("DELETE FROM dedup")
            self.store._db.execute("DELETE FROM events")
            self.store._db.execute("DELETE FROM open_chats")
            self.store._db.execute("UPDATE meta SET value = '0' WHERE key = 'merged_offset'")
        self.copies += 1
        self.crashes += 1
        copy = self.folder / f"after-crash-{self.copies}.db"
        shutil.copy(self.path, copy)
        shutil.copy(log_of(self.path), log_of(copy))
        self.store._db.close()
        self.path = copy
        self._open()

    def _open(self) -> None:
        self.store = Store(self.path)
        self.opened_at = self.store.last_offset
        for sink in SINKS:
            self._open_sink(sink, self._reached(sink))

    # -- comparing ---------------------------------------------------------------------------------------------

    def _both(self, act: Callable[[Any], Any]) -> Any:
        """``None``, too, when the real one's disk is full: then it must be as if nothing had been asked."""
        try:
            real = act(self.store)
        except JournalUnavailable:
            self._count_full_disk()
            return None
        assert act(self.twin) == real
        return real

    def _count_full_disk(self) -> None:
        _COUNTED["full disks"] = _COUNTED.get("full disks", 0) + 1

    @invariant()
    def agree(self) -> None:
        """In everything that anybody can ask the store."""
        if not hasattr(self, "store"):
            return
        assert self.shown(self.store) == self.shown(self.twin)
        streams = self.store.query(Chats, Chats.all)
        assert sorted((stream.chat_id, stream.offset) for stream in streams) == self.twin.open_chats()
        assert len(self.store.forks) == len(self.twin.forks)
        assert [fork.offset for fork in self.store.forks] == [fork.offset for fork in self.twin.forks]

    @invariant()
    def history_is_true(self) -> None:
        """A time that is shown is that of the event; a crash may take the last of them, and of the counts."""
        held = [entry.offset for entry in self.store.read(*EVERYTHING)] if hasattr(self, "store") else []
        for sink in SINKS if held else ():
            truth = self.twin.history.sinks.get(sink, {})
            found = self.store.query(History, History.passages, sink, held)
            assert found.keys() == truth.keys() & set(held)
            for offset, (at, settled_as) in found.items():
                assert (at, settled_as) == truth[offset] or (self.crashes and (at, settled_as) == (None, None))
        counted = {
            each.offset: each.times for each in (self.store.query(History, History.repetitions, held) if held else ())
        }
        for offset in held:
            real, true = counted.get(offset, 0), self.twin.history.repetitions[offset]
            assert real == true or (self.crashes and real < true)

    def shown(self, store: Any) -> Any:
        last = store.last_offset
        keys = list(self.twin.disk.facts)
        return (
            last,
            store.read(*EVERYTHING),
            store.read(last // 2, 3, 2000),
            store.checkpoints(),
            store.projection(DeadLetters).page("", 1000),
            (store.oldest_offset(), store.newest_offset(), store.accepted_at(last // 2)),
            store.addressed(0),
            {key: store.known([key])[key] for key in keys},
        )


def _sweep_all(store: Any, older_than: int) -> str:
    position = store.sweep_dedup(b"", older_than=older_than, step=3)
    while position:
        position = store.sweep_dedup(position, older_than=older_than, step=3)
    return "swept"


@pytest.mark.row("R9", "journal model")
def test_the_journal_equals_its_twin_whatever_comes(effort: Effort, row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: some order of appends, crashes, full disks and pruning would lose, double or renumber events."""
    monkeypatch.setattr(dedup_index, "MERGE_STEP", 3)
    examples = effort(short=10, full=200)
    chosen = settings(
        max_examples=examples,
        stateful_step_count=50,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(seed(row.seed)(JournalMachine), settings=chosen, _min_steps=50)
    row.load = f"{examples} examples x 50 steps"
    row.faults.update(_COUNTED)
