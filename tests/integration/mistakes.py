"""One mistake that people make, and the ways to write it down in ``wrong_inputs``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from relay.cli.outcome import BAD_CONFIGURATION, FAILED

USAGE = 2
NEAR = "upstream: {base_url: 'http://127.0.0.1:{web}'}\n"


@dataclass(frozen=True)
class Wrong:
    """One mistake. ``hint`` is what to do, where the message does not say it already.

    ``process``: it runs as a process of its own; the others run in the test's, through the same code.
    """

    command: str
    code: int
    says: str
    hint: str = ""
    config: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[Path], object] | None = None
    process: bool = False
    rights: bool = True
    """``False``: without root's right to read everything, where the tests run as root."""

    @property
    def name(self) -> str:
        """For people who read the names of tests."""
        return " ".join((self.command, self.config.strip(), *map(":".join, self.env.items())))[:90]


def usage(command: str, says: str, *, process: bool = False) -> Wrong:
    """A command line that is not understood."""
    return Wrong(command, USAGE, says, process=process)


def config(text: str, says: str, *, process: bool = False, **env: str) -> Wrong:
    """A configuration that is refused."""
    return Wrong("check", BAD_CONFIGURATION, says, config=text, env=env, process=process)


def connect(text: str, says: str, hint: str) -> Wrong:
    """Something that ``relay check --connect`` does not reach."""
    return Wrong("check --connect", FAILED, says, hint, config=text)


def start(
    says: str, hint: str, config: str, *, before: Callable[[Path], object] | None = None, rights: bool = True
) -> Wrong:
    """A relay that does not start."""
    return Wrong("serve", FAILED, says, hint, config=config, before=before, process=True, rights=rights)


def sink(keys: str, says: str, hint: str) -> Wrong:
    """A sink that ``relay check --connect`` does not reach."""
    return connect(f"sinks: [{{{keys}}}]\n" + NEAR, says, hint)


def folder(path: Path) -> None:
    (path / "place").mkdir()


def locked(path: Path) -> None:
    (path / "place").mkdir(mode=0)


def letter(path: Path) -> None:
    (path / "place").write_text("Dear Sir or Madam,\n" * 500)


def file_as_folder(path: Path) -> None:
    (path / "place").write_text("")
