"""Threads that the process does not wait for when it exits.

A file system may hang: a dead mount, a frozen volume, a FIFO that nobody writes to. A thread in there cannot be
interrupted, and those of ``concurrent.futures`` are waited for at the end of the process, forever. These are not.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_Job = Callable[[], None]


class Worker:
    """One thread that does one job after the other, in the order in which they come."""

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self.busy_since: float | None = None
        """When the job under way began, by ``time.monotonic``; ``None`` while there is none."""
        self._ended = False
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def submit(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queues a job; the future answers or raises what it did, and is completed in the thread.

        Raises ``RuntimeError`` after ``end``.
        """
        if self._ended:
            raise RuntimeError("the thread has ended")
        done: Future[T] = Future()

        def timed() -> T:
            self.busy_since = time.monotonic()
            try:
                return function(*args, **kwargs)
            finally:
                self.busy_since = None

        self._jobs.put(lambda: _run(done, timed))
        return done

    def end(self) -> None:
        """Ends the thread behind what is queued, and waits for it."""
        self._ended = True
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


def call(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
    """Runs a function in a thread of its own."""
    done: Future[T] = Future()
    Thread(target=_run, args=(done, lambda: function(*args, **kwargs)), daemon=True).start()
    return done


def _run(done: Future[T], function: Callable[[], T]) -> None:
    if not done.set_running_or_notify_cancel():
        return
    try:
        result = function()
    except BaseException as error:
        done.set_exception(error)
    else:
        done.set_result(result)
