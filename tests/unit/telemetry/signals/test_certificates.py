from __future__ import annotations

from relay.core.certificates import Validity
from relay.telemetry.signals.certificates import CertificateSignals
from relay.telemetry.telemetry import Telemetry
from tests.unit.telemetry.readings import values

BEGINS, ENDS = "relay_certificate_not_before_timestamp_seconds", "relay_certificate_not_after_timestamp_seconds"


def test_each_use_shows_the_certificate_in_force() -> None:
    """The alert would go on after a renewal, or name another listener."""
    telemetry = Telemetry()
    signals = CertificateSignals(telemetry)
    signals.read([("server.tls", Validity(1.0, 2.0)), ("upstream", Validity(3.0, 4.0))])
    signals.read([("server.tls", Validity(5.0, 6.0))])
    assert values(telemetry, BEGINS) == {("server.tls",): 5.0, ("upstream",): 3.0}
    assert values(telemetry, ENDS) == {("server.tls",): 6.0, ("upstream",): 4.0}
