"""Signals: past-tense calls that write the log line, move the metric and annotate the span, once, in one place."""

import sys

if "rich" not in sys.modules:
    # structlog imports it, where it can, for tracebacks that relay does not write: a twelfth of relay's start.
    sys.modules["rich"] = None  # type: ignore[assignment]
    import structlog  # noqa: F401

    del sys.modules["rich"]
