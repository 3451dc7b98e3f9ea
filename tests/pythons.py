"""The unit tests, and those of the sinks and of the journal, on every Python that the package promises: ``make
check-pythons``.

An interpreter is looked for on the path, among pyenv's and among uv's. Each gets an environment of its own with the
locked requirements, ``.venv-3.12`` beside ``.venv``. What is not on this machine is named, and was not tested.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
SELECTION: Final = (
    "tests/integration/test_kafka_sink.py",
    "tests/integration/test_redis_sink.py",
    "tests/integration/test_lost_journals.py",
)
"""Beside the unit tests: what clients, extension modules and SQLite of another Python could break."""

_ASK: Final = "import ensurepip, sys, venv; print('.'.join(map(str, sys.version_info[:3])))"


@dataclass(frozen=True, slots=True)
class Interpreter:
    """One that answered. ``release`` is its whole version, such as ``3.12.1``."""

    release: str
    path: Path


def promised() -> list[str]:
    """The versions in the package's classifiers, such as ``3.12``."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return [found[1] for each in project["classifiers"] if (found := re.fullmatch(r".* :: (3\.\d+)", each))]


def places(version: str, environment: Mapping[str, str]) -> Iterator[Path]:
    """Where an interpreter of a version may be, the preferred ones first."""
    home = Path(environment.get("HOME", "/nowhere"))
    pyenv = Path(environment.get("PYENV_ROOT") or home / ".pyenv")
    data = Path(environment.get("XDG_DATA_HOME") or home / ".local/share")
    uv = Path(environment.get("UV_PYTHON_INSTALL_DIR") or data / "uv/python")
    for folder in environment.get("PATH", "").split(os.pathsep):
        yield Path(folder, f"python{version}")
    yield from sorted((pyenv / "versions").glob(f"{version}.*/bin/python{version}"), reverse=True)
    yield from sorted(uv.glob(f"cpython-{version}.*/bin/python{version}"), reverse=True)


def find(version: str, environment: Mapping[str, str] = os.environ) -> Interpreter | None:
    """The first that runs and can make environments; ``None``: this machine has none."""
    for path in places(version, environment):
        if not os.access(path, os.X_OK):
            continue
        answer = subprocess.run([path, "-I", "-c", _ASK], capture_output=True, text=True, timeout=30, check=False)
        release = answer.stdout.strip()
        if answer.returncode == 0 and release.startswith(f"{version}."):
            return Interpreter(release, path)
    return None


def passes(version: str, interpreter: Interpreter) -> bool:
    """Whether all of them pass, in an environment that is made where it is missing, and brought up to date."""
    print(f"== Python {interpreter.release}", flush=True)
    make = ("make", "--no-print-directory", f"PYTHON={interpreter.path}", f"VENV=.venv-{version}")
    # Without ARGS=, the inner make would take over those of the outer one.
    # pytest ends a test after its time; the bounds here are for what hangs beside the tests.
    units = subprocess.run([*make, "check-unit", "ARGS="], cwd=ROOT, timeout=1800, check=False)
    others = subprocess.run([*make, "test", f"ARGS=-q {' '.join(SELECTION)}"], cwd=ROOT, timeout=1800, check=False)
    return units.returncode == others.returncode == 0


def main(arguments: Sequence[str]) -> int:
    """Ends with a line for each version; the exit code is 1 where one failed, or was asked for and is not here."""
    parser = argparse.ArgumentParser(prog="make check-pythons", description="The tests on every Python at hand.")
    parser.add_argument("version", nargs="*", help="such as 3.12; without any: all that the package promises")
    wanted = parser.parse_args(arguments).version
    lines, failed = [], False
    for version in wanted or promised():
        interpreter = find(version)
        if interpreter is None:
            failed |= bool(wanted)
            lines.append(f"Python {version:7} not seen: no python{version} on the path, nor among pyenv's and uv's")
        else:
            passed = passes(version, interpreter)
            failed |= not passed
            lines.append(f"Python {interpreter.release:7} {'passed' if passed else 'FAILED'}  {interpreter.path}")
    print("\n".join(lines))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
