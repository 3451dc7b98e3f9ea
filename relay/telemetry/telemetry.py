"""What signals report through: metrics, the log and spans. It knows none of the signals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import structlog

from relay.telemetry.inferences import SILENT, Inferences
from relay.telemetry.metrics import Metrics
from relay.telemetry.spans import OFF, Spans


@dataclass(slots=True)
class Telemetry:
    """The process's metrics, its log and its spans. One instance, handed to the signals of all parts."""

    metrics: Metrics = field(default_factory=Metrics)
    log: Any = field(default_factory=lambda: structlog.get_logger("relay"))
    spans: Spans = OFF
    """Replaced before anything is signalled, where tracing is on."""
    inferences: Inferences = SILENT
    """The same, where ``telemetry.otlp`` is on."""
