"""``--forks N``: tests run in N processes, which are forked once all tests are collected.

Each process of pytest-xdist imports and collects all of them by itself, which takes 9 s of CPU for the unit tests
alone, and hands each report over in 1.5 ms; for `make test` on two cores that is a minute. A process takes one file
after the other, or with ``--each`` one test after the other, for tests that share nothing. What a session shares, each
process has for itself.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from itertools import groupby
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import pytest

_FORK = multiprocessing.get_context("fork")
_END_WITHIN = 10.0
"""Seconds that tests have to clean up after an interrupt."""

Hand = list[pytest.Item]
"""What a process takes at once."""


class Hooks:
    """What plugins may do in each of the processes."""

    def pytest_forked(self, config: pytest.Config) -> None:
        """A process has begun, and will take tests."""


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Makes them known."""
    pluginmanager.add_hookspecs(Hooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    """How many."""
    group = parser.getgroup("forks")
    group.addoption("--forks", type=int, metavar="N", help="run the tests in N forked processes")
    group.addoption(
        "--each", action="store_true", help="hand each test over by itself, not with the others of its file"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Runs all tests; ``None`` leaves that to pytest."""
    forks = session.config.getoption("--forks")
    if not forks or session.testsfailed or session.config.option.collectonly:
        return None
    hands = _in_order(session.items, each=session.config.getoption("--each"))
    turn = _FORK.Value("i", 0)
    processes: dict[Connection, BaseProcess] = {}
    try:
        for _ in range(min(forks, len(hands))):
            receiver, sender = _FORK.Pipe(duplex=False)
            processes[receiver] = process = _FORK.Process(target=_run, args=(session, hands, turn, sender))
            process.start()
            sender.close()  # here, so that its end is seen
        _report(session, dict(processes))
    except KeyboardInterrupt:
        for process in processes.values():
            _interrupt(process)  # a terminal interrupts all of them, `kill` and `timeout` do not
        raise
    finally:
        for process in processes.values():
            process.join(_END_WITHIN)
            process.kill()
    return True


def _in_order(items: list[pytest.Item], *, each: bool) -> list[Hand]:
    """What is handed over: folder by folder, and of a folder the last file first.

    A process must not be left alone with something slow in the end. Those are the browser's tests, whose folder comes
    early, and the last files of the unit tests, which look at the whole tree.
    """
    if each:
        return [[item] for item in items]
    files = [list(of_one) for _, of_one in groupby(items, lambda item: item.path)]
    folders = groupby(files, lambda file: file[0].path.relative_to(file[0].config.rootpath).parts[:2])
    return [file for _, of_one in folders for file in reversed(list(of_one))]


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


def _interrupt(process: BaseProcess) -> None:
    if process.is_alive() and process.pid is not None:
        os.kill(process.pid, signal.SIGINT)


# In a forked one ------------------------------------------------------------------------------------------------


class _Sender:
    """Sends the name of each test that begins, and its reports."""

    def __init__(self, config: pytest.Config, connection: Connection) -> None:
        self._config, self._connection = config, connection

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._connection.send(nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._connection.send(self._config.hook.pytest_report_to_serializable(config=self._config, report=report))


def _run(session: pytest.Session, hands: list[Hand], turn: Any, sender: Connection) -> None:
    """Takes one after the other, as long as there are any."""
    plugins = session.config.pluginmanager
    capture: Any = plugins.getplugin("capturemanager")
    capture.stop_global_capturing()  # into files that all processes would share
    capture.start_global_capturing()
    plugins.unregister(name="terminalreporter")
    plugins.register(_Sender(session.config, sender))
    signal.signal(signal.SIGINT, _stop_once)
    session.config.hook.pytest_forked(config=session.config)
    try:
        for hand in _taken(hands, turn):
            # What a session shares stays: which test is the next, nobody knows before it is taken.
            for item, following in zip(hand, [*hand[1:], session], strict=True):
                session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
    except KeyboardInterrupt:
        pass
    capture.stop_global_capturing()
    session._setupstate.teardown_exact(None)
    unraisable: Any = plugins.getplugin("unraisableexception")
    unraisable.pytest_unconfigure(session.config)  # looks for what the last tests left


def _stop_once(*_: object) -> None:
    """The second interrupt of one Ctrl-C must not end the services' own end."""
    signal.signal(signal.SIGINT, lambda *_: None)
    raise KeyboardInterrupt


def _taken(hands: list[Hand], turn: Any) -> Iterator[Hand]:
    while True:
        with turn.get_lock():
            index = turn.value
            turn.value += 1
        if index >= len(hands):
            return
        yield hands[index]
