"""``relay drain`` and ``/v1/drain``: a relay that runs publishes everything, and then takes nothing more."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Pair
from tests.integration.test_drain import CHAT, STREAM
from tests.services.in_process import PATH, task
from tests.services.raw_http import ask, get, post, wire
from tests.services.redis import Redis, RedisServer, redis_cli_read
from tests.services.relay import RelayProcess
from tests.services.scripted_upstream import Call, chunks, scripted

API_TOKEN = "api-token-of-enough-length-0123456789"
SUBMISSION = post("/v3/async/txt2img", b"{}", "Content-Type: application/json")
RESULT = "/v3/async/task-result?task_id=t"
BEARER = f"Authorization: Bearer {API_TOKEN}"


@asynccontextmanager
async def started(directory: Path, **sections: Any) -> AsyncIterator[RelayProcess]:
    """A relay whose API takes one token."""
    server = {"api_tokens": [API_TOKEN], **sections.pop("server", {})}
    relay = RelayProcess(directory, server=server, **sections)
    await relay.start()
    try:
        yield relay
    finally:
        relay.kill()


def asking(accept_for: str) -> bytes:
    """The request by which the command begins."""
    return post(f"/v1/drain?accept_for={accept_for}", b"", BEARER)


async def drain(relay: RelayProcess, *options: str) -> subprocess.CompletedProcess[str]:
    """The command, run to its end."""
    command = [sys.executable, "-m", "relay", "drain", "--config", str(relay.config), *options]
    return await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=120, check=False)


async def drain_state(relay: RelayProcess) -> Any:
    status: Any = (await ask(relay.url, get("/v1/status", BEARER))).json
    return status["drain"]


async def until_state(relay: RelayProcess, state: str) -> None:
    async with asyncio.timeout(30):
        while (await drain_state(relay))["state"] != state:
            await asyncio.sleep(0.02)


def published(redis: Redis, key: str) -> list[str]:
    return sorted(fields["id"].decode() for _, fields in redis_cli_read(redis.port, key))


async def at_once(call: Call) -> None:
    """A chat that ends at once, a submission that is accepted, and other answers."""
    path = call.line.split(" ")[1].partition("?")[0]
    if path.endswith("/completions"):
        await call.send(STREAM)
        await call.send(chunks(b"data: [DONE]\n\n"))
    else:
        body = b'{"task_id": "submitted-%d"}' % id(call)
        await call.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body), body
        )


@dataclass
class Senders:
    """They send one request after the other and look neither at ``/readyz`` nor at what is refused."""

    url: str
    acknowledged: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    drained: bool = False

    async def deliver(self, name: str) -> None:
        for n in itertools.count():
            if self.drained:
                return
            answer = await ask(self.url, post(PATH, task(f"{name}-{n}")))
            if answer.status == 200:
                self.acknowledged.append(answer.json["event_id"])
            else:
                assert int(answer.headers["retry-after"]) > 0
                self.refused.add(answer.code)

    async def ask_for(self, wanted: bytes) -> None:
        while not self.drained:
            await ask(self.url, wanted)


async def test_senders_who_do_not_stop_cannot_put_it_off_and_nothing_that_they_sent_is_left(
    pair: Pair, tmp_path: Path
) -> None:
    """Events would stay in the journal of a replica that is gone for good, or it would never be done."""
    async with (
        scripted(at_once) as upstream,
        started(tmp_path, sinks=[*pair.sinks()], upstream={"base_url": upstream.url}) as relay,
    ):
        senders = Senders(relay.url)
        sending = asyncio.gather(
            *(senders.deliver(f"s{n}") for n in range(4)),
            *(senders.ask_for(wanted) for wanted in (CHAT, SUBMISSION, get("/openai/v1/models"), get(RESULT))),
        )
        done = await drain(relay, "--accept-for", "500ms", "--timeout", "60s", "--json")
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout)["left"] == {"kafka": 0, "redis": 0}
        assert await relay.ready() == (503, ["drained"])
        assert await relay.metric("relay_draining") == 1
        again = await drain(relay)
        assert (again.returncode, again.stdout) == (
            0,
            "kafka  everything is published\nredis  everything is published\n",
        )
        senders.drained = True
        async with asyncio.timeout(20):
            await sending
        assert senders.refused == {"draining"}
        last_offset = (await ask(relay.url, get("/v1/status", BEARER))).json["journal"]["last_offset"]
        relay.kill()
    assert senders.acknowledged
    for read in (pair.on_kafka, pair.on_redis):
        there = {topic: [message.id for message in await read(topic)] for topic in ("tasks", "chat", "chat-chunks")}
        assert sorted(id for id in there["tasks"] if "succeeded" in id) == sorted(senders.acknowledged)
        assert sum(map(len, there.values())) == last_offset


async def test_once_drained_it_takes_nothing_that_becomes_an_event_until_that_is_taken_back(tmp_path: Path) -> None:
    """An event would be accepted after relay has said that it has none left."""
    async with started(tmp_path) as relay:
        assert (await ask(relay.url, asking("0"))).status == 200
        await until_state(relay, "drained")
        for wanted in (
            post(PATH, task("late")),
            SUBMISSION,
            post("/v1/tasks", b'{"task_id": "late"}', BEARER),
            post("/v1/dead-letters/late/replay", b"", BEARER),
        ):
            refused = await ask(relay.url, wanted)
            assert (refused.status, refused.code) == (503, "draining"), wanted
        chat = await ask(relay.url, CHAT)
        assert (chat.status, chat.json["error"]["code"]) == (503, "draining")
        back = await drain(relay, "--cancel")
        assert back.returncode == 0
        assert await relay.ready() == (200, [])
        async with wire(relay.url) as kept:
            await kept.send(post(PATH, task("late")))
            answer = await kept.answer()
        assert (answer.status, answer.headers.get("connection")) == (200, None)
        assert await relay.metric("relay_draining") == 0
        assert (await drain_state(relay))["state"] == "none"


async def test_while_a_sink_is_down_it_goes_on_taking_and_says_what_it_waits_for(tmp_path: Path) -> None:
    """It would refuse deliveries for nothing, or an operator would not learn why a replica cannot leave."""
    redis = RedisServer(tmp_path / "redis")
    sink = {"type": "redis", "name": "r", "url": redis.url, "prefix": "{drain}:"}
    async with started(tmp_path / "relay", sinks=[sink]) as relay:
        assert (await ask(relay.url, post(PATH, task("before")))).status == 200
        waiting = await drain(relay, "--accept-for", "0", "--timeout", "1s")
        assert (waiting.returncode, waiting.stdout) == (1, "")
        assert "After 1 s relay still waits for 1 event for r. r: " in waiting.stderr
        assert "--cancel" in waiting.stderr
        assert await relay.ready() == (503, ["draining"])
        meanwhile = await ask(relay.url, post(PATH, task("meanwhile")))
        assert (meanwhile.status, meanwhile.headers["connection"]) == (200, "close")
        in_json = await drain(relay, "--accept-for", "0", "--timeout", "1s", "--json")
        assert in_json.returncode == 1
        assert json.loads(in_json.stdout) == {"drained": False, "left": {"r": 2}, "open_chats": 0, "open_tasks": 0}
        await redis.start()
        try:
            assert (await drain(relay, "--accept-for", "0", "--timeout", "60s")).returncode == 0
            assert published(redis.redis, "{drain}:tasks") == ["before:succeeded", "meanwhile:succeeded"]
        finally:
            redis.kill()


async def test_chats_may_begin_for_a_while_and_are_waited_for(redis_server: Redis, tmp_path: Path) -> None:
    """A balancer that has not looked yet would have its chats refused, or the last event of one would be left."""
    prefix = redis_server.prefix()
    go_on = asyncio.Event()

    async def held(call: Call) -> None:
        await call.send(STREAM)
        await call.send(chunks(b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"0"}}]}\n\n', end=False))
        await go_on.wait()
        await call.send(chunks(b"data: [DONE]\n\n"))

    async with scripted(held) as upstream:
        sink = {"type": "redis", "url": redis_server.url, "prefix": prefix}
        async with started(tmp_path, sinks=[sink], upstream={"base_url": upstream.url}) as relay:
            assert (await ask(relay.url, asking("1h"))).status == 200
            async with wire(relay.url) as chat:
                await chat.send(CHAT)
                await chat.reader.readuntil(b'"content":"0"')
                # Asked again it comes nearer, and cannot be put off.
                for accept_for in ("0", "1h"):
                    nearer = asking(accept_for)
                    assert (await ask(relay.url, nearer)).json["state"] == "draining"
                async with asyncio.timeout(10):
                    while (await drain_state(relay))["accepting_chats"]:
                        await asyncio.sleep(0.02)
                assert (await ask(relay.url, CHAT)).status == 503
                assert (await ask(relay.url, post(PATH, task("meanwhile")))).status == 200
                assert (await drain_state(relay))["state"] == "draining"
                go_on.set()
                assert b"[DONE]" in await chat.reader.readuntil(b"0\r\n\r\n")
            await until_state(relay, "drained")
            relay.kill()
    chats = [fields["type"].decode() for _, fields in redis_cli_read(redis_server.port, f"{prefix}chat")]
    assert chats == ["relay.chat.started", "relay.chat.completed"]


async def test_a_relay_that_is_draining_ends_by_its_signal_as_any_other(tmp_path: Path) -> None:
    """Kubernetes would have to kill it, and a drain could not be ended by a restart."""
    async with started(tmp_path) as relay:
        assert (await ask(relay.url, asking("1h"))).status == 200
        assert await relay.stop(within=10.0) == 0
        assert "Traceback" not in relay.log.read_text()
        await relay.start()
        assert (await drain_state(relay))["state"] == "none"


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_only_who_may_use_the_api_may_drain(tmp_path: Path, method: str) -> None:
    """Anybody who can reach the port could take a relay out of service."""
    async with started(tmp_path) as relay:
        for header in ("X-Nothing: at all", f"{BEARER}x"):
            assert (await ask(relay.url, post("/v1/drain", b"", header, method=method))).code == "unauthorized"
        assert await relay.ready() == (200, [])
        relay.configure(server={"api_tokens": ["another-token-of-enough-length-01234"]})
        refused = await drain(relay, "--timeout", "11s")
        assert refused.returncode == 1
        assert "server.api_tokens" in refused.stderr


@pytest.mark.parametrize("accept_for", ["1", "-1s", "2h", "soon", ""])
async def test_a_wrong_time_is_refused(tmp_path: Path, accept_for: str) -> None:
    """A relay would drain at once, or never, for a typing error."""
    async with started(tmp_path) as relay:
        refused = await ask(relay.url, asking(accept_for))
        assert (refused.status, refused.code) == (400, "bad_request")
        assert (await drain_state(relay))["state"] == "none"
