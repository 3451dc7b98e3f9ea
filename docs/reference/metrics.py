"""``metrics.md``: every metric of a running relay, from the registry itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Metric

from docs.reference.markdown import code, page, table
from relay.core.chat.events import TOKENS
from relay.telemetry.metrics import Histogram
from relay.telemetry.signals import chats
from relay.telemetry.signals.claims import ClaimSignals
from relay.telemetry.signals.clients import LIMITS, MAX_CLIENTS, ClientSignals
from relay.telemetry.signals.consumers import ConsumerSignals
from relay.telemetry.signals.deliveries import DeliverySignals
from relay.telemetry.signals.http import HttpSignals
from relay.telemetry.signals.journal import JournalSignals
from relay.telemetry.signals.outputs import OutputSignals
from relay.telemetry.signals.process import HealthSignals, ProcessSignals
from relay.telemetry.signals.sinks import SinkFigures, SinkSignals
from relay.telemetry.signals.submissions import SubmissionSignals
from relay.telemetry.signals.tasks import TaskSignals
from relay.telemetry.signals.upstream import UpstreamSignals
from relay.telemetry.telemetry import Telemetry

INTRODUCTION: Final = f"""
`GET /metrics` on the admin listener (`127.0.0.1:9090`), in Prometheus' text format. No label holds a task's id, a URL
or a token. A histogram `NAME` has the series `NAME_bucket`, `NAME_sum` and `NAME_count`. The [runbook](../runbook.md)
lists the alerts and what to do about each; [`relay.json`](../../deploy/helm/relay/dashboards/relay.json) is a
dashboard.

The table lists a label's values if they are a fixed set. `sink` is the sink's `name`, or else its `type`;
`use` is `server.tls`, `admin.tls`, `upstream`, `dedup.shared_index`, or `sink` and the sink's name; `topic` and
the `type` of events are one of [these](events.md); `code` is one of [these](errors.md#codes-of-the-relay-itself);
`api` is one of [these](../chat-events.md); `model` is one of the first {chats.MAX_MODELS} that answered, then `other`;
`client` is a name under `proxy.clients`, one of the first {MAX_CLIENTS}, then `other`, and empty for an unnamed client;
of tokens there are {chats.MAX_SPENDERS} combinations of the three, and in further ones `model` is `other`; the `reason`
of a chat is one of [these](../chat-events.md#how-a-chat-ended), and that of a dead letter one of
[these](errors.md#reasons-of-dead-letters).
"""
_VALUES: Final = {
    "outcome": ("completed", "failed", "cancelled"),
    "kind": TOKENS,
    "limit": LIMITS,
}
"""Values of labels that show up only once a chat has ended."""

_FIXED: Final = {"result", "state", *_VALUES}
"""Labels whose values are a fixed set that is documented nowhere else."""


def metrics_page() -> str:
    """The page."""
    registry = _registry()
    labels = _labels(registry)
    families = sorted(registry.collect(), key=lambda family: family.name)
    heads = ["metric", "type", "labels", "what it shows"]
    ours, others = (
        table(heads, [_row(family, labels) for family in families if family.name.startswith("relay_") == is_ours])
        for is_ours in (True, False)
    )
    return page("Metrics", INTRODUCTION, [ours, f"## Of the process itself\n\n{others}"])


def _registry() -> CollectorRegistry:
    """The metrics of a relay with its sources and a sink, so that the fixed labels have their values."""
    telemetry = Telemetry()
    for signals in (
        HealthSignals,
        HttpSignals,
        JournalSignals,
        ProcessSignals,
        ConsumerSignals,
        SubmissionSignals,
        OutputSignals,
    ):
        signals(telemetry)
    chats.ChatSignals(telemetry)
    ClientSignals(telemetry)
    OutputSignals(telemetry)
    DeliverySignals(telemetry, "novita")
    TaskSignals(telemetry, UpstreamSignals(telemetry))
    ClaimSignals(telemetry, "kafka")
    SinkSignals(telemetry, "kafka").sink_looked_at(SinkFigures(0, 0, 0, 0, 0, 0.0))
    return telemetry.metrics.registry


def _labels(registry: CollectorRegistry) -> dict[str, Sequence[str]]:
    """The labels of each metric, also of one without series; the client library has them nowhere in public."""
    found: dict[str, Sequence[str]] = {}
    for collector, names in registry._collector_to_names.items():
        if isinstance(collector, Histogram):
            found[collector._name] = [collector._label] if collector._label else []
        else:
            found |= dict.fromkeys(names, getattr(collector, "_labelnames", ()))
    return found


def _row(family: Metric, labels: Mapping[str, Sequence[str]]) -> list[str]:
    name = family.name + ("_total" if family.type == "counter" else "")
    described = "; ".join(code(label) + _values(family, label) for label in labels.get(name, ()))
    return [code(name), family.type, described, family.documentation]


def _values(family: Metric, label: str) -> str:
    if label not in _FIXED:
        return ""
    values = tuple(dict.fromkeys(sample.labels[label] for sample in family.samples)) or _VALUES.get(label)
    if not values:
        raise LookupError(
            f"{family.name} has no series, so the values of its label {label!r} are unknown: create the series when "
            f"the signals are made, or list the values in {__name__}._VALUES"
        )
    return f": {', '.join(values)}"
