from __future__ import annotations

from relay.telemetry import Telemetry, configure_logging
from tests.unit.telemetry.log_reader import Log
from tests.unit.telemetry.readings import values


def test_a_flood_of_refusals_is_logged_sparingly(log: Log) -> None:
    """Whoever sends rubbish could fill the disk with our own lines."""
    configure_logging("info", "json")
    telemetry = Telemetry()
    delivery = telemetry.deliveries("novita")
    for _ in range(1000):
        delivery.delivery_rejected("unauthorized", 401, "192.0.2.1")
        telemetry.request_malformed("192.0.2.1", "BadStatusLine")
    delivery.delivery_rejected("not_json", 400, "192.0.2.1")
    told = [line["event"] for line in log.lines]
    assert told.count("request malformed") < 20
    assert told.count("delivery rejected") < 20
    assert log.lines[-1]["code"] == "not_json", "another reason is told at once"
    assert values(telemetry, "relay_deliveries_total")[("rejected", "novita")] == 1001
