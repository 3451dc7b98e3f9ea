"""Signals: past-tense calls that write the log line, move the metric and tell the span, once, in one place."""

from relay.telemetry.log import conceal_in_log, configure_logging, set_log_level
from relay.telemetry.metrics import CONTENT_TYPE
from relay.telemetry.signals.chats import ChatSignals
from relay.telemetry.signals.claims import ClaimSignals
from relay.telemetry.signals.consumers import ConsumerSignals
from relay.telemetry.signals.dead_letters import DeadLetterSignals
from relay.telemetry.signals.deliveries import DeliverySignals
from relay.telemetry.signals.health import HealthSignals
from relay.telemetry.signals.http import HttpSignals
from relay.telemetry.signals.journal import JournalFigures, JournalSignals
from relay.telemetry.signals.process import ProcessSignals
from relay.telemetry.signals.sinks import SinkFigures, SinkSignals, Trouble
from relay.telemetry.signals.submissions import SubmissionSignals
from relay.telemetry.signals.tasks import TaskFigures, TaskSignals
from relay.telemetry.signals.upstream import UpstreamSignals
from relay.telemetry.spans import Span
from relay.telemetry.telemetry import Telemetry
from relay.telemetry.tracing import open_spans

__all__ = [
    "CONTENT_TYPE",
    "ChatSignals",
    "ClaimSignals",
    "ConsumerSignals",
    "DeadLetterSignals",
    "DeliverySignals",
    "HealthSignals",
    "HttpSignals",
    "JournalFigures",
    "JournalSignals",
    "ProcessSignals",
    "SinkFigures",
    "SinkSignals",
    "Span",
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
