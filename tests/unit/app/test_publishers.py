"""Which publishers are waited for. That relays publish before they end is in tests/integration/test_drain.py."""

from __future__ import annotations

import asyncio

from relay.app.publishers import Publishers
from relay.core.errors import RelayError
from relay.telemetry.signals.sinks import SinkSignals
from relay.telemetry.telemetry import Telemetry
from tests.unit.virtual_time import virtually


class Published:
    """Stands for a publisher: its sink has the events up to ``offset``."""

    def __init__(self, label: str, offset: int) -> None:
        self.label, self.offset = label, offset
        self._stopping = asyncio.Event()

    def has(self, offset: int) -> bool:
        return self.offset >= offset

    async def run(self) -> None:
        await self._stopping.wait()

    def stop(self) -> None:
        self._stopping.set()


def started(*publishers: Published, down: str = "") -> tuple[Publishers, dict[str, asyncio.Task[None]]]:
    """These, all with their sinks up but for one; and their tasks by label."""
    telemetry, all_of_them, tasks = Telemetry(), Publishers(), {}
    for each in publishers:
        signals = SinkSignals(telemetry, each.label)
        signals.sink_opened(0, 0)
        if each.label == down:
            signals.sink_lost(RelayError("unreachable", "No broker answers."), 1.0)
        tasks[each.label] = all_of_them.start(each, signals)  # type: ignore[arg-type]
    return all_of_them, tasks


async def test_those_that_are_on_time_go_on_and_the_others_end() -> None:
    """A sink that is down would hold up the end, or one that is up would miss the last events."""
    publishers, tasks = started(Published("up", 5), Published("late", 4), Published("down", 5), down="down")
    assert publishers.stop_late(5) == {tasks["up"]}
    await asyncio.wait([tasks["late"], tasks["down"]])
    assert not tasks["up"].done()
    publishers.stop()
    await tasks["up"]


def test_only_sinks_that_are_up_are_waited_for_and_not_forever() -> None:
    """Each restart during an outage would take all of its time, or a slow sink would keep a relay from ending."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        slow = Published("slow", 4)
        publishers, _ = started(slow, Published("down", 0), down="down")
        await publishers.catch_up(5, 3.0)
        assert 3.0 <= loop.time() < 3.1
        slow.offset = 5
        await publishers.catch_up(5, 3.0)
        assert loop.time() < 3.1
        assert not publishers.have(5)
        publishers.stop()

    virtually(main())
