"""How a command ends: its exit code, and what it writes to standard error."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from inspect import cleandoc
from typing import Any, Final

import typer
from typer.core import TyperGroup

from relay.core.errors import RelayError

FAILED: Final = 1
BAD_CONFIGURATION: Final = 78
"""``EX_CONFIG`` of sysexits.h: service managers can tell it from a crash."""

_HINTS: Final = {
    errno.ENOENT: "Check the path; a relative one begins in the current folder.",
    errno.EACCES: "Check who may read it (ls -l), and as whom the command runs (id).",
    errno.EISDIR: "Name a file in it.",
    errno.ENOSPC: "Make room there, or write somewhere else.",
}
_INTENDED: Final = (typer.Exit, typer.Abort, typer.TyperException)


class Commands(TyperGroup):
    """A group of commands, and the one place where their failures become exits."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        _without_classes(self)
        for command in self.commands.values():
            _make_readable(command)

    def invoke(self, ctx: Any) -> Any:
        """Runs a command. Raises ``typer.Exit`` where it failed; the reason is on standard error then."""
        try:
            try:
                return super().invoke(ctx)
            finally:
                _flush_stdout()
        except BrokenPipeError:
            raise typer.Exit(0) from None  # the reader has seen enough
        except _INTENDED:
            raise
        except RelayError as error:
            raise typer.Exit(tell(error)) from None
        except OSError as error:
            raise typer.Exit(tell(from_system(error))) from None
        except Exception as error:
            _tell_bug(error, debug=bool(ctx.params.get("debug")))
            raise typer.Exit(FAILED) from None


def _make_readable(command: Any) -> None:
    """Typer's help, readable: it would keep the line breaks of docstrings."""
    first, *rest = cleandoc(command.help or "").split("\n\n")
    command.help = "\n\n".join([first, *(" ".join(paragraph.split()) for paragraph in rest)])
    _without_classes(command)
    for below in getattr(command, "commands", {}).values():
        _make_readable(below)


def _without_classes(command: Any) -> None:
    """Has help name no class of Python's: typer says ``<bool>`` of flags, and ``<str>`` behind an argument's name."""
    all_of = command.get_params  # with --help, which is in no list of the command's

    def readable(ctx: Any) -> list[Any]:
        found = list(all_of(ctx))
        for parameter in found:
            if parameter.param_type_name == "argument":
                parameter.display_type_rich = lambda ctx: None
            elif parameter.is_flag and parameter.metavar is None:
                parameter.metavar = ""
        return found

    command.get_params = readable


def tell(error: RelayError) -> int:
    """Says on standard error what failed and what to do; answers the exit code."""
    if error.code == "bad_configuration":
        complain(error.message)
        return BAD_CONFIGURATION
    complain(f"relay: {error.message}")
    if error.hint:
        complain(f"       {error.hint}")
    return FAILED


def complain(text: str) -> None:
    """A line for people, kept away from what a command gives out."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def from_system(error: OSError) -> RelayError:
    """What the operating system refused, in one sentence."""
    place = f"{error.filename}: " if error.filename else ""
    hint = _HINTS.get(error.errno or 0, "")
    return RelayError("system", f"{place}{error.strerror or error}.", hint=hint)


def _tell_bug(error: Exception, *, debug: bool) -> None:
    if debug:
        traceback.print_exception(error)
    advice = (
        "Please report it with the traceback above." if debug else "`relay --debug ...` shows where; please report it."
    )
    complain(f"relay: this is a bug: {type(error).__name__}: {error}. {advice}")


def _flush_stdout() -> None:
    """Here, where a reader that has gone still differs from a failure. Raises ``OSError``, and then lets go of it.

    Otherwise the interpreter would try again, and complain, when it ends.
    """
    try:
        sys.stdout.flush()
    except OSError:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
        os.close(devnull)
        raise
