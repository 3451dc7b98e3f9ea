from __future__ import annotations

import asyncio
import time

from relay.core.errors import RelayError
from relay.telemetry.log import configure_logging
from relay.telemetry.signals.process import HealthSignals, ProcessSignals
from relay.telemetry.telemetry import Telemetry
from tests.unit.telemetry.log_reader import Log
from tests.unit.telemetry.readings import values


def test_an_end_says_what_to_do(log: Log) -> None:
    """The operator would know that the relay ended, not what to do."""
    configure_logging("info", "json")
    ProcessSignals(Telemetry()).failed(RelayError("journal_broken", "It broke.", hint="Fix it."))
    [line] = log.lines
    shown = (line["level"], line["code"], line["error"], line["hint"])
    assert shown == ("critical", "journal_broken", "It broke.", "Fix it.")


def test_a_refused_configuration_shows_until_one_is_in_force() -> None:
    """An alert on a configuration that cannot be loaded would not fire, or never end."""
    signals = ProcessSignals(telemetry := Telemetry())
    readings = []
    for change in (lambda: None, lambda: signals.reload_refused("p"), signals.reread, lambda: signals.reread(["f"])):
        change()
        readings.append(values(telemetry, "relay_config_last_reload_successful")[()])
    assert readings == [1, 0, 1, 0]


def reading(telemetry: Telemetry, name: str) -> float:
    (value,) = values(telemetry, name).values()
    return value


async def test_a_blocked_event_loop_shows_at_the_next_scrape_and_is_then_forgotten() -> None:
    """Whatever blocks the loop delays every acknowledgement, and nobody would see what it was."""
    telemetry = Telemetry()
    health = HealthSignals(telemetry)
    watching = asyncio.create_task(health.watch_the_loop())
    await asyncio.sleep(0)  # it goes to sleep
    time.sleep(0.6)  # noqa: ASYNC251 - this is the fault
    await asyncio.sleep(0.01)
    health.looked_at(None)
    assert reading(telemetry, "relay_event_loop_delay_seconds") >= 0.3
    health.looked_at(None)
    assert reading(telemetry, "relay_event_loop_delay_seconds") < 0.3
    watching.cancel()


def test_clock_disk_and_memory_are_reported() -> None:
    """A wrong clock, a disk that fills up or a leak would first show as an outage."""
    telemetry = Telemetry()
    health = HealthSignals(telemetry)
    health.looked_at(12345)
    assert reading(telemetry, "relay_journal_disk_free_bytes") == 12345
    assert abs(reading(telemetry, "relay_time_seconds") - time.time()) < 5
    assert reading(telemetry, "process_resident_memory_bytes") > 1 << 20
    assert reading(telemetry, "process_open_fds") > 0
