"""A real relay without sinks, from its sockets: deliveries, the API, the probes, and no secret anywhere."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from relay.app.relay import Relay
from relay.core.errors import RelayError
from relay.core.source import Delivery, Normalized
from relay.journal.journal import Policy
from tests.services.in_process import PATH, TOKEN, running, settings, task
from tests.services.raw_http import ask, get, post, wire

SIGNED_URL = "https://cdn.example/image.png?X-Amz-Signature=5ecretsignature0123456789"
UNREADABLE = b'{"task":{"task_id":"odd","status":"TASK_STATUS_NEW"}}'


async def deliver(relay: Relay, body: bytes) -> Any:
    reply = await ask(relay.url, post(PATH, body))
    assert reply.status == 200, reply
    return reply.json


async def test_each_limit_of_the_journal_is_that_of_its_own_setting(tmp_path: Path) -> None:
    """P4 broken: facts would be forgotten, or events kept, by the figure of another setting."""
    journal = {"retention": "1h", "dead_letter_retention": "2h", "max_size": "3MiB", "max_backlog": 4}
    async with running(tmp_path, journal=journal, dedup={"window": "5h"}) as relay:
        assert relay.journal._policy == Policy(3600.0, 7200.0, 3 << 20, 18_000.0, 4)


async def test_a_relay_without_any_configuration_is_open_to_this_machine_only(tmp_path: Path) -> None:
    """It would not work out of the box, or work for everybody."""
    async with running(tmp_path, webhooks={"novita": {"tokens": []}}) as relay:
        assert (await ask(relay.url, post("/webhooks/novita", task("a")))).json["status"] == "accepted"
        forwarded = await ask(relay.url, post("/webhooks/novita", task("b"), "X-Forwarded-For: 127.0.0.1"))
        assert (forwarded.status, forwarded.code) == (403, "forbidden_address")
        assert (await ask(relay.url, get("/v1/events"))).json["next"] == 1
        rebound = await ask(relay.url, get("/v1/events", host="rebound.example.org"))
        assert (rebound.status, rebound.code) == (403, "forbidden_origin")


async def test_the_console_can_be_switched_off_and_is_named_at_the_start(tmp_path: Path) -> None:
    """An operator who wants no page would have one, or one who wants it would not know where it is."""
    with capture_logs() as log:
        async with running(tmp_path) as relay:
            assert (await ask(relay.url, get("/"))).headers["content-type"].startswith("text/html")
            url = relay.url
        async with running(tmp_path, console={"enabled": False}) as relay:
            for path in ("/", "/console/0/console.js"):
                reply = await ask(relay.url, get(path))
                assert (reply.status, reply.code) == (404, "not_found")
    started = [line for line in log if line["event"] == "relay started"]
    assert [line["console"] for line in started] == [f"{url}/", None]


async def test_with_api_tokens_the_api_asks_for_one_and_deliveries_do_not(tmp_path: Path) -> None:
    """One secret would open two doors, or none."""
    api_token = "api-token-0123456789abcdef-0123456789"
    async with running(tmp_path, server={"api_tokens": [api_token]}) as relay:
        await deliver(relay, task("a"))
        for path in ("/v1/events", "/v1/dead-letters", "/v1/dead-letters/x"):
            assert (await ask(relay.url, get(path))).code == "unauthorized"
            assert (await ask(relay.url, get(path, f"Authorization: Bearer {TOKEN}"))).code == "unauthorized"
        reply = await ask(relay.url, get("/v1/events", f"Authorization: Bearer {api_token}"))
        assert len(reply.json["events"]) == 1
        assert (await ask(relay.url, post(f"/webhooks/novita/{api_token}", task("b")))).code == "unauthorized"


async def test_off_loopback_the_api_stays_shut_without_tokens(tmp_path: Path) -> None:
    """A relay in a container would show every event to its whole network."""
    async with running(tmp_path, server={"host": "0.0.0.0"}) as relay:
        url = relay.url.replace("0.0.0.0", "127.0.0.1")
        assert (await ask(url, get("/v1/events"))).code == "unauthorized"
        assert (await ask(url, post(PATH, task("a")))).status == 200


async def test_a_dead_letter_goes_on_after_the_upgrade(tmp_path: Path) -> None:
    """What this release cannot read would never reach anybody (P5)."""
    async with running(tmp_path) as relay:
        letter_id = (await deliver(relay, UNREADABLE))["event_id"]
        refused = await ask(relay.url, post(f"/v1/dead-letters/{letter_id}/replay"))
        assert (refused.status, refused.code) == (409, "not_replayable")

    class Upgraded:
        name = "novita"

        def __init__(self, before: Any) -> None:
            self._before = before

        def normalize(self, delivery: Delivery) -> Normalized:
            known = delivery.body.replace(b"TASK_STATUS_NEW", b"TASK_STATUS_SUCCEED")
            normalized: Normalized = self._before.normalize(delivery._replace(body=known))
            return normalized

    relay = Relay(settings(tmp_path))
    relay._sources["novita"] = Upgraded(relay._sources["novita"])
    await relay.start()
    try:
        replayed = await ask(relay.url, post(f"/v1/dead-letters/{letter_id}/replay"))
        assert replayed.json == {"status": "accepted", "event_id": "odd:succeeded"}
        assert (await ask(relay.url, get("/v1/dead-letters"))).json == {"dead_letters": [], "next": None}
    finally:
        await relay.stop()


# -- the journal fails -----------------------------------------------------------------------------------------------


async def test_a_full_disk_is_a_503_and_passes(tmp_path: Path) -> None:
    """A 2xx would be given for what is not on disk, or the relay stay shut after space returns (P1)."""
    async with running(tmp_path) as relay:
        await deliver(relay, task("before"))
        pages = _limit(relay, 0)
        refusals = 0
        for n in range(200):
            reply = await ask(relay.url, post(PATH, task(f"full{n}", note="x" * 50_000)))
            if reply.status != 200:
                assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "journal_unavailable", "5")
                refusals += 1
                break
        assert refusals
        ready = await ask(relay.admin_url, get("/readyz"))
        assert (ready.status, ready.json["reasons"][0].partition(":")[0]) == (503, "disk_full")
        assert (await ask(relay.admin_url, get("/livez"))).status == 200
        _limit(relay, pages)
        async with asyncio.timeout(10):
            while (await ask(relay.admin_url, get("/readyz"))).status != 200:
                await asyncio.sleep(0.01)
        assert (await deliver(relay, task("after")))["status"] == "accepted"


def _limit(relay: Relay, pages: int) -> int:
    """Lets the database grow by no more than a few pages (0), or as far as it could before; the bound before."""
    connection: sqlite3.Connection = relay.journal._store._db
    (before,) = connection.execute("PRAGMA max_page_count").fetchone()
    (used,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count={pages or used + 20}")
    return int(before)


async def test_a_broken_journal_takes_nothing_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The relay would go on acknowledging on a disk that forgets (P1)."""
    relay = Relay(settings(tmp_path))
    await relay.start()
    failing = asyncio.create_task(relay.failure())

    def broken(*_: Any) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        from relay.journal.errors import _ours

        raise _ours(error, tmp_path)

    monkeypatch.setattr(relay.journal._store, "append", broken)
    for _ in range(2):
        reply = await ask(relay.url, post(PATH, task("a")))
        assert (reply.status, reply.code) == (503, "journal_unavailable")
    async with asyncio.timeout(5):
        error = await failing
    assert isinstance(error, RelayError)
    assert error.code == "journal_broken"
    ready = await ask(relay.admin_url, get("/readyz"))
    assert ready.status == 503
    assert ready.json["reasons"][0].startswith("journal_broken: ")
    assert (await ask(relay.admin_url, get("/metrics"))).status == 200
    await relay.stop()


# -- the probes ------------------------------------------------------------------------------------------------------


async def test_readiness_follows_what_can_be_accepted(tmp_path: Path) -> None:
    """A balancer would send deliveries to a relay that refuses them."""
    async with running(tmp_path) as relay:
        ready = await ask(relay.admin_url, get("/readyz"))
        assert (ready.status, ready.json) == (200, {"status": "ready", "reasons": []})
        await ask(relay.url, post("/v1/drain?accept_for=1m", b""))
        ready = await ask(relay.admin_url, get("/readyz"))
        assert (ready.status, ready.json["reasons"]) == (503, ["draining"])
        assert (await ask(relay.admin_url, get("/livez"))).status == 200


async def test_the_metrics_of_a_real_relay_add_up(tmp_path: Path) -> None:
    """Dashboards would go blank, or show a ledger that does not close (P5)."""
    async with running(tmp_path) as relay:
        for body in (task("a"), task("a"), task("b"), UNREADABLE):
            await deliver(relay, body)
        await ask(relay.url, post("/webhooks/novita/wrong", b""))
        reply = await ask(relay.admin_url, get("/metrics"))
    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(reply.body.decode())
        for sample in family.samples
    }
    for result, count in {"accepted": 2, "duplicate": 1, "dead": 1, "rejected": 1}.items():
        assert found["relay_deliveries_total", *sorted((result, "novita"))] == count
    assert found["relay_webhook_ack_seconds_count", "novita"] == 4
    assert found["relay_journal_events",] == 3
    assert found["relay_journal_bytes",] > 0
    assert found["relay_dead_letters_held",] == 1
    assert found["relay_dead_letters_total", "unknown_status"] == 1
    assert found["relay_journal_commit_events_sum",] == 4
    assert found["relay_up",] == 1


# -- no secret -------------------------------------------------------------------------------------------------------


async def test_no_secret_shows_in_any_output(tmp_path: Path) -> None:
    """Anyone who may read logs, metrics, events or refusals could deliver in the upstream's name (P8)."""
    outputs: list[bytes] = []
    hook = {"webhook": {"url": f"https://relay.example{PATH}"}}
    with capture_logs() as logs:
        async with running(tmp_path) as relay:
            good = task("a", extra=hook, images=[{"image_url": SIGNED_URL}])
            requests = [
                post(PATH, good),
                post(PATH, good),
                post(PATH, UNREADABLE[:-1] + b',"extra":{"webhook":{"url":"https://r' + PATH.encode() + b'"}}}'),
                post(PATH + "/", good),
                post(PATH + "x", good),
                get(PATH),
                post(PATH, b"{"),
                post(PATH, good, "Content-Length: 1"),
                post(f"/x{PATH}", good),
                post(f"/v1{PATH}", good),
            ]
            outputs += [(await ask(relay.url, request)).body for request in requests]
            outputs.append((await ask(relay.url, get("/v1/events"))).body)
            letters = await ask(relay.url, get("/v1/dead-letters"))
            outputs.append(letters.body)
            [letter] = letters.json["dead_letters"]
            outputs.append((await ask(relay.url, get(f"/v1/dead-letters/{letter['id']}"))).body)
            outputs.append((await ask(relay.admin_url, get("/metrics"))).body)
            outputs.append((await ask(relay.admin_url, get("/readyz"))).body)
    outputs.append(repr(logs).encode())
    assert [output for output in outputs if TOKEN.encode() in output] == []
    assert b"5ecretsignature" not in outputs[-1] + outputs[-3]
    with closing(sqlite3.connect(tmp_path / "relay.db")) as database:
        published = database.execute("SELECT count(*) FROM events").fetchone()
    assert published == (2,)


# -- followers -------------------------------------------------------------------------------------------------------


async def test_followers_see_each_event_once_across_a_restart(tmp_path: Path) -> None:
    """A consumer without a broker would miss events, or see them twice, whenever the relay is updated."""
    seen: list[str] = []
    async with running(tmp_path) as relay:
        await deliver(relay, task("a"))
        async with wire(relay.url) as connection:
            await connection.send(get("/v1/events", "Accept: text/event-stream"))
            await deliver(relay, task("b"))
            seen += await _ids(connection.reader, 2)
            stopping = asyncio.create_task(relay.stop())
            assert (await connection.rest()).endswith(b"0\r\n\r\n"), "a proper end, not a cut"
            await stopping
    async with running(tmp_path) as relay, wire(relay.url) as connection:
        await deliver(relay, task("c"))
        await connection.send(get("/v1/events", "Accept: text/event-stream", "Last-Event-ID: 2"))
        seen += await _ids(connection.reader, 1)
    assert seen == ["1", "2", "3"]


async def _ids(reader: asyncio.StreamReader, count: int) -> list[str]:
    found: list[str] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            line = (await reader.readline()).decode().strip()
            if line.startswith("id: "):
                found.append(line[4:])
    return found
