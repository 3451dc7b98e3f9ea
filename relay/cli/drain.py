"""``relay drain``: publishes everything that a relay has accepted, while it runs or after it has stopped."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from relay.cli import configured, options
from relay.cli.client import Client, Json
from relay.cli.connection import connect
from relay.cli.format import counted
from relay.cli.outcome import FAILED, complain
from relay.cli.output import progress_bar, write_json, write_line
from relay.cli.serve import run_loop
from relay.core.errors import RelayError

_LOOK_EVERY: Final = 0.2
"""Seconds between two looks at a relay that drains."""


@dataclass(frozen=True, slots=True)
class Rest:
    """What is left when it ends: events by sink, and why a sink takes none."""

    drained: bool
    events: dict[str, int]
    tasks: int
    chats: int = 0
    troubles: tuple[str, ...] = ()


def drain(
    timeout: Annotated[
        Any, typer.Option("--timeout", parser=options.seconds, metavar="DURATION", help="How long to wait at most.")
    ] = "5m",
    accept_for: Annotated[
        Any,
        typer.Option(
            "--accept-for",
            parser=options.seconds,
            metavar="DURATION",
            help="How long relay still takes everything, so that load balancers notice.",
        ),
    ] = "10s",
    cancel: Annotated[bool, typer.Option("--cancel", help="Take a drain back.")] = False,
    stopped: Annotated[
        bool, typer.Option("--stopped", help="Publish what the journal of a stopped relay holds.")
    ] = False,
    config: options.Config = None,
    url: options.Url = None,
    token: options.Token = None,
    token_file: options.TokenFile = None,
    json: options.Json = False,
) -> None:
    """Publish everything that relay has accepted, and have it take nothing more.

    A running relay is not ready from now on. It takes everything for --accept-for, then no new chats, and deliveries
    until its chats have ended and its sinks have caught up; then nothing more, and nothing waits in its journal. Exit
    code 1 if --timeout passes first: it goes on draining. --cancel or a restart ends a drain.

    With --stopped, run it with the stopped relay's own configuration and identity, so that it resumes where that one
    stopped and repeats nothing. Chats that were open end as relay_restarted. Exit code 1 if events are left.

    Tasks that have not ended are counted, not waited for.
    """
    if stopped:
        if cancel or url is not None:
            raise typer.BadParameter("excludes --cancel and --url", param_hint="'--stopped'")
        _show(_publish_rest(timeout, config), json)
        return
    if not cancel and timeout <= accept_for:
        raise typer.BadParameter("must be longer than --accept-for", param_hint="'--timeout'")
    client = connect(config, url, token, token_file)
    if cancel:
        client.cancel_drain()
        complain("The drain is taken back: relay takes everything.")
        return
    client.drain(accept_for)
    rest = _waited(client, timeout)
    if not rest.drained and not json:
        raise _not_drained(rest, timeout)
    _show(rest, json)


def _publish_rest(timeout: float, config: Path | None) -> Rest:
    from relay.app.relay import Relay
    from relay.telemetry.log import configure_logging

    settings = configured.load(config)
    if not settings.sinks:
        raise RelayError(
            "no_sink", "No sink is configured, so there is nowhere to publish to.", hint="Configure sinks."
        )
    if not settings.journal.path.exists():
        hint = "Run it with the stopped relay's own configuration, where its volume is mounted."
        raise RelayError("no_journal", f"There is no journal {settings.journal.path}.", hint=hint)
    configure_logging(settings.log.level, settings.log.format)
    left, tasks = run_loop(Relay(settings).publish_rest(timeout))
    return Rest(not any(left.values()), left, tasks)


def _waited(client: Client, timeout: float) -> Rest:
    deadline = time.monotonic() + timeout
    most = 0
    with progress_bar("draining") as moved:
        while True:  # by looking: over a connection that is held, relay could not end by a signal meanwhile
            rest = _rest(client.status())
            pending = sum(rest.events.values())
            most = max(most, pending)
            moved(most - pending, most, counted(rest.chats, "open chat") if rest.chats else "")
            if rest.drained or time.monotonic() >= deadline:
                return rest
            time.sleep(_LOOK_EVERY)


def _rest(status: Json) -> Rest:
    """Raises ``RelayError`` where somebody has taken the drain back."""
    state, sinks = status["drain"]["state"], status["sinks"]
    if state == "none":
        raise RelayError("drain_cancelled", "The drain was taken back, or relay has restarted.")
    troubles = (f"{sink['label']}: {sink['trouble']['message']}" for sink in sinks if sink["trouble"])
    events = {sink["label"]: sink["pending"] for sink in sinks}
    return Rest(state == "drained", events, status["tasks"]["pending"], status["chats"]["open"], tuple(troubles))


def _not_drained(rest: Rest, timeout: float) -> RelayError:
    waiting = [f"{counted(events, 'event')} for {sink}" for sink, events in rest.events.items() if events]
    if rest.chats:
        waiting.append(counted(rest.chats, "open chat"))
    # A sink that has not been reached since the start may have lost what it had: only itself can say.
    unknown = "waits for a sink to say what it has" if rest.troubles else "has requests under way"
    waits = f"waits for {', '.join(waiting)}" if waiting else unknown
    return RelayError(
        "not_drained",
        " ".join((f"After {timeout:g} s relay still {waits}.", *rest.troubles)),
        hint="relay goes on draining: run it again to wait longer, or with --cancel to take it back.",
    )


def _show(rest: Rest, json: bool) -> None:
    """The end of the command. Raises ``typer.Exit``."""
    if json:
        written = {"drained": rest.drained, "left": rest.events, "open_chats": rest.chats, "open_tasks": rest.tasks}
        write_json(written)
    else:
        for sink, events in rest.events.items():
            write_line(
                (sink, "bold"), (f"  {counted(events, 'event')} left" if events else "  everything is published", "")
            )
        if not rest.events:
            complain("No sink is configured: consumers read the events from its journal.")
        if rest.tasks:
            complain(
                f"Not ended, and polled by nobody once relay is gone: {counted(rest.tasks, 'task')}. Start it again, "
                "or watch each of them on another relay (POST /v1/tasks)."
            )
    raise typer.Exit(0 if rest.drained else FAILED)
