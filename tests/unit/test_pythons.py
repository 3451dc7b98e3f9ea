"""Which Pythons of a machine the tests are run on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import pythons
from tests.pythons import Interpreter


def install(path: Path, answer: str) -> Path:
    """A program that answers like an interpreter."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{answer}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """An environment in which nothing is installed."""
    return {"HOME": str(tmp_path / "home"), "PATH": os.pathsep.join([str(tmp_path / "bin"), str(tmp_path / "sbin")])}


def test_a_python_is_found_wherever_people_install_them(tmp_path: Path, machine: dict[str, str]) -> None:
    """A Python that is at hand would be reported as missing, and the promise for it rest on nothing."""
    home = tmp_path / "home"
    uv = install(home / ".local/share/uv/python/cpython-3.12.7-linux/bin/python3.12", "echo 3.12.7")
    assert pythons.find("3.12", machine) == Interpreter("3.12.7", uv)
    pyenv = install(home / ".pyenv/versions/3.12.1/bin/python3.12", "echo 3.12.1")
    assert pythons.find("3.12", machine) == Interpreter("3.12.1", pyenv)
    on_path = install(tmp_path / "sbin/python3.12", "echo 3.12.3")
    assert pythons.find("3.12", machine) == Interpreter("3.12.3", on_path)


def test_what_only_looks_like_a_python_is_passed_over(tmp_path: Path, machine: dict[str, str]) -> None:
    """A shim of pyenv's that leads nowhere, or a Python without ``venv``, would hide one that works."""
    install(tmp_path / "bin/python3.12", "echo 'pyenv: python3.12: command not found' >&2; exit 127")
    install(tmp_path / "sbin/python3.12", "echo 3.11.2")
    assert pythons.find("3.12", machine) is None
    works = install(tmp_path / "home/.pyenv/versions/3.12.1/bin/python3.12", "echo 3.12.1")
    assert pythons.find("3.12", machine) == Interpreter("3.12.1", works)


def test_what_was_not_seen_and_what_failed_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run would look like a proof for a Python that it never started, or that failed."""
    here = {"3.11": Interpreter("3.11.7", Path("/a")), "3.12": Interpreter("3.12.1", Path("/b"))}
    monkeypatch.setattr(pythons, "find", here.get)
    monkeypatch.setattr(pythons, "promised", lambda: ["3.11", "3.14"])
    monkeypatch.setattr(pythons, "passes", lambda version, interpreter: version == "3.11")
    assert pythons.main([]) == 0
    assert [line.split()[:4] for line in capsys.readouterr().out.splitlines()] == [
        ["Python", "3.11.7", "passed", "/a"],
        ["Python", "3.14", "not", "seen:"],
    ]
    assert pythons.main(["3.12"]) == 1
    assert pythons.main(["3.14"]) == 1


def test_versions_that_were_asked_for_are_not_taken_for_tests(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """``make check-pythons ARGS=3.13`` would hand its ARGS on to the unit tests, of which none has that name."""
    monkeypatch.setattr(pythons, "ROOT", tmp_path)
    (tmp_path / "Makefile").write_text("check-unit test:\n\t@echo $@ $(ARGS) >> seen\n")
    monkeypatch.setenv("MAKEFLAGS", "-- ARGS=3.13")
    assert pythons.passes("3.13", Interpreter("3.13.0", Path("/a")))
    assert (tmp_path / "seen").read_text().splitlines() == ["check-unit", f"test -q {' '.join(pythons.SELECTION)}"]


def test_the_selection_is_there() -> None:
    """``make check-pythons`` would run fewer tests than it says, or none."""
    assert [name for name in pythons.SELECTION if not (pythons.ROOT / name).is_file()] == []
    assert pythons.promised()[0] == "3.11"
