"""Runs the scenario: a simulator and a relay on free loopback ports, rounds of submissions, and the events."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from rich.console import Console
from rich.text import Text

from relay.app.relay import Relay
from relay.demo import chats
from relay.demo.chats import Chat, ChatStep, chat_line, chat_script, converse
from relay.demo.scenario import NO_TROUBLE, Step, Trouble, script
from relay.demo.screen import conclusion, dead_letter_line, event_line, on_the_sink, table
from relay.demo.toy_sink import Account, Config, ToySink
from relay.demo.verdict import TERMINAL, Expected, Verdict, judge, summary
from relay.settings import Settings
from relay.simulator.directives import HEADER
from relay.simulator.options import Options, Retries
from relay.simulator.server import Simulator

Json = dict[str, Any]

TIMEOUT = 30.0
"""Seconds that a round may take before what has not come counts as missing."""
PAUSE = 1.0
"""Seconds between two rounds."""
BEGINNING = (
    "Starting a relay and a simulated upstream in this process, on free ports of 127.0.0.1.\n"
    "Nothing is installed and nothing stays: the journal is in a temporary folder, and a toy sink in memory\n"
    "stands for Kafka or Redis. It goes away for a second, and some of its replies get lost."
)
LARGEST_EVENT = 4 * 1024 * 1024

_ENDS = {"TASK_STATUS_SUCCEED": "relay.task.succeeded", "TASK_STATUS_FAILED": "relay.task.failed"}


async def run_demo(
    *, once: bool, console: Console, tasks: int = 30, chats: int = 15, seed: int = 1, json: bool = False
) -> int:
    """Plays rounds until Ctrl-C, or one with ``once``; answers the exit code.

    0: every task and every chat of the rounds played got exactly its one terminal event. 1: not so, or interrupted
    before the first round had ended, or at all with ``once``.
    With ``json`` each event is a line on the console, and the summary is the last line.
    """
    with _interruptible() as interrupted:
        if not json:
            console.print(Text(BEGINNING, "dim"), soft_wrap=True)
        async with _stage(console, seed, json) as demo:
            number = 0
            while not interrupted.is_set():
                turn = seed + number
                await _unless(interrupted, demo.play(script(tasks, turn), chat_script(chats, turn)))
                number += 1
                if once:
                    break
                await _unless(interrupted, asyncio.sleep(PAUSE))
            verdict, account = await demo.verdict(), await demo.account()
            demo.show(verdict, account)
            return 0 if verdict.good and account.good and not (once and interrupted.is_set()) else 1


@contextlib.asynccontextmanager
async def _stage(console: Console, seed: int, json: bool) -> AsyncIterator[Demo]:
    """The simulator, a relay that trusts it, and a client of both, for as long as the demo runs."""
    token = secrets.token_urlsafe(24)
    pace = Options(seed=seed, queue_seconds=0.3, run_seconds=1.2, retries=Retries(spacing=(0.3, 0.6, 1.2)))
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="relay-demo-"))
        simulator = await stack.enter_async_context(Simulator(pace))
        sink = ToySink()
        relay = Relay(_settings(Path(folder), token, simulator.url), connect=sink.connect)
        await relay.start()
        stack.push_async_callback(relay.stop)
        session = await stack.enter_async_context(aiohttp.ClientSession(read_bufsize=LARGEST_EVENT))
        demo = Demo(simulator, relay.url, session, console, json, sink)
        demo.announce()
        async with asyncio.TaskGroup() as group:
            following = group.create_task(demo.follow())
            yield demo
            following.cancel()


def _settings(folder: Path, token: str, upstream: str) -> Settings:
    port = _free_port()
    public_url = f"http://127.0.0.1:{port}"
    return Settings.model_validate(
        {
            "server": {"host": "127.0.0.1", "port": port, "public_url": public_url, "drain_timeout": "2s"},
            "admin": {"host": "127.0.0.1", "port": 0},
            "journal": {"path": str(folder / "relay.db")},
            "webhooks": {"novita": {"tokens": [token]}},
            "upstream": {"base_url": upstream},
            "sinks": [Config()],
            "reconcile": {"first_after": "1s", "every": "1s"},  # nobody watches a demo for a minute
        }
    )


def _free_port() -> int:
    """The relay has to know its own address before it listens there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@dataclass(slots=True)
class Demo:
    """One relay, one simulator, and what has been seen of both."""

    simulator: Simulator
    relay_url: str
    session: aiohttp.ClientSession
    console: Console
    json: bool
    sink: ToySink = field(default_factory=ToySink)
    _troubles: dict[str, Trouble] = field(default_factory=dict)
    """By prompt: an event may come before the task's id is known."""
    _played: list[str] = field(default_factory=list)
    _chats: dict[str, Chat] = field(default_factory=dict)
    """By chat id, of the rounds that were played to their end."""
    _unfinished: bool = False
    _ended: set[str] = field(default_factory=set)
    _shown: int = 0
    """The offset of the last event on the screen."""
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def play(self, steps: Iterable[Step], chat_steps: Iterable[ChatStep] = ()) -> None:
        """Plays a round and waits until all of it has ended, was delivered, and is on the screen."""
        self._unfinished = True
        async with asyncio.TaskGroup() as group:
            submissions = [group.create_task(self._submit(step)) for step in steps]
            clients = {
                group.create_task(converse(self.session, self.relay_url, step)): step.chat for step in chat_steps
            }
        submitted = [submission.result() for submission in submissions]
        chatted = {client.result(): chat for client, chat in clients.items()}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TIMEOUT):
                await self.simulator.wait_idle()
                await self._until(lambda: self._ended.issuperset([*submitted, *chatted]))
                last = max([offset async for offset, _ in _all_events(self.session, self.relay_url)], default=0)
                await self._until(lambda: self._shown >= last)
        self._played += submitted
        self._chats |= chatted
        self._unfinished = False

    async def _until(self, enough: Callable[[], bool]) -> None:
        while not enough():
            self._news.clear()
            await self._news.wait()

    async def follow(self) -> None:
        """Shows the events as they come."""
        async for offset, event in _live_events(self.session, self.relay_url):
            if event["type"] in TERMINAL:
                self._ended.add(event["subject"])
            self._show_event(offset, event)
            self._shown = offset
            self._news.set()

    async def verdict(self) -> Verdict:
        """Judges the rounds that were played to their end by the whole of the journal."""
        events = [event async for _, event in _all_events(self.session, self.relay_url)]
        tasks = [self._expected(task_id) for task_id in self._played]
        chats = [Expected(chat_id, chat.ends_in, chat.trouble) for chat_id, chat in self._chats.items()]
        cut_short = self._cut_short(events)
        return judge([*tasks, *chats], (event for event in events if event["subject"] not in cut_short))

    async def account(self) -> Account:
        """Holds the sink against the journal, once it has all of it or the time is over."""
        events = {offset: event["id"] async for offset, event in _all_events(self.session, self.relay_url)}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TIMEOUT):
                await self.sink.reached(max(events, default=0))
        return self.sink.account(events.values())

    def _cut_short(self, events: Iterable[Json]) -> set[str]:
        """The tasks and chats of a round that was not played to its end."""
        if not self._unfinished:
            return set()
        tasks = {task.task_id for task in self.simulator.ledger.tasks()} - set(self._played)
        return tasks | ({event["subject"] for event in events if event["type"] in chats.TERMINAL} - self._chats.keys())

    def _expected(self, task_id: str) -> Expected:
        record = self.simulator.ledger.find(task_id)
        assert record is not None, "the ledger keeps far more tasks than a demo submits"
        trouble = self._troubles[record.task.asked.prompt]
        return Expected(task_id, _ENDS[str(record.task.life.ends_in)], trouble, len(record.attempts))

    async def _submit(self, step: Step) -> str:
        self._troubles[step.prompt] = step.trouble
        headers = {HEADER: step.trouble.simulate}
        async with self.session.post(self.relay_url + step.path, json=step.body, headers=headers) as response:
            response.raise_for_status()
            return str((await response.json())["task_id"])

    # -- what people see ---------------------------------------------------------------------------------------

    def announce(self) -> None:
        """Where everything is."""
        if self.json:
            return
        places = {
            "console": f"{self.relay_url}/",
            "relay": self.relay_url,
            "events": f"{self.relay_url}/v1/events",
            "chat": f"{self.relay_url}{chats.PATHS['chat_completions']}",
            "messages": f"{self.relay_url}{chats.PATHS['messages']}",
            "follow": f"relay tail --url {self.relay_url}",
            "status": f"relay status --url {self.relay_url}",
            "simulator": f"{self.simulator.url}  (what it did: /_simulator/ledger)",
        }
        for name, place in places.items():
            self._say(Text.assemble((f"{name:<11}", "bold"), place))
        self._say(Text("Ctrl-C ends the demo.", "dim"))

    def show(self, verdict: Verdict, account: Account) -> None:
        """What was injected and what came out."""
        if self.json:
            self._line({"summary": summary(verdict, account)})
            return
        self._say(Text())
        if verdict.expected:
            self.console.print(table(verdict))
        for line in (*conclusion(verdict), *(on_the_sink(account) if verdict.expected else ())):
            self._say(line)

    def _show_event(self, offset: int, event: Json) -> None:
        if self.json:
            self._line({"offset": offset, "event": event})
        elif event["type"] == chats.CHUNK:
            return  # many, and each is in the event of its chat's end
        elif event["type"].startswith("relay.chat."):
            self._say(chat_line(offset, event))
        elif event["type"] == "relay.delivery.dead":
            self._say(dead_letter_line(offset, event))
        else:
            record = self.simulator.ledger.find(event["subject"])
            self._say(event_line(offset, event, self._troubles[record.task.asked.prompt] if record else NO_TROUBLE))

    def _say(self, text: Text) -> None:
        self.console.print(text, soft_wrap=True)

    def _line(self, document: Json) -> None:
        self.console.out(orjson.dumps(document).decode(), highlight=False)


# -- the relay's consumer API, as any consumer uses it -------------------------------------------------------------


async def _live_events(session: aiohttp.ClientSession, url: str) -> AsyncIterator[tuple[int, Json]]:
    """Every event with its offset, from the first one on, for as long as the relay runs."""
    timeout = aiohttp.ClientTimeout(total=None)
    headers = {"Accept": "text/event-stream"}
    parameters = {"after": "0"}
    async with session.get(f"{url}/v1/events", params=parameters, headers=headers, timeout=timeout) as response:
        response.raise_for_status()
        while frame := await response.content.readuntil(b"\n\n"):
            fields = dict(line.split(b": ", 1) for line in frame.splitlines() if b": " in line)
            if b"data" in fields:
                yield int(fields[b"id"]), orjson.loads(fields[b"data"])


async def _all_events(session: aiohttp.ClientSession, url: str) -> AsyncIterator[tuple[int, Json]]:
    """Every event that the journal holds, with its offset, page by page."""
    after = 0
    while True:
        parameters = {"after": str(after), "limit": "1000"}
        async with session.get(f"{url}/v1/events", params=parameters) as response:
            response.raise_for_status()
            page = await response.json()
        for entry in page["events"]:
            yield entry["offset"], entry["event"]
        if page["next"] == after:
            return
        after = page["next"]


# -- Ctrl-C --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _interruptible() -> Iterator[asyncio.Event]:
    """An event that Ctrl-C and SIGTERM set, so that the demo ends with its summary."""
    interrupted = asyncio.Event()
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, interrupted.set)
    try:
        yield interrupted
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def _unless(interrupted: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Does the work, or drops it as soon as the demo is interrupted."""
    waiting = asyncio.create_task(interrupted.wait())
    working = asyncio.create_task(work)
    try:
        await asyncio.wait((waiting, working), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        working.cancel()
        await asyncio.gather(waiting, working, return_exceptions=True)
    if not working.cancelled():
        working.result()
