"""``relay drain``: publishes what the journal of a relay that is gone still holds."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from relay.cli import configured, options
from relay.cli.demo import seconds
from relay.cli.outcome import FAILED, complain
from relay.cli.output import write_json, write_line
from relay.cli.serve import run_loop
from relay.core.errors import RelayError


def drain(
    timeout: Annotated[
        Any, typer.Option("--timeout", parser=seconds, metavar="DURATION", help="How long to go on at most.")
    ] = "5m",
    config: options.Config = None,
    json: options.Json = False,
) -> None:
    """Publish everything that the journal of a stopped relay holds, and exit.

    Run it with the relay's own configuration and identity, so that it resumes where the relay stopped and repeats
    nothing. Chats that were open end as relay_restarted. It listens to nothing, and polls for no task: the tasks that
    have not ended are counted. Exit code 1 if events are left.
    """
    from relay.app import Relay
    from relay.telemetry.log import configure_logging

    settings = configured.load(config)
    if not settings.sinks:
        raise RelayError(
            "no_sink", "No sink is configured, so there is nowhere to publish to.", hint="Configure sinks."
        )
    configure_logging(settings.log.level, settings.log.format)
    left, tasks = run_loop(Relay(settings).drain(timeout))
    if json:
        write_json({"left": left, "open_tasks": tasks})
    else:
        for sink, events in left.items():
            write_line((sink, "bold"), (f"  {events} events left" if events else "  everything is published", ""))
        if tasks:
            complain(
                f"{tasks} tasks have not ended, and nobody polls for them: start this relay again, or watch each of "
                "them on another (POST /v1/tasks)."
            )
    raise typer.Exit(FAILED if any(left.values()) else 0)
