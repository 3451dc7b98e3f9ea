"""``relay serve``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import typer

from relay.cli import configured, options

T = TypeVar("T")


def serve(config: options.Config = None) -> None:
    """Run relay until SIGTERM or Ctrl-C.

    The log goes to standard error. Without a configuration, relay listens on loopback, keeps its journal under ./var
    and has no sink. It reloads tokens, secrets, clients and the log level on SIGHUP and when the file of a secret
    changes.
    """
    from relay.settings import SecretFiles

    files = SecretFiles()
    settings = configured.load(config, files)

    from relay.app.process import run
    from relay.telemetry.log import configure_logging

    configure_logging(settings.log.level, settings.log.format)
    raise typer.Exit(run_loop(run(settings, reread=lambda: configured.load(config, files))))


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end, on uvloop where there is one.

    What libraries log is no output of a command: aiokafka has a line for each failed connection, and uvloop a traceback
    for a write to a TLS connection that the broker has just cut. The command's own result says what it comes to.
    """
    from relay.telemetry.log import silence_libraries

    silence_libraries()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
