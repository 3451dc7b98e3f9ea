from __future__ import annotations

import asyncio

import pytest

from relay.core.event import TASKS, Event, Receipt
from relay.journal.errors import JournalUnavailable
from relay.telemetry.log import configure_logging
from relay.telemetry.signals.deliveries import DeliverySignals
from relay.telemetry.spans import Attributes, Span
from relay.telemetry.telemetry import Telemetry
from tests.unit.telemetry.log_reader import Log
from tests.unit.telemetry.readings import values


def test_a_flood_of_refusals_is_logged_sparingly(log: Log) -> None:
    """A client that sends rubbish could fill the disk with our own log lines."""
    configure_logging("info", "json")
    telemetry = Telemetry()
    delivery = DeliverySignals(telemetry, "novita")
    for _ in range(1000):
        delivery.delivery_rejected("unauthorized", 401, "192.0.2.1")
    delivery.delivery_rejected("not_json", 400, "192.0.2.1")
    logged = [line["event"] for line in log.lines]
    assert logged.count("delivery rejected") < 20
    assert log.lines[-1]["code"] == "not_json", "another reason is logged at once"
    delivery.delivery_rejected("backlog_full", 503, "192.0.2.1")
    counted = values(telemetry, "relay_deliveries_total")
    assert (counted["rejected", "novita"], counted["unavailable", "novita"]) == (1001, 1)


class Noted(Span):
    """A span that remembers how it ended."""

    def __init__(self) -> None:
        super().__init__(None)
        self.attributes: dict[str, object] = {}
        self.ended: list[str | None] = []

    def note(self, attributes: Attributes) -> None:
        self.attributes |= attributes

    def end(self, *, error: str | None = None) -> None:
        self.ended.append(error)


@pytest.mark.parametrize(
    ("answer", "error", "result"),
    [
        (Receipt("duplicate", "e1", 1), None, "duplicate"),
        (JournalUnavailable("disk_full", "m", hint="h"), "disk_full", None),
        (None, "client_gone", None),
    ],
)
async def test_the_span_of_a_delivery_ends_however_it_is_answered(
    answer: Receipt | Exception | None, error: str | None, result: str | None
) -> None:
    """Deliveries that went wrong, or whose sender hung up, would be missing in their traces."""
    receipt: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
    span = Noted()
    if answer is None:
        receipt.cancel()
    elif isinstance(answer, Exception):
        receipt.set_exception(answer)
    else:
        receipt.set_result(answer)
    DeliverySignals(Telemetry(), "novita").delivery_written(
        span, Event(TASKS, "t", "e1", "s", "u", "now", b"{}"), receipt
    )
    assert (span.ended, span.attributes.get("relay.delivery.result")) == ([error], result)
