"""Signals: past-tense calls that write the log line, move the metric and annotate the span, once, in one place."""
