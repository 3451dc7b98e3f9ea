from __future__ import annotations

from relay.telemetry.log import configure_logging
from relay.telemetry.signals.upstream import UpstreamSignals
from relay.telemetry.telemetry import Telemetry
from tests.unit.telemetry.log_reader import Log
from tests.unit.telemetry.readings import values


def test_the_upstream_is_up_until_somebody_finds_that_it_is_not() -> None:
    """A relay that only receives webhooks would raise the alarm over an upstream that it never asks."""
    telemetry = Telemetry()
    upstream = UpstreamSignals(telemetry)
    assert values(telemetry, "relay_upstream_up") == {(): 1}
    upstream.upstream_reached(False)
    assert values(telemetry, "relay_upstream_up") == {(): 0}
    upstream.upstream_reached(True)
    assert values(telemetry, "relay_upstream_up") == {(): 1}


def test_clients_that_do_well_do_not_hide_that_polls_are_refused() -> None:
    """A wrong key of the relay's own would flicker away with each chat that passes."""
    telemetry = Telemetry()
    upstream = UpstreamSignals(telemetry)
    upstream.polls_answered(False)
    upstream.upstream_reached(True)
    assert values(telemetry, "relay_upstream_up") == {(): 0}
    upstream.polls_answered(True)
    assert values(telemetry, "relay_upstream_up") == {(): 1}


def test_a_trouble_that_stays_is_reported_once(log: Log) -> None:
    """Each chat would be a line for as long as an outage lasts; or nobody would learn why there is one."""
    configure_logging("info", "json")
    upstream = UpstreamSignals(Telemetry())
    for error in ("away", "away", "refused"):
        upstream.connection_failed(error, "h", "http://proxy:3128")
    upstream.upstream_reached(True)
    upstream.connection_failed("refused", "h", None)
    assert [(line["error"], line["egress_proxy"]) for line in log.lines] == [
        ("away", "http://proxy:3128"),
        ("refused", "http://proxy:3128"),
        ("refused", None),
    ]
    assert upstream.up is False
