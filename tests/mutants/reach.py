"""Which tests run which line: one run of the tests under coverage, with the test's name as its context."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from coverage import Coverage, CoverageData

DATA = "MUTANTS_REACH"
"""The environment variable that names the file for what was recorded. Not ``RELAY_``: that would be a setting."""


class Recorder:
    """A pytest plugin. Threads record under the test that is running, so the journal's writer counts as well."""

    def __init__(self, data_file: str) -> None:
        self._coverage = Coverage(data_file=data_file, source=["relay"], config_file=False, messages=False)

    def pytest_sessionstart(self) -> None:
        self._coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._coverage.switch_context(item.nodeid.partition("[")[0])
        return (yield)

    def pytest_sessionfinish(self) -> None:
        self._coverage.stop()
        self._coverage.save()


def pytest_configure(config: pytest.Config) -> None:
    """Loaded with ``-p tests.mutants.reach``."""
    if data_file := os.environ.get(DATA):
        config.pluginmanager.register(Recorder(data_file))


class Reach:
    """What was recorded. Paths are relative to ``root``, the folder of the run."""

    def __init__(self, data_file: Path, root: Path) -> None:
        self._data = CoverageData(str(data_file))
        self._data.read()
        self._root = root.resolve()
        self._lines: dict[str, dict[int, list[str]]] = {}

    def tests_of(self, path: str, line: int) -> list[str]:
        """The tests that run a line of a file; empty where none does.

        Those of the file's mirror come first, then those of its folder, then the other unit tests: a mistake that they
        notice starts no broker.
        """
        if path not in self._lines:
            self._lines[path] = self._data.contexts_by_lineno(str(self._root / path))
        lines = self._lines[path]
        # Coverage misses a line now and then where a coroutine goes on; what runs the line before it runs that one.
        recorded = next((lines[at] for at in range(line, 0, -1) if at in lines), [])
        mirror, folder = f"/test_{Path(path).stem.lstrip('_')}", f"tests/unit/{Path(path).parent.relative_to('relay')}/"

        def distance(test: str) -> tuple[bool, bool, bool, str]:
            return mirror not in test, not test.startswith(folder), not test.startswith("tests/unit/"), test

        return sorted(filter(None, recorded), key=distance)
