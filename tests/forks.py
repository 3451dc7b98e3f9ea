"""``--forks N``: tests run in N processes, which are forked once all tests are collected.

Each process of pytest-xdist imports and collects all of them by itself, which takes 9 s of CPU for the unit tests; and
it hands each report over in 1.5 ms. This is for tests without services: what a session shares, each process would have.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from itertools import chain, groupby, pairwise
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import pytest

_FORK = multiprocessing.get_context("fork")
_END_WITHIN = 10.0
"""Seconds that tests have to clean up after an interrupt."""

File = list[pytest.Item]


def pytest_addoption(parser: pytest.Parser) -> None:
    """How many."""
    parser.getgroup("forks").addoption("--forks", type=int, metavar="N", help="run the tests in N forked processes")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Runs all tests; ``None`` leaves that to pytest."""
    forks = session.config.getoption("--forks")
    if not forks or session.testsfailed or session.config.option.collectonly:
        return None
    # The last files first: those that look at the whole tree take longest, and would be waited for.
    files = [list(items) for _, items in groupby(session.items, lambda item: item.path)][::-1]
    turn = _FORK.Value("i", 0)
    processes: dict[Connection, BaseProcess] = {}
    try:
        for _ in range(min(forks, len(files))):
            receiver, sender = _FORK.Pipe(duplex=False)
            processes[receiver] = process = _FORK.Process(target=_run, args=(session, files, turn, sender))
            process.start()
            sender.close()  # here, so that its end is seen
        _report(session, dict(processes))
    finally:
        for process in processes.values():
            process.join(_END_WITHIN)
            process.kill()
    return True


# In the process that was asked ----------------------------------------------------------------------------------


def _report(session: pytest.Session, processes: dict[Connection, BaseProcess]) -> None:
    """Shows what comes, until all have ended. Raises ``RuntimeError`` where one has not run its tests to their end."""
    hook = session.config.hook
    begun: dict[Connection, str] = {}
    while processes:
        for receiver in wait(list(processes)):
            assert isinstance(receiver, Connection)
            try:
                message = receiver.recv()
            except EOFError:
                _reap(processes.pop(receiver), begun.get(receiver))
                continue
            if isinstance(message, str):
                begun[receiver] = message
                continue
            report = hook.pytest_report_from_serializable(config=session.config, data=message)
            hook.pytest_runtest_logreport(report=report)
            if report.when == "teardown":
                hook.pytest_runtest_logfinish(nodeid=report.nodeid, location=report.location)
            if session.shouldfail:
                for process in processes.values():
                    process.kill()
                raise session.Failed(session.shouldfail)


def _reap(process: BaseProcess, begun: str | None) -> None:
    process.join()
    if process.exitcode:
        raise RuntimeError(f"a process with tests ended with {process.exitcode}; it began last: {begun}")


# In a forked one ------------------------------------------------------------------------------------------------


class _Sender:
    """Sends the name of each test that begins, and its reports."""

    def __init__(self, config: pytest.Config, connection: Connection) -> None:
        self._config, self._connection = config, connection

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._connection.send(nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._connection.send(self._config.hook.pytest_report_to_serializable(config=self._config, report=report))


def _run(session: pytest.Session, files: list[File], turn: Any, sender: Connection) -> None:
    """Takes one file after the other, as long as there are any."""
    plugins = session.config.pluginmanager
    capture: Any = plugins.getplugin("capturemanager")
    capture.stop_global_capturing()  # into files that all processes would share
    capture.start_global_capturing()
    plugins.unregister(name="terminalreporter")
    plugins.register(_Sender(session.config, sender))
    try:
        for item, following in pairwise(chain(chain.from_iterable(_taken(files, turn)), [None])):
            assert item is not None
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        unraisable: Any = plugins.getplugin("unraisableexception")
        unraisable.pytest_unconfigure(session.config)  # looks for what the last tests left
    except KeyboardInterrupt:
        pass


def _taken(files: list[File], turn: Any) -> Iterator[File]:
    while True:
        with turn.get_lock():
            index = turn.value
            turn.value += 1
        if index >= len(files):
            return
        yield files[index]
