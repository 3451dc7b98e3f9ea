"""``--forks``: what tests that run in forked processes report is what they would report in one."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]

PASSING = "import pytest\n@pytest.mark.parametrize('n', range(50))\ndef test_it(n, shared): print('dots')\n"
FAILING = "def test_wrong():\n    print('what it said')\n    assert 1 == 2\n"
LEAVING = "def test_late():\n    async def never(): ...\n    kept = [never()]\n    kept.append(kept)\n"
SHARED = """
import os, pathlib, pytest
@pytest.fixture(scope="session")
def shared():
    with pathlib.Path("log").open("a") as log: log.write(f"begun {os.getpid()}\\n")
    yield
    with pathlib.Path("log").open("a") as log: log.write(f"ended {os.getpid()}\\n")
"""


@contextmanager
def running(folder: Path, *options: str, **files: str) -> Iterator[subprocess.Popen[str]]:
    """pytest on these files, killed in the end."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    plugins = ["-p", "tests.forks", *(f"-pno:{name}" for name in ("asyncio", "cacheprovider", "schemathesis"))]
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "--forks", "2", *plugins, "--rootdir", str(folder), *options],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        yield process
        process.kill()


def run(folder: Path, *options: str, **files: str) -> tuple[int, str]:
    """The exit code and the output of pytest on these files."""
    with running(folder, *options, **files) as process:
        output, _ = process.communicate(timeout=60)
    return process.returncode, output


def test_every_test_runs_once_and_failures_are_shown(tmp_path: Path) -> None:
    """A test would be left out, or fail without anybody seeing it or its output; a service would stay behind."""
    code, output = run(tmp_path, "-q", conftest=SHARED, **{f"test_{n}": PASSING for n in range(4)}, test_bad=FAILING)
    assert code == 1, output
    assert "1 failed, 200 passed" in output
    assert re.search(r"test_bad\.py:3: AssertionError\n-+ Captured stdout call -+\nwhat it said\n[=-]", output), output
    assert output.count("dots") == 0
    assert re.findall(r"\[ *(\d+)%\]", output)[-1] == "100"
    kinds = Counter(line.split()[0] for line in (tmp_path / "log").read_text().splitlines())
    assert 1 <= kinds["begun"] == kinds["ended"] <= 2


def test_a_process_that_dies_fails_the_run(tmp_path: Path) -> None:
    """Its tests would count as passed."""
    code, output = run(
        tmp_path, "-q", test_dies="import os\ndef test_out(): os._exit(9)\n", test_fine="def test(): ...\n"
    )
    assert code == 3, output
    assert "ended with 9; it began last: test_dies.py::test_out" in output


def test_a_service_that_does_not_end_fails_the_run(tmp_path: Path) -> None:
    """What the end of a session's fixture says would be heard by nobody."""
    ending = (
        "import pytest\n@pytest.fixture(scope='session')\ndef shared():\n    yield\n    raise OSError('still there')\n"
    )
    code, output = run(tmp_path, "-q", conftest=ending, test_fine="def test(shared): ...\n")
    assert code == 3, output
    assert "OSError: still there" in output


def test_an_interrupt_ends_services_before_the_run_ends(tmp_path: Path) -> None:
    """`timeout` or a person would leave brokers behind."""
    waits = "import os, pathlib, time\ndef test_waits(shared):\n    pathlib.Path('waits').touch()\n    time.sleep(60)\n"
    with running(tmp_path, conftest=SHARED, test_waits=waits) as process:
        while not (tmp_path / "waits").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 2, output
    kinds = [line.split()[0] for line in (tmp_path / "log").read_text().splitlines()]
    assert kinds == ["begun", "ended"]


def test_each_test_is_handed_over_by_itself_where_that_is_wanted(tmp_path: Path) -> None:
    """The rows of a file would wait for each other, and the fault matrix take as long as its largest file."""
    meets = "import os, pathlib, time\nimport pytest\n@pytest.mark.parametrize('n', range(2))\ndef test_it(n):\n"
    meets += "    pathlib.Path(str(n)).touch()\n    while not pathlib.Path(str(1 - n)).exists(): time.sleep(0.01)\n"
    code, output = run(tmp_path, "-q", "--each", test_meets=meets)
    assert code == 0, output


def test_what_is_left_behind_is_found(tmp_path: Path) -> None:
    """A coroutine that nobody awaits would be noticed in one process, and in two only by chance."""
    code, output = run(tmp_path, "-q", test_leaving=LEAVING, test_fine="def test(): ...\n")
    assert code != 0, output
    assert "never awaited" in output


def test_the_first_failure_ends_the_run_where_that_is_wanted(tmp_path: Path) -> None:
    """A developer who wants the first failure would wait for all the rest."""
    slow = "import time\ndef test_slow(): time.sleep(60)\n"
    code, output = run(tmp_path, "-q", "-x", test_a=slow, test_bad=FAILING)
    assert code == 1, output
    assert "stopping after 1 failures" in output
