"""``relay check``: whether the configuration is valid, and with ``--connect``, whether what it names can be reached."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import uuid4

import typer

from relay.cli import configured, options
from relay.cli.doctor.findings import Finding
from relay.cli.doctor.local import check_certificates
from relay.cli.outcome import BAD_CONFIGURATION, FAILED, tell
from relay.cli.output import write_finding, write_json, write_line
from relay.cli.serve import run_loop
from relay.core.errors import RelayError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relay.core.sink import Advice, Identity, Sink, SinkConfig, Step
    from relay.settings import ConfigError, Settings
    from relay.settings.model import UpstreamSettings

CHECK_SUFFIX: Final = "-check"
"""Behind the identity, so that the check fences no relay that is running."""

_SINK_WITHIN: Final = 60.0
_UPSTREAM_WITHIN: Final = 10.0


@dataclass(frozen=True, slots=True)
class Passed:
    """A step on the way to a server, and what was found there."""

    step: str
    message: str


@dataclass(frozen=True, slots=True)
class Reached:
    """What became of one thing that was to be reached, and what it advises."""

    name: str
    ok: bool
    code: str | None = None
    message: str | None = None
    hint: str | None = None
    advice: tuple[Advice, ...] = ()
    steps: tuple[Passed, ...] = ()
    """Those that worked, in their order."""
    step: str | None = None
    """The one that failed, where steps are known."""


def check(
    config: options.Config = None,
    connect: Annotated[
        bool,
        typer.Option(
            "--connect",
            help="Also connect to every sink, the shared index, the archive and the upstream; creates topics.",
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
    reached = [_of_finding(each) for each in await asyncio.to_thread(check_certificates, settings)]
    for each in reached if progress else ():
        _say(each)
    tries = [reach_sink(config, identity) for config in settings.sinks]
    if (login := settings.dedup.index_login) is not None:
        tries.append(reach_index(login))
    if settings.archive.url is not None:
        tries.append(reach_archive(settings.archive.url, settings.archive.store_options))
    # One after the other, so that the lines come in the order of the configuration.
    for attempt in (*tries, reach_upstream(settings.upstream)):
        result = await attempt
        reached.append(result)
        if progress:
            _say(result)
    return reached


def _of_finding(found: Finding) -> Reached:
    """What the doctor has found, as the result of the check."""
    if found.status == "failed":
        return Reached(found.check, False, found.code, found.message, found.hint)
    advice = (_advice(found),) if found.status == "warning" else ()
    return Reached(found.check, True, message="can be used" if advice else found.message, advice=advice)


def _advice(found: Finding) -> Advice:
    from relay.core.sink import Advice

    return Advice(found.code or "", f"{found.message[:1].upper()}{found.message[1:]}.", found.hint)


def _say(result: Reached) -> None:
    for passed in result.steps:
        write_finding(Finding(result.name, "ok", f"{passed.step}: {passed.message}"))
    write_finding(Finding(result.name, "ok" if result.ok else "failed", result.message or "", result.hint or ""))
    for advice in result.advice:
        write_finding(Finding(result.name, "warning", f"{advice.message} {advice.hint}"))


async def reach_sink(config: SinkConfig, identity: Identity) -> Reached:
    """Opens a sink, hears what it advises, and closes it again; the sink's own timeouts count, and a minute at most."""
    from relay.app.plugins import connect
    from relay.core.sink import Advising

    name = f"sink {config.label}"
    sink = connect(config, identity)
    walk = _Walk()
    try:
        async with asyncio.timeout(_SINK_WITHIN):
            await walk.open(sink)
            advice = tuple(await sink.advice()) if isinstance(sink, Advising) else ()
    except RelayError as error:
        return walk.ended(name, error.code, error.message, error.hint or None)
    except TimeoutError:
        return walk.ended(name, "timeout", f"No answer within {_SINK_WITHIN:g} s.")
    finally:
        await sink.close()
    return Reached(name, True, message=f"opened as {identity.name}", advice=advice, steps=tuple(walk.passed))


class _Walk:
    """How far it went on the way to a server."""

    def __init__(self) -> None:
        self.passed: list[Passed] = []
        self._at: str | None = None

    async def open(self, sink: Sink) -> None:
        from relay.core.sink import Stepwise

        await (self.take(sink.steps()) if isinstance(sink, Stepwise) else sink.open())

    async def take(self, steps: Sequence[Step]) -> None:
        """Each in its order, up to the first that fails."""
        for self._at, take in steps:
            self.passed.append(Passed(self._at, await take()))
        self._at = None

    def ended(self, name: str, code: str, message: str, hint: str | None = None) -> Reached:
        where = f"{self._at}: " if self._at else ""
        return Reached(name, False, code, where + message, hint, steps=tuple(self.passed), step=self._at)


async def reach_index(login: Mapping[str, str]) -> Reached:
    """Runs the script of the shared index, in a place of its own."""
    from relay.sinks.redis.shared_index import RedisIndex

    name = "dedup.shared_index"
    index = RedisIndex(login, scope="check", identity="check", origin=lambda: "check", lease=1.0, window=1.0)
    walk = _Walk()
    try:
        await walk.take(index.steps())
    except RelayError as error:
        return walk.ended(name, error.code, error.message, error.hint or None)
    finally:
        await index.close()
    return Reached(name, True, message="answers", steps=tuple(walk.passed))


async def reach_archive(url: str, options: Mapping[str, str]) -> Reached:
    """Has the store say that it is there; into a folder, a file is written and removed again."""
    from relay.archive.store import store_at

    try:
        async with asyncio.timeout(_SINK_WITHIN):
            store = store_at(url, options)
            try:
                await store.check()
            finally:
                store.close()
    except RelayError as error:
        return Reached("archive", False, error.code, error.message, error.hint or None)
    except TimeoutError:
        return Reached("archive", False, "timeout", f"No answer within {_SINK_WITHIN:g} s.")
    return Reached("archive", True, message=f"{url} can be used")


async def reach_upstream(settings: UpstreamSettings) -> Reached:
    """Any answer over HTTP will do: without a key there is nothing to be had."""
    from relay.cli.doctor.upstream import ask

    way = await ask(settings, "HEAD", "/", within=_UPSTREAM_WITHIN)
    steps = "".join(f"; {step}" for step in way.steps)
    if way.status is None:
        message = f"{settings.base_url} cannot be reached: {way.failure.rstrip('.')}{steps}."
        return Reached("upstream", False, "upstream_unreachable", message, way.hint)
    due = way.due(time.time())
    advice = (_advice(due),) if due is not None else ()
    return Reached("upstream", True, message=f"{settings.base_url} answers (HTTP {way.status}){steps}", advice=advice)
