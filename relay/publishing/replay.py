"""Publishes a range of the journal again, on request. What a replay is, ``relay.core.publishing.replay`` says.

The events and the place of the replay go to the sink in one step, so that each is there once, whatever breaks off.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from relay.core.errors import RelayError
from relay.core.event import Entry, fitting
from relay.core.publishing.batching import Batching
from relay.core.publishing.replay import Place, Request, Run, place
from relay.core.publishing.settle import Advance, SplitBatch, ToDeadLetters, settle
from relay.core.retry import Backoff
from relay.core.sink import Batch, Checkpoint, Glancing, Outcome, Refused, Sink, SinkUnavailable

TRIES: Final = 6
"""In a row, with nothing published in between, before a sink that is away ends the replay."""
WATCH_FOR: Final = 3.0
"""Seconds for which an unfinished replay is watched: one whose place moves is running, and not to be ended."""
_BACKOFF: Final = Backoff(first=0.5, most=5.0)


@dataclass(frozen=True, slots=True)
class Page:
    """Wanted entries in journal order; up to and including ``upto`` none is left out."""

    entries: Sequence[Entry]
    upto: int


Read = Callable[[int], Page]
"""The page beyond an offset. Called in a thread."""


@dataclass(slots=True)
class Report:
    """What came of a replay. ``resumed_after``: an earlier one had come so far; ``published`` counts this one's own."""

    run: Run
    finished_before: bool = False
    resumed_after: int | None = None
    published: int = 0
    refused: list[tuple[Entry, Refused]] = field(default_factory=list)
    at: int = 0


class Replay:
    """One request to one sink, which was connected for ``request.topics``. ``on_step`` is called after each step."""

    def __init__(
        self,
        sink: Sink,
        label: str,
        request: Request,
        span: tuple[int, int],
        read: Read,
        on_step: Callable[[Report], None] = lambda _: None,
    ) -> None:
        self._sink, self._label, self._request, self._read, self._on_step = sink, label, request, read, on_step
        self._wanted = Run(request.key, *span, request.topic)
        self._report = Report(self._wanted)
        self._begun = False
        self._dead = 0
        self._failures = 0
        self._skipped: set[int] = set()
        self._in_doubt = (0, 0)  # the offset and the size of a batch whose fate is unknown
        self._batching = Batching.of(sink.limits)

    async def run(self, *, again: bool = False, abandon: bool = False) -> Report:
        """To the end.

        Raises ``SinkUnavailable`` when the sink stays away, ``SinkFenced`` when another process replays to it, and
        ``RelayError`` when another replay was not finished (``replay_unfinished``) or is running (``replay_running``);
        that one is not disturbed, as far as it shows within ``WATCH_FOR`` seconds.
        """
        try:
            while True:
                try:
                    if await self._open(again=again, abandon=abandon):
                        await self._publish_all()
                    return self._report
                except SinkUnavailable as error:
                    self._failures += 1
                    if self._failures == TRIES:
                        raise
                    # The dice only spread retries over time.
                    await asyncio.sleep(_BACKOFF.delay(self._failures, random.random(), error.retry_after))  # noqa: S311
        finally:
            await self._sink.close()

    async def _open(self, *, again: bool, abandon: bool) -> bool:
        """Whether there is anything to do. Once it has begun, ``again`` and ``abandon`` have had their say."""
        if not self._begun and isinstance(self._sink, Glancing):
            await self._check_idle(self._sink, again=again, abandon=abandon)
        held = await self._sink.open()
        found = place(held, self._wanted, again=again and not self._begun, abandon=abandon and not self._begun)
        if found.verdict == "blocked":
            raise _blocked(found, begun=self._begun)
        report = self._report
        report.run, report.at, self._dead = found.run, found.offset, found.dead
        if found.verdict == "begins":
            await self._sink.publish(Batch([], found.run.at(found.offset)))
        elif not self._begun:
            report.resumed_after = found.offset
            report.finished_before = found.verdict == "finished"
        elif self._in_doubt[0] and found.offset >= self._in_doubt[0]:
            report.published += self._in_doubt[1]
        self._begun = True
        self._in_doubt = (0, 0)
        self._on_step(report)
        return found.verdict != "finished"

    async def _check_idle(self, sink: Glancing, *, again: bool, abandon: bool) -> None:
        """Raises ``RelayError`` where another replay is under way: to open the sink would end it."""
        held = await sink.glance()
        found = place(held, self._wanted, again=again, abandon=abandon)
        if found.verdict == "blocked":
            raise _blocked(found, begun=False)
        under_way = Run.named(held.journal_id) if held is not None else None
        if held is None or under_way is None or held.offset >= under_way.last:
            return
        await asyncio.sleep(WATCH_FOR)
        if await sink.glance() != held:
            raise RelayError(
                "replay_running",
                f"A replay of offsets {under_way.first} to {under_way.last} is already publishing to this sink.",
                hint="Wait until it ends, or stop it: only one can run at a time.",
            )

    async def _publish_all(self) -> None:
        report = self._report
        while report.at < report.run.last:
            page = await asyncio.to_thread(self._read, report.at)
            entries = [entry for entry in page.entries if entry.offset <= report.run.last]
            await self._publish(entries)
            report.at = upto = min(page.upto, report.run.last)
            if upto == report.run.last and (not entries or entries[-1].offset < upto):
                await self._sink.publish(Batch([], report.run.at(upto, self._dead)))
            self._on_step(report)

    async def _publish(self, entries: list[Entry]) -> None:
        report, start = self._report, 0
        while start < len(entries):
            part = fitting(entries[start : start + self._batching.events], self._batching.bytes)
            skipped = sum(entry.offset in self._skipped for entry in part)
            wanted = [self._request.readdressed(e, self._label) for e in part if e.offset not in self._skipped]
            self._in_doubt = (part[-1].offset, len(wanted))
            outcomes = await self._send(part, wanted, report.run.at(part[-1].offset, self._dead + skipped))
            self._in_doubt = (0, 0)
            match settle(wanted, outcomes):
                case Advance():
                    start, self._failures = start + len(part), 0
                    report.at, self._dead = part[-1].offset, self._dead + skipped
                    report.published += len(wanted)
                    self._on_step(report)
                case ToDeadLetters(refused):
                    report.refused += [each for each in refused if each[0].offset not in self._skipped]
                    self._skipped |= {entry.offset for entry, _ in refused}
                case SplitBatch(events):
                    self._batching = self._batching.split_to(events)

    async def _send(self, part: Sequence[Entry], wanted: Sequence[Entry], checkpoint: Checkpoint) -> Sequence[Outcome]:
        """The sink's answer. What was quick grows, what is in doubt shrinks."""
        size = sum(len(entry.event.data) for entry in part)
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            outcomes = await self._sink.publish(Batch(wanted, checkpoint, self._batching.seconds))
        except SinkUnavailable:
            self._batching = self._batching.in_doubt(len(part), size)
            raise
        self._batching = self._batching.published(len(part), size, clock() - began)
        return outcomes


def _blocked(found: Place, *, begun: bool) -> RelayError:
    run = found.run
    where = f"to {run.topic}" if run.topic else "to the topics of its events"
    what = f"the replay of offsets {run.first} to {run.last} {where}"
    if begun:
        return RelayError(
            "replay_superseded", f"Another replay has taken over: {what}.", hint="Only one can run at a time."
        )
    return RelayError(
        "replay_unfinished",
        f"{what[0].upper()}{what[1:]} is at {found.offset} and not finished.",
        hint="Resume it by running it again with the same options, or give it up with --abandon.",
    )
