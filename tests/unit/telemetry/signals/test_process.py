from __future__ import annotations

from relay.core.errors import RelayError
from relay.telemetry.log import configure_logging
from relay.telemetry.signals.process import ProcessSignals
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
