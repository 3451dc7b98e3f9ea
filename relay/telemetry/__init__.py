"""Signals: past-tense calls that write the log line, move the metric and tell the span, once, in one place.

Metric names and labels are contract. No label takes unbounded values: no task ids, URLs or tokens.
"""

from relay.telemetry.log import LogFormat, conceal_in_log, configure_logging, set_log_level
from relay.telemetry.process import CONTENT_TYPE, JournalFigures, Telemetry
from relay.telemetry.signals.chats import ChatSignals
from relay.telemetry.signals.claims import ClaimSignals
from relay.telemetry.signals.consumers import ConsumerSignals
from relay.telemetry.signals.deliveries import DeliverySignals
from relay.telemetry.signals.sinks import SinkFigures, SinkSignals, Trouble
from relay.telemetry.signals.submissions import SubmissionSignals
from relay.telemetry.signals.tasks import TaskFigures, TaskSignals
from relay.telemetry.signals.upstream import UpstreamSignals
from relay.telemetry.spans import OFF, Span, Spans, open_spans

__all__ = [
    "CONTENT_TYPE",
    "OFF",
    "ChatSignals",
    "ClaimSignals",
    "ConsumerSignals",
    "DeliverySignals",
    "JournalFigures",
    "LogFormat",
    "SinkFigures",
    "SinkSignals",
    "Span",
    "Spans",
    "SubmissionSignals",
    "TaskFigures",
    "TaskSignals",
    "Telemetry",
    "Trouble",
    "UpstreamSignals",
    "conceal_in_log",
    "configure_logging",
    "open_spans",
    "set_log_level",
]
