"""``/v1/trends``: the last hour."""

from __future__ import annotations

from relay.edge.api.trends import TrendRoutes
from relay.telemetry.signals.chats import ChatSignals
from relay.telemetry.signals.deliveries import DeliverySignals
from relay.telemetry.telemetry import Telemetry
from relay.telemetry.trends import Trends
from tests.services.raw_http import ask, get
from tests.unit.edge.serving import routed


async def test_it_says_whose_hour_it_is_and_what_happened() -> None:
    """Among several replicas nobody would know whose figures these are."""
    telemetry = Telemetry()
    trends = Trends(telemetry.metrics)
    ChatSignals(telemetry)  # declares its metrics, and no chat has ended yet
    DeliverySignals(telemetry, "novita").delivery_answered("duplicate", 0.004)
    async with routed(TrendRoutes("relay-7", trends).routes()) as url:
        answer = await ask(url, get("/v1/trends"))
    assert answer.status == 200
    assert answer.json["identity"] == "relay-7"
    (point,) = answer.json["points"]
    assert point == answer.json["total"]
    assert 0 < point["ack_seconds"]["p50"] < point["ack_seconds"]["p99"] < 0.005
    assert point["first_token_seconds"] == {"p50": None, "p99": None}
    assert point["deliveries"]["duplicate"] == 1
    assert (point["events"], point["tokens"], point["pending"]) == (0, {"input": 0, "output": 0}, 0)
