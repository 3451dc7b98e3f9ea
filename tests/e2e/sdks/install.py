"""The SDKs, at the versions that are locked here: from PyPI and npm, once, into ``.cache/sdks``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

from tests.services.programs import executable
from tests.setup.cache import cached, pip_install, run_installer

HERE = Path(__file__).resolve().parent
RUN_TIMEOUT = 240.0
"""Seconds; beside ten busy processes it took 99, on an idle machine 5."""

Json = dict[str, Any]


def python_packages(name: str) -> Path:
    """The folder with an SDK, and what it needs, as ``<name>.txt`` locks them."""
    lock = HERE / f"{name}.txt"

    tag = f"{sys.version_info.major}.{sys.version_info.minor}"
    return cached(f"sdks/{name}-py{tag}", lock.read_bytes(), partial(pip_install, lock))


def node_modules(locked_in: Path = HERE, name: str = "npm") -> Path:
    """The folder ``node_modules`` with what the lock in a folder names, by default the JavaScript SDKs."""
    names = ("package.json", "package-lock.json")

    def install(folder: Path) -> None:
        for file in names:
            shutil.copy(locked_in / file, folder)
        run_installer(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder)

    return cached(f"sdks/{name}", b"".join((locked_in / file).read_bytes() for file in names), install) / "node_modules"


def run_python(major: int, mode: str, cases: list[Json], sdk: str = "openai") -> Json:
    """Plays cases with a Python SDK; ``mode`` is ``sync`` or ``async``. Answers its version and the results."""
    return _played_in_python(f"{sdk}-{major}", ["python_client.py", sdk, mode], cases)


def run_novita(cases: list[Json]) -> Json:
    """Plays cases with the vendor's SDK for Python. Answers its version and the results."""
    return _played_in_python("novita-client", ["novita_calls.py"], cases)


def run_agent(cases: list[Json]) -> Json:
    """Plays cases with an agent of ``pydantic-ai``. Answers its version and the results."""
    return _played_in_python("pydantic-ai-2", ["agent_client.py"], cases)


def run_node(script: str, folder: Path, cases: list[Json]) -> Json:
    """Plays cases with a JavaScript SDK from a ``folder`` of the test's own. Answers its version and the results."""
    for name in ("cases.mjs", script):
        shutil.copy(HERE / name, folder)
    modules = folder / "node_modules"
    if not modules.exists():
        modules.symlink_to(node_modules())
    environment = {"NO_PROXY": "*", "PATH": os.environ["PATH"]}
    return _played([executable("node"), str(folder / script)], environment, cases)


def _played_in_python(packages: str, script: list[str], cases: list[Json]) -> Json:
    environment = {"PYTHONPATH": str(python_packages(packages)), "NO_PROXY": "*", "PATH": os.environ["PATH"]}
    return _played([sys.executable, "-S", "-P", str(HERE / script[0]), *script[1:]], environment, cases)


def _played(command: list[str], environment: dict[str, str], cases: list[Json]) -> Json:
    done = subprocess.run(
        command,
        input=json.dumps(cases),
        env=environment,
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    played: Json = json.loads(done.stdout)
    return played
