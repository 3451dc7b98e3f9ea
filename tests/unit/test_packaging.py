"""What is installed: the locked requirements and the wheel."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from configparser import ConfigParser
from importlib import import_module
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
RUN = PYPROJECT["project"]["dependencies"]
EXTRAS = PYPROJECT["project"]["optional-dependencies"]
GROUPS = PYPROJECT["dependency-groups"]
BUILD, DEPLOY, RELEASE = GROUPS["build"], GROUPS["deploy"], GROUPS["release"]
DEV = [need for need in GROUPS["dev"] if need != {"include-group": "build"}] + BUILD
LOCKS = {
    "run.txt": RUN,
    "dev.txt": [*RUN, *(need for needs in EXTRAS.values() for need in needs), *DEV],
    **{f"{extra}.txt": [*RUN, *needs] for extra, needs in EXTRAS.items()},
    "bench.txt": GROUPS["bench"],
    "build.txt": BUILD,
    "deploy.txt": DEPLOY,
    "release.txt": RELEASE,
    "go.txt": GROUPS["go"],
    "node.txt": GROUPS["node"],
    "site.txt": GROUPS["site"],
}


def locked(name: str) -> dict[str, str]:
    """The pinned versions of a file in ``requirements/``, by normalized package name."""
    text = (ROOT / "requirements" / name).read_text("utf-8")
    pins = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", text, re.MULTILINE)
    return {canonicalize_name(package): version for package, version in pins}


@pytest.mark.parametrize(("name", "wanted"), LOCKS.items())
def test_every_dependency_is_locked_within_its_range(name: str, wanted: list[str]) -> None:
    """A dependency was changed without ``make lock``: what is tested is not what pyproject.toml asks for."""
    pins = locked(name)
    unmet = [
        text
        for text in wanted
        if (need := Requirement(text)).specifier.contains(pins.get(canonicalize_name(need.name), "0"), prereleases=True)
        is False
    ]
    assert not unmet, f"run `make lock`: {unmet}"


def test_what_is_tested_is_what_runs() -> None:
    """The tests would pass with other versions than those that are deployed."""
    tested = locked("dev.txt")
    for name in ("run.txt", "build.txt", *(f"{extra}.txt" for extra in EXTRAS)):
        assert locked(name).items() <= tested.items()


def test_the_relay_itself_needs_no_extra() -> None:
    """Every installation would carry what only tracing or MSK needs: the SDKs, protobuf, 32 MB of AWS's services."""
    extra = ("opentelemetry", "protobuf", "requests", "boto", "cramjam")
    assert not [name for name in locked("run.txt") if name.startswith(extra)]


@pytest.mark.parametrize("name", LOCKS)
def test_every_pin_has_its_hashes_and_no_address(name: str) -> None:
    """A replaced package would be installed, or the lock would work with one package index only."""
    text = (ROOT / "requirements" / name).read_text("utf-8")
    unhashed = re.findall(r"^[A-Za-z0-9._-]+==[^\n]*[^\\\n]\n", text, re.MULTILINE)
    assert not unhashed
    assert "://" not in text
    assert not re.search(r"^\s*-", text.replace("    --hash=", ""), re.MULTILINE)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel as ``pip wheel .`` would build it, without asking a package index for anything."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


def test_the_wheel_holds_every_file_of_the_package(wheel: zipfile.ZipFile) -> None:
    """An installed relay would miss its SQL, its Lua scripts, its console or its type marker."""
    packed = {name for name in wheel.namelist() if name.startswith("relay/")}
    present = {path.relative_to(ROOT).as_posix() for path in (ROOT / "relay").rglob("*") if path.is_file()}
    sources = {name for name in present if "/__pycache__/" not in name}
    assert "relay/py.typed" in packed
    assert packed == sources


def test_the_wheel_brings_the_command_and_the_licence(wheel: zipfile.ZipFile) -> None:
    """There would be no ``relay`` command after an installation, or the licence would not travel along."""
    (entry_points,) = (name for name in wheel.namelist() if name.endswith("/entry_points.txt"))
    scripts = ConfigParser()
    scripts.read_string(wheel.read(entry_points).decode())
    module, _, function = scripts["console_scripts"]["relay"].partition(":")
    assert callable(getattr(import_module(module), function))
    assert any(name.endswith("/licenses/LICENSE") for name in wheel.namelist())
