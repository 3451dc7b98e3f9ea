"""The table at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deploy.cluster.traffic import Outcome


@dataclass(frozen=True, slots=True)
class Row:
    """One scenario with one sink. ``failure``: what the cluster did not do."""

    sink: str
    scenario: str
    seconds: float
    outcome: Outcome
    note: str = ""
    failure: str = ""

    @property
    def holds(self) -> bool:
        """Whether it went as promised."""
        return self.outcome.holds and not self.failure


HEAD = (
    "sink",
    "scenario",
    "s",
    "acknowledged",
    "tries",
    "errors that senders saw",
    "slowest s",
    "lost",
    "repeated",
    "",
)


def table(rows: Sequence[Row]) -> str:
    """In Markdown, so that it can be pasted."""
    cells = [HEAD, tuple("---" for _ in HEAD), *map(_cells, rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _cells(row: Row) -> tuple[str, ...]:
    outcome = row.outcome
    errors = ", ".join(f"{count} {error}" for error, count in outcome.errors.most_common()) or "none"
    words = [f"FAILED: {row.failure}"] if row.failure else []
    words += [f"{outcome.changed} changed"] if outcome.changed else []
    words += [row.note] if row.note else []
    numbers = (f"{outcome.slowest:.1f}", str(outcome.lost), str(outcome.repeated))
    counts = (f"{row.seconds:.0f}", str(outcome.acknowledged), str(outcome.sent))
    return row.sink, row.scenario, *counts, errors, *numbers, "; ".join(words).replace("\n", " ")[:300]
