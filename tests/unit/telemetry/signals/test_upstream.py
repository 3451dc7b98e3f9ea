from __future__ import annotations

import ssl
from pathlib import Path

from relay.core.certificates import validity_of_pem
from relay.telemetry.log import configure_logging
from relay.telemetry.signals.upstream import UpstreamSignals
from relay.telemetry.telemetry import Telemetry
from tests.services.certificates import self_signed
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


def test_the_upstreams_certificate_is_that_of_the_last_connection(tmp_path: Path) -> None:
    """Nobody would be warned of its end, or still be after it was renewed."""
    telemetry = Telemetry()
    upstream = UpstreamSignals(telemetry)
    for folder in ("first", "second"):
        cert, _ = self_signed(tmp_path / folder)
        upstream.certificate_shown(ssl.PEM_cert_to_DER_cert(cert.read_text()))
        expected = {("upstream",): validity_of_pem(cert.read_bytes()).ends}
        assert values(telemetry, "relay_certificate_not_after_timestamp_seconds") == expected
    upstream.certificate_shown(b"of a form of its own")
    assert values(telemetry, "relay_certificate_not_after_timestamp_seconds") == expected
