"""``relay check``: is the configuration right, and with ``--connect``, is everything there that it names?"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer

from relay.cli import configured, options
from relay.cli.outcome import BAD_CONFIGURATION, FAILED, tell
from relay.cli.output import write_json, write_line
from relay.cli.reach import CHECK_SUFFIX, Reached, reach_index, reach_sink, reach_upstream
from relay.cli.serve import run_loop

if TYPE_CHECKING:
    from relay.settings import ConfigError, Settings


def check(
    config: options.Config = None,
    connect: Annotated[
        bool,
        typer.Option(
            "--connect", help="Also connect to every sink, the shared index and the upstream; creates topics."
        ),
    ] = False,
    json: options.Json = False,
) -> None:
    """Validate the configuration.

    --connect opens each sink as IDENTITY-check, which does not disturb a running relay but leaves an empty checkpoint
    of that name on the sink. Exit codes: 78 bad configuration, 1 something cannot be reached.
    """
    from relay.settings import ConfigError, warnings

    try:
        settings = configured.load(config)
    except ConfigError as error:
        if json:
            write_json({"ok": False, "problems": _problems(error), "warnings": [], "reached": []})
            raise typer.Exit(BAD_CONFIGURATION) from None
        raise typer.Exit(tell(error)) from None
    advice = warnings(settings)
    if not json:
        _say_valid(config, settings, advice)
    reached = run_loop(_reach_all(settings, progress=not json)) if connect else []
    ok = all(each.ok for each in reached)
    if json:
        write_json({"ok": ok, "problems": [], "warnings": advice, "reached": [asdict(each) for each in reached]})
    raise typer.Exit(0 if ok else FAILED)


def _problems(error: ConfigError) -> list[dict[str, Any]]:
    return [asdict(problem) for problem in error.problems]


def _say_valid(config: Any, settings: Settings, advice: list[str]) -> None:
    for warning in advice:
        write_line(("warning  ", "yellow"), (warning, ""))
    file = configured.find(config)
    sinks = ", ".join(sink.label for sink in settings.sinks) or "none, the journal is the stream"
    write_line(("ok       ", "green"), (f"{file or 'built-in defaults'}: valid; sinks: {sinks}", ""))


async def _reach_all(settings: Settings, *, progress: bool) -> list[Reached]:
    from relay.core.sink import Identity

    identity = Identity(settings.identity_name + CHECK_SUFFIX, uuid4().hex)
    tries = [reach_sink(config, identity) for config in settings.sinks]
    reached = []
    if settings.dedup.shared_index is not None:
        tries.append(reach_index(settings.dedup.shared_index.get_secret_value()))
    for attempt in (*tries, asyncio.to_thread(reach_upstream, settings.upstream.base_url)):
        result = await attempt
        reached.append(result)
        if progress:
            _say(result)
    return reached


def _say(result: Reached) -> None:
    if result.ok:
        write_line(("ok       ", "green"), (f"{result.name}: {result.message}", ""))
        for advice in result.advice:
            write_line(("warning  ", "yellow"), (f"{result.name}: {advice.message} {advice.hint}", ""))
        return
    write_line(("failed   ", "red"), (f"{result.name}: {result.message}", ""))
    if result.hint:
        write_line((f"         {result.hint}", ""))
