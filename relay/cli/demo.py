"""``relay demo`` and ``relay simulate``: relay without a vendor and without a broker."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relay.cli import options
from relay.cli.options import seconds
from relay.cli.output import console, write_facts, write_json
from relay.cli.serve import run_loop
from relay.core.errors import RelayError

if TYPE_CHECKING:
    from relay.simulator.options import Options
    from relay.simulator.outages import Outage
    from relay.simulator.rates import Faults

PerMinute = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, show_default="no limit", help="Requests beyond this limit get a 429."),
]


def demo(
    once: Annotated[
        bool,
        typer.Option(
            "--once", help="Stop after one round; exit 0 if each task and chat got exactly one terminal event."
        ),
    ] = False,
    tasks: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="Tasks per round.")] = 30,
    chats: Annotated[int, typer.Option(metavar="N", min=0, max=1000, help="Chats per round.")] = 15,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the random faults.")] = 1,
    json: options.Json = False,
) -> None:
    """Run a relay and a simulated upstream with random faults.

    Needs no broker and no key, installs nothing, and leaves nothing behind: both run in this process, on free ports of
    127.0.0.1, with the journal in a temporary folder. A toy sink in memory stands for Kafka or Redis; it goes away for
    a second, and some of its replies get lost. Exit code 1 if an event was missing or came twice, from the API or on
    the sink, or if it was interrupted before the first round had ended.
    """
    from relay.demo import run_demo
    from relay.telemetry.log import configure_logging

    configure_logging("error", "auto")  # the trouble is on purpose
    raise typer.Exit(run_loop(run_demo(once=once, console=console(), tasks=tasks, chats=chats, seed=seed, json=json)))


# Long by its options, one for each fault that can be rehearsed: typer reads them from the signature.
def simulate(
    port: Annotated[int, typer.Option(metavar="PORT", min=0, max=65535, help="0: a free one.")] = 8081,
    host: Annotated[str, typer.Option(metavar="HOST", help="The address to listen on.")] = "127.0.0.1",
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of ids, faults and variations.")] = 0,
    queue: Annotated[
        Any, typer.Option(parser=seconds, metavar="DURATION", help="Mean time a task waits in the queue.")
    ] = "500ms",
    run: Annotated[Any, typer.Option(parser=seconds, metavar="DURATION", help="Mean time a task runs.")] = "2s",
    fault: Annotated[
        list[str] | None,
        typer.Option(metavar="WORD=RATE", help="Probability of a fault, 0 to 1, like lost=0.1; repeatable."),
    ] = None,
    chat_fault: Annotated[
        list[str] | None,
        typer.Option(metavar="WORD=RATE", help="The same for chats, like reset=0.1; repeatable."),
    ] = None,
    api_key: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="Require one of these keys; repeatable.")
    ] = None,
    default_webhook: Annotated[
        str | None, typer.Option(metavar="URL", help="The webhook of tasks that name none.")
    ] = None,
    webhook_timeout: Annotated[
        Any, typer.Option(parser=seconds, metavar="DURATION", help="How long to wait for a webhook's receiver.")
    ] = "5s",
    webhook_repeats: Annotated[int, typer.Option(metavar="N", min=0, help="Retries of a webhook that got no 2xx.")] = 5,
    webhook_spacing: Annotated[
        str,
        typer.Option(metavar="DURATION,...", help="Delay before each retry; the last one applies to all further ones."),
    ] = "1s,2s,4s,8s,16s",
    late_by: Annotated[Any, typer.Option(parser=seconds, metavar="DURATION", help="Delay of a late webhook.")] = "2s",
    slow_by: Annotated[Any, typer.Option(parser=seconds, metavar="DURATION", help="Delay of a slow answer.")] = "1s",
    outage: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TROUBLE@START+LENGTH",
            help="An outage: down, reset, errors, storm or html, like down@30s+1m; repeatable.",
        ),
    ] = None,
    checked_test_mode: Annotated[
        bool,
        typer.Option("--checked-test-mode", help="Make a test-mode submission fail if its webhook is unreachable."),
    ] = False,
    retry_after: Annotated[
        int | None,
        typer.Option(
            metavar="SECONDS", min=0, show_default="no header", help="Value of the Retry-After header of each 429."
        ),
    ] = None,
    submissions_per_minute: PerMinute = None,
    polls_per_minute: PerMinute = None,
    chats_per_minute: PerMinute = None,
    json: options.Json = False,
) -> None:
    """Run a stand-in for the upstream, with faults on request.

    It has tasks, webhooks with the vendor's retries, polling, and the OpenAI routes, like https://api.novita.ai. The
    header X-Simulate selects faults for one request: 'doubled, late=2s' for a task, 'pace=50ms, reset' for a chat.
    """
    from relay.simulator.chat.behaviour import CHAT_FAULTS
    from relay.simulator.options import Options, Retries
    from relay.simulator.tasks.faults import DIRECTIVES

    chosen = Options(
        host=host,
        port=port,
        seed=seed,
        queue_seconds=queue,
        run_seconds=run,
        retries=Retries(webhook_timeout, webhook_repeats, _spacing(webhook_spacing)),
        faults=_faults(DIRECTIVES, fault or [], "--fault", late_by=late_by, slow_by=slow_by),
        outages=tuple(map(_outage, outage or [])),
        checked_test_mode=checked_test_mode,
        retry_after=retry_after,
        chat_faults=_faults(CHAT_FAULTS, chat_fault or [], "--chat-fault"),
        api_keys=tuple(api_key or ()),
        default_webhook=default_webhook,
        submissions_per_minute=submissions_per_minute,
        polls_per_minute=polls_per_minute,
        chats_per_minute=chats_per_minute,
    )
    run_loop(_simulate(chosen, json))


def _spacing(text: str) -> tuple[float, ...]:
    try:
        return tuple(map(seconds, text.split(",")))
    except typer.BadParameter as error:
        raise typer.BadParameter(error.message, param_hint="'--webhook-spacing'") from None


def _outage(text: str) -> Outage:
    from relay.simulator.outages import TROUBLES, Outage

    trouble, at, when = text.partition("@")
    start, plus, length = when.partition("+")
    if trouble not in TROUBLES or not at or not plus:
        known = ", ".join(TROUBLES)
        raise typer.BadParameter(f"write one of {known} with its time, like down@30s+1m", param_hint="'--outage'")
    try:
        return Outage(trouble, seconds(start), seconds(length))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="'--outage'") from None


def _faults(words: tuple[str, ...], given: list[str], option: str, **delays: float) -> Faults:
    """``WORD=RATE`` read, by the words that there are."""
    from relay.simulator.rates import Faults

    rates: dict[str, float] = {}
    for item in given:
        word, _, rate = item.partition("=")
        name = word.strip().lower().replace("-", "_")
        if name not in words:
            known = ", ".join(known.replace("_", "-") for known in words)
            raise typer.BadParameter(f"{word!r} is not a fault; known: {known}", param_hint=f"'{option}'")
        try:
            rates[name] = float(rate)
        except ValueError:
            raise typer.BadParameter(f"write a rate from 0 to 1, like {word}=0.1", param_hint=f"'{option}'") from None
    try:
        return Faults(rates, **delays)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=f"'{option}'") from None


async def _simulate(chosen: Options, json: bool) -> None:
    from relay.simulator.server import LEDGER_PATH, Simulator

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    simulator = Simulator(chosen)
    try:
        await simulator.start()
    except OSError as error:
        raise RelayError(
            "cannot_listen",
            f"Cannot listen on {chosen.host}:{chosen.port}: {error.strerror or error}.",
            hint="Choose another --port; 0 picks a free one.",
        ) from None
    if json:
        write_json({"url": simulator.url, "ledger": simulator.url + LEDGER_PATH})
    else:
        write_facts([("simulator", simulator.url), ("ledger", simulator.url + LEDGER_PATH)])
    try:
        await stopping.wait()
    finally:
        await simulator.stop()
