"""The fault matrix: which rows run and how much each does, and the report of what came of them.

A row is a test with the marker ``row``; it may live in any folder. ``make test`` runs a short selection of each, ``make
faults`` (``--matrix``) every row at full size, ``make faults ARGS=--long`` three times as much of what is drawn at
random, and Kafka 3.9 as well. Most rows wait most of the time and run side by side; those with the marker ``alone``
hold the relay to bounds in seconds and run one after the other (``--alone``). The report is printed and written to
``var/faults/REPORT.md``. ``RELAY_TEST_SEED`` repeats a run's choices (not its timing).
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.faults.harness.oracle import Verdict
from tests.services.kafka import VERSION

Size = Literal["short", "full", "long"]


SEED = int(os.environ.get("RELAY_TEST_SEED") or random.SystemRandom().randrange(1, 1 << 31))
"""That which was asked for, or one by chance."""
REPORT = Path(__file__).resolve().parents[3] / "var" / "faults" / "REPORT.md"
SOAKED = REPORT.with_name("SOAK.md")
ROWS = REPORT.with_name("rows.json")
"""The rows of the report as data, for the run that adds to it."""
_LIMITS: dict[Size, int] = {"short": 400, "full": 600, "long": 1200}
"""Seconds that a row may take, whatever the default is."""
_COLUMNS = (
    "row",
    "what",
    "with",
    "load",
    "faults injected",
    "acked",
    "lost",
    "repeated",
    "reordered",
    "time",
    "result",
)


@dataclass(frozen=True, slots=True)
class Effort:
    """How often a row repeats what it does: ``effort(short=2, full=20)``.

    A long run does three times as much as a full one, unless ``long`` says otherwise: what is drawn at random finds
    more when it is repeated; an outage of three minutes finds what one of a minute finds.
    """

    size: Size

    def __call__(self, *, short: int, full: int, long: int | None = None) -> int:
        return {"short": short, "full": full, "long": full * 3 if long is None else long}[self.size]

    @property
    def timed(self) -> bool:
        """Whether bounds in seconds are enforced. The report always has the figures; ``make test`` fails on none.

        It runs wherever somebody works, beside whatever they run there.
        """
        return self.size != "short"

    def within(self, seconds: float) -> float:
        """So many seconds where they are enforced, else a minute more: enough for whatever does not hang."""
        return seconds if self.timed else seconds + 60


@dataclass(slots=True)
class Row:
    """One line of the report, filled by its test. Figures that make no sense for a row stay ``None``."""

    number: str
    title: str
    variant: str = ""
    seed: int = SEED
    load: str = ""
    faults: Counter[str] = field(default_factory=Counter)
    acknowledged: int | None = None
    lost: int | None = None
    repeated: int | None = None
    reordered: int | None = None
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    result: str = "not run"
    planted: bool = False

    def injected(self, fault: str, count: int = 1) -> None:
        """``count`` faults of a kind were really injected."""
        self.faults[fault] += count

    def counted(self, *, acknowledged: int = 0, lost: int = 0, repeated: int = 0, reordered: int = 0) -> None:
        """Adds to the figures; for rows that have their own oracle."""
        self.acknowledged = (self.acknowledged or 0) + acknowledged
        self.lost = (self.lost or 0) + lost
        self.repeated = (self.repeated or 0) + repeated
        self.reordered = (self.reordered or 0) + reordered

    def judged(self, verdict: Verdict, acknowledged: int) -> None:
        """Adds what the oracle said of one sink."""
        self.counted(
            acknowledged=acknowledged,
            lost=len(verdict.lost),
            repeated=len(verdict.repeated),
            reordered=len(verdict.reordered),
        )

    def caught(self, verdict: Verdict) -> None:
        """A planted bug was found: what the line shows as lost or repeated is what should be."""
        self.planted = True
        faults = ", ".join(f"{len(found)} {kind}" for kind, found in verdict.faults.items())
        self.notes.append(f"{self.title}: {faults}")

    def as_json(self) -> str:
        """The line as one process hands it to another."""
        return json.dumps({each.name: getattr(self, each.name) for each in fields(self)})

    @classmethod
    def from_json(cls, text: str) -> Row:
        """The line that another process has handed over."""
        values = json.loads(text)
        return cls(**{**values, "faults": Counter(values["faults"])})

    def cells(self) -> list[str]:
        """The line, in the order of the columns."""
        faults = ", ".join(f"{count} {fault}" for fault, count in self.faults.items()) or "none"
        figures = (self.acknowledged, self.lost, self.repeated, self.reordered)
        shown = ["-" if figure is None else str(figure) for figure in figures]
        return [self.number, self.title, self.variant, self.load, faults, *shown, f"{self.seconds:.0f} s", self.result]


def pytest_addoption(parser: pytest.Parser) -> None:
    """The two sizes beyond the short selection, and the rows that need the machine to themselves."""
    group = parser.getgroup("faults")
    group.addoption("--matrix", action="store_true", help="run the fault matrix, and nothing else, at full size")
    group.addoption("--long", action="store_true", help="three times as much, and Kafka 3.9 (with --matrix)")
    group.addoption("--soak", metavar="MINUTES", help="run the soak, and nothing else")
    group.addoption(
        "--alone", action="store_true", help="of the matrix only the rows that run alone, added to the report"
    )


def pytest_configure(config: pytest.Config) -> None:
    """The markers."""
    config.addinivalue_line("markers", "row(number, title): this test is a row of the fault matrix")
    config.addinivalue_line("markers", "matrix: too slow for `make test`; runs in the matrix only")
    config.addinivalue_line("markers", "long: runs in the long matrix only")
    config.addinivalue_line("markers", "soak: runs for as long as --soak says, and only then")
    config.addinivalue_line("markers", "alone: has bounds in seconds, so that nothing runs beside it in the matrix")
    config.stash[_ROWS] = []


def pytest_report_header(config: pytest.Config) -> str:
    """The seed, with which a run is repeated."""
    return f"faults: {size_of(config)}, RELAY_TEST_SEED={SEED}"


def size_of(config: pytest.Config) -> Size:
    """How much the rows do in this run."""
    if config.getoption("--long"):
        return "long"
    return "full" if config.getoption("--matrix") else "short"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Selects by size, and gives each row its time."""
    size, minutes = size_of(config), config.getoption("--soak")
    chosen, left_out = [], []
    for item in items:
        if (item.get_closest_marker("soak") is not None) != (minutes is not None):
            left_out.append(item)
            continue
        if minutes:
            chosen.append(item)
            item.add_marker(pytest.mark.timeout(float(minutes) * 60 + 600))
            continue
        now = size == "short" or bool(item.get_closest_marker("alone")) == config.getoption("--alone")
        (chosen if now and _belongs(item, size) else left_out).append(item)
        if item.get_closest_marker("row"):
            item.add_marker(pytest.mark.timeout(_LIMITS[size]))
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = chosen


def _belongs(item: pytest.Item, size: Size) -> bool:
    if size == "short":
        return not (item.get_closest_marker("matrix") or item.get_closest_marker("long"))
    wanted = size == "long" or not item.get_closest_marker("long")
    return wanted and any(item.get_closest_marker(name) for name in ("row", "matrix"))


@pytest.fixture
def effort(request: pytest.FixtureRequest) -> Effort:
    """How much this run does."""
    return Effort(size_of(request.config))


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Iterator[Row]:
    """This test's line of the report."""
    number, title = request.node.get_closest_marker("row").args
    variant = getattr(getattr(request.node, "callspec", None), "id", "")
    line = Row(number, title, variant)
    request.node.stash[_LINE] = line
    print(f"seed {line.seed}")
    started = time.monotonic()
    yield line
    line.seconds = time.monotonic() - started


_LINE = pytest.StashKey[Row]()
_ROWS = pytest.StashKey[list[Row]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Records in the row how its test ended, and attaches it to the test's last report."""
    report = yield
    line = item.stash.get(_LINE, None)
    if line is not None and (report.when == "call" or report.failed):
        line.result = ("caught" if line.planted else "held") if report.passed else "FAILED"
    if line is not None and report.when == "teardown":
        report.user_properties.append((_LINE_PROPERTY, line.as_json()))
    return report


_LINE_PROPERTY = "fault matrix"


class Collector:
    """Gathers the rows where the report is written: not in the processes that run them."""

    def __init__(self, config: pytest.Config) -> None:
        self._rows = config.stash[_ROWS]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One phase of one test, run here or elsewhere."""
        if report.when == "teardown":
            self._rows += [Row.from_json(str(text)) for name, text in report.user_properties if name == _LINE_PROPERTY]


def pytest_sessionstart(session: pytest.Session) -> None:
    """Begins to gather rows."""
    session.config.pluginmanager.register(Collector(session.config))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Prints the report, and writes it when the whole matrix was asked for."""
    rows, size = config.stash[_ROWS], size_of(config)
    if rows and config.getoption("--soak"):
        _write(terminalreporter, SOAKED, render(rows, f"a soak of {config.getoption('--soak')} minutes"))
    elif size != "short" and rows:
        _report(terminalreporter, rows, size, added=config.getoption("--alone"))


def _report(terminalreporter: Any, rows: list[Row], size: Size, *, added: bool) -> None:
    if added and ROWS.exists():
        rows = [*map(Row.from_json, json.loads(ROWS.read_text())), *rows]
    ordered = sorted(rows, key=lambda line: (int(line.number[1:] or 99), line.title))  # planted bugs ("-") come last
    _write(terminalreporter, REPORT, render(ordered, size))
    ROWS.write_text(json.dumps([line.as_json() for line in rows]))


def _write(terminalreporter: Any, path: Path, text: str) -> None:
    terminalreporter.section("fault matrix")
    terminalreporter.write_line(text)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    terminalreporter.write_line(f"written to {path.relative_to(path.parents[3])}")


def render(rows: list[Row], size: str) -> str:
    """The report in Markdown: one line per row and variant, then what the tests noted."""
    lines = [
        f"# Fault matrix, {size}",
        "",
        f"Kafka {VERSION} unless a line names another, seed {rows[0].seed} (`RELAY_TEST_SEED`).",
        "",
        f"| {' | '.join(_COLUMNS)} |",
        f"|{' --- |' * len(_COLUMNS)}",
        *(f"| {' | '.join(line.cells())} |" for line in rows),
    ]
    notes = [f"- {line.number} {line.variant}: {note}" for line in rows for note in line.notes]
    return "\n".join([*lines, "", *notes, ""])
