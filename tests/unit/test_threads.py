from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from relay.threads import Worker, call

HANGS = """
import threading, sys
from relay.threads import Worker, call
forever = threading.Event()
call(forever.wait)
Worker("hangs").submit(forever.wait)
sys.exit(3)
"""


def test_a_worker_does_one_job_after_the_other() -> None:
    """Broken: what belongs to one thread would run in two, or out of order."""
    worker, done = Worker("test"), []
    jobs = [worker.submit(done.append, n) for n in range(50)]
    failing = worker.submit(int, "x")
    worker.end()
    with pytest.raises(RuntimeError):
        worker.submit(done.append, 50)
    assert done == list(range(50))
    assert [job.result(0) for job in jobs] == [None] * 50
    assert isinstance(failing.exception(0), ValueError)


def test_a_worker_says_since_when_a_job_is_under_way() -> None:
    """Broken: a disk that hangs would be noticed by nobody."""
    worker, entered, go_on = Worker("test"), threading.Event(), threading.Event()

    def job() -> None:
        entered.set()
        go_on.wait(10)

    worker.submit(job)
    assert entered.wait(10)
    assert worker.busy_since is not None
    go_on.set()
    worker.end()
    assert worker.busy_since is None


def test_a_job_that_was_cancelled_is_not_done() -> None:
    """Broken: what nobody waits for any more would be done all the same, or end the thread."""
    worker, go_on, done = Worker("test"), threading.Event(), []
    worker.submit(go_on.wait, 10)
    assert worker.submit(done.append, 1).cancel()
    go_on.set()
    worker.submit(done.append, 2)
    worker.end()
    assert done == [2]


def test_a_thread_that_hangs_does_not_keep_the_process() -> None:
    """Broken: a dead mount would keep the relay from ending, forever."""
    ended = subprocess.run([sys.executable, "-c", HANGS], timeout=20, check=False)
    assert ended.returncode == 3


def test_a_call_answers_or_raises_what_its_function_did() -> None:
    """Broken: a reader of files would take an error for an answer, or wait forever."""
    assert call(int, "7").result(10) == 7
    with pytest.raises(ValueError, match="invalid literal"):
        call(int, "x").result(10)
