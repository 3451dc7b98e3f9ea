"""The examples under docs/consumers, installed and run by the commands that their pages give.

``python -m tests.e2e.consumers.examples`` writes their types again, after a change of the schemas.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.setup.cache import cached, run_installer

ROOT = Path(__file__).resolve().parents[3]
CONSUMERS = ROOT / "docs" / "consumers"
WITHIN = 45.0
"""Seconds of silence that are too long: a group waits less for a member that was killed."""
PIPE = 4096
"""Bytes between a consumer and its reader: it is never further ahead than fits in, about 60 lines."""
_LEFT = {".venv", "__pycache__", ".mypy_cache", "node_modules", "target", "consumer", "ledger.db"}
"""What installing and running leaves; ``docs/consumers/.gitignore`` has the same."""
GENERATED = {"python": "events", "node": "events", "go": "events", "java": "src/main/java/events"}
"""Where the types are, by language."""


@dataclass(frozen=True)
class Example:
    """One program: ``reads`` is what it reads from, ``kafka``, ``redis`` or ``http``."""

    language: str
    reads: str = "kafka"

    def __str__(self) -> str:
        return f"{self.language}-{self.reads}"

    @property
    def command(self) -> str:
        """What its page says to run."""
        found = blocks(self.language, "Run")
        return found[0] if len(found) == 1 else next(each for each in found if self.reads in each)


def blocks(language: str, heading: str) -> list[str]:
    """The commands in a section of a language's page."""
    page = (CONSUMERS / language / "README.md").read_text()
    section = page.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)\n```$", section, re.MULTILINE | re.DOTALL)


def installed(language: str) -> Path:
    """A copy of a language's folder in which everything is installed that its page says, once."""
    source = CONSUMERS / language
    content = b"".join(str(path.relative_to(source)).encode() + path.read_bytes() for path in _committed(source))

    def install(folder: Path) -> None:
        _copy(source, folder)
        for block in (*blocks(language, "Install"), *blocks(language, "Types")[:-1]):
            run_installer(["bash", "-ec", block], folder, environment())

    return cached(f"sdks/consumer-{language}-{sys.version_info.major}.{sys.version_info.minor}", content, install)


def checkout(language: str, place: Path) -> None:
    """Makes ``place`` the language's folder in a checkout of its own, installed."""
    _copy(CONSUMERS / language, place)
    for path in installed(language).iterdir():
        if not (place / path.name).exists():
            (place / path.name).symlink_to(path)


def generate(language: str, root: Path) -> Path:
    """The folder with the language's types, written again from today's schemas in a ``root`` of a checkout's own."""
    (root / "relay").symlink_to(ROOT / "relay")
    here = root / "docs" / "consumers" / language
    checkout(language, here)
    if language in ("go", "java"):
        checkout("node", here.parent / "node")  # the generator
    for path in (here / GENERATED[language]).iterdir():
        path.unlink()
    run_installer(["bash", "-ec", blocks(language, "Types")[-1]], here, environment())
    return here / GENERATED[language]


def _copy(source: Path, target: Path) -> None:
    for path in _committed(source):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)


def _committed(source: Path) -> Iterator[Path]:
    for path in sorted(source.iterdir()):
        if path.name in _LEFT:
            continue
        if path.is_dir():
            yield from _committed(path)
        else:
            yield path


def environment(**more: str) -> dict[str, str]:
    """This process's, with its own Python first, without what steers Python or the relay."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "RELAY_", "VIRTUAL"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "NO_PROXY": "*", **more}


class Consumer:
    """A process of an example; its ledger is in ``place``."""

    def __init__(self, example: Example, place: Path, variables: Mapping[str, str]) -> None:
        self._errors = place / "errors.txt"
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                ["bash", "-c", example.command],
                cwd=place,
                env=environment(**variables),
                stdout=subprocess.PIPE,
                stderr=errors,
                bufsize=0,
                pipesize=PIPE,
                start_new_session=True,
            )

    def line(self) -> str:
        """The next line that it prints."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], WITHIN)
        line = self._process.stdout.readline().decode().rstrip("\n") if ready else ""
        assert line, f"it printed nothing more: {self.errors}"
        return line

    def ends(self) -> int:
        """Its exit code, when it has ended by itself."""
        self._process.communicate(timeout=WITHIN)
        return self._process.returncode

    @property
    def errors(self) -> str:
        """What it said on stderr."""
        return self._errors.read_text()[-4000:]

    def kill(self) -> None:
        """``kill -9``, its children included."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate(timeout=WITHIN)


@dataclass(frozen=True)
class Installation:
    """An example in a place of its own, as after a fresh checkout and its page's "Install"."""

    example: Example
    place: Path
    variables: Mapping[str, str]

    @contextmanager
    def running(self, **more: str) -> Iterator[Consumer]:
        """A process of it, killed in the end."""
        consumer = Consumer(self.example, self.place, {**self.variables, **more})
        try:
            yield consumer
        finally:
            consumer.kill()

    def sql(self, statement: str) -> list[tuple[str | int | None, ...]]:
        """The answer of the ledger, for which no process may be running."""
        with contextlib.closing(sqlite3.connect(self.place / "ledger.db")) as ledger, ledger:
            return ledger.execute(statement).fetchall()

    def seen(self) -> set[str]:
        """The ids of the events whose effect is there."""
        return {str(event_id) for (event_id,) in self.sql("SELECT id FROM seen")}

    def effects(self) -> Counter[tuple[str | int | None, ...]]:
        """All effects, each as often as it was had."""
        return Counter(self.sql("SELECT * FROM outputs") + self.sql("SELECT * FROM usage"))


def fresh(example: Example, place: Path, variables: Mapping[str, str]) -> Installation:
    """An installation without a ledger yet."""
    checkout(example.language, place)
    return Installation(example, place, variables)


def main() -> None:
    """Writes the committed types of all languages again."""
    for language, types in GENERATED.items():
        with tempfile.TemporaryDirectory() as root:
            written = generate(language, Path(root))
            shutil.rmtree(CONSUMERS / language / types, ignore_errors=True)
            shutil.copytree(written, CONSUMERS / language / types)


if __name__ == "__main__":
    main()
