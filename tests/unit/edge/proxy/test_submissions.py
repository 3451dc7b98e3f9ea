"""Submissions: passed through byte for byte, paid for once, and recorded before anybody hears of them."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from relay.core.tasks.address import Keys, secret_of
from relay.edge.http.bodies import BodyLimits
from relay.journal.journal import Journal
from relay.settings import ProxySettings
from relay.settings.model import UpstreamSettings
from tests.services.raw_http import ask, chunked, get, post, wire
from tests.services.scripted_upstream import Call, answering, ok
from tests.unit.edge.proxy.submitting import WEBHOOK, submitting
from tests.unit.edge.serving import opened

PATH = "/v3/async/txt2img"
RESULT = "/v3/async/task-result?task_id=t1"
TAKEN = ok(b'{"task_id":"t1"}', "Content-Type: application/json", "X-Trace: a1")
FLUX = b'{"images":[{"image_url":"https://a/1.png"}],"task":{"task_id":"x7"}}'
DONE = b'{"task":{"task_id":"t1","status":"TASK_STATUS_SUCCEED"},"images":[{"image_url":"https://a/1.png"}]}'
PAGE = b"<html><h1>It works!</h1></html>"


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    async with opened(tmp_path) as journal:
        yield journal


async def test_the_answer_reaches_the_client_as_it_came(journal: Journal) -> None:
    """Clients would meet another API than the vendor's: other headers, other bytes."""
    async with submitting(journal, answering(TAKEN)) as relay:
        reply = await ask(relay.url, post(PATH, b"{}"))
        assert (reply.status, reply.body, reply.headers["x-trace"]) == (200, b'{"task_id":"t1"}', "a1")
        assert reply.headers["content-type"] == "application/json"
        assert "x-relay-recorded" not in reply.headers
        assert await relay.types() == ["t1 submitted"]
        assert relay.count("recorded") == 1


async def test_the_request_reaches_the_upstream_as_it_came_but_for_the_webhook(journal: Journal) -> None:
    """The upstream would generate something else than the client asked for."""
    body = b' {"request" : {"prompt":"\\u00e9 \xc3\xa9", "n": 1.50}} \n'
    async with submitting(journal, answering(TAKEN)) as relay:
        await ask(relay.url, post(PATH + "?a=%2F&b", body, "Authorization: Bearer k", "X-Novita-Source: js"))
        (call,) = relay.upstream.calls
        assert call.line == f"POST {PATH}?a=%2F&b HTTP/1.1"
        assert (call.header("authorization"), call.header("x-novita-source")) == ("Bearer k", "js")
        secret = call.body.partition(WEBHOOK.encode() + b"/")[2].partition(b'"')[0]
        inserted = b'"extra":{"webhook":{"url":"%b/%b"}},' % (WEBHOOK.encode(), secret)
        assert call.body == body.replace(b"{", b"{" + inserted, 1)
        assert call.header("content-length") == str(len(call.body))


@pytest.mark.parametrize(
    ("body", "header"),
    [
        (b'{"extra":{"webhook":{"url":"https://client.example/h"}}}', "X-A: b"),
        (b"not json", "X-A: b"),
        (b'{"prompt":"a"}', "Content-Encoding: gzip"),
        (b"", "X-A: b"),
    ],
)
async def test_what_must_stay_as_it_is_stays(journal: Journal, body: bytes, header: str) -> None:
    """A client's own webhook, or a body that the relay cannot read, would be changed."""
    async with submitting(journal, answering(TAKEN)) as relay:
        assert (await ask(relay.url, post(PATH, body, header))).status == 200
        assert relay.upstream.calls[0].body == body


async def test_without_an_address_of_its_own_the_relay_adds_nothing(journal: Journal) -> None:
    """The upstream would call an address that does not exist."""
    async with submitting(journal, answering(TAKEN), webhook=None) as relay:
        await ask(relay.url, post(PATH, b'{"prompt":"a"}'))
        assert relay.upstream.calls[0].body == b'{"prompt":"a"}'


async def test_the_answer_is_asked_for_in_a_form_that_can_be_read(journal: Journal) -> None:
    """A compressed answer would hide its task from the relay."""
    async with submitting(journal, answering(TAKEN)) as relay:
        await ask(relay.url, post(PATH, b"{}", "Accept-Encoding: gzip, br"))
        await ask(relay.url, get(RESULT, "Accept-Encoding: gzip, br"), "GET")
        assert [call.header("accept-encoding") for call in relay.upstream.calls] == ["identity", "identity"]


async def test_a_synchronous_answer_with_outputs_ends_its_task_at_once(journal: Journal) -> None:
    """The task would be polled for, although its client has everything already."""
    async with submitting(journal, answering(ok(FLUX))) as relay:
        assert (await ask(relay.url, post("/v3beta/flux-1-schnell", b"{}"))).body == FLUX
        assert await relay.types() == ["x7 submitted", "x7 succeeded"]


async def test_the_task_is_on_disk_before_the_client_hears_of_it(journal: Journal) -> None:
    """A crash right after the answer would lose a task that the client believes to be watched."""
    held: list[asyncio.Future[None]] = []
    append = journal.append

    def slow(draft: object) -> object:
        receipt = append(draft)  # type: ignore[arg-type]
        gate = asyncio.get_running_loop().create_future()
        held.append(gate)

        async def later() -> object:
            await gate
            return await receipt

        return asyncio.ensure_future(later())

    journal.append = slow  # type: ignore[assignment, method-assign]
    async with submitting(journal, answering(TAKEN)) as relay, wire(relay.url) as client:
        await client.send(post(PATH, b"{}"))
        await relay.until(lambda: held)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await client.reader.read(1)
        held[0].set_result(None)
        assert (await client.answer()).body == b'{"task_id":"t1"}'


@pytest.mark.parametrize(
    ("answer", "counted"),
    [
        (ok(PAGE, "Content-Type: text/html"), "unreadable"),
        (ok(b"[]"), "unreadable"),
        (ok(b""), "unreadable"),
        (ok(b'{"task_id":7}'), "unreadable"),
        (ok(b'{"task_id":"a b"}'), "unreadable"),
        (ok(b'{"image_file":"QUJD","image_type":"png"}'), "untracked"),
        (ok(b'{"code":429,"reason":"RATE_LIMIT_EXCEEDED"}', status="429 Too Many Requests"), "refused"),
        (ok(b"404 page not found", "Content-Type: text/plain", status="404 Not Found"), "refused"),
        (ok(PAGE, status="502 Bad Gateway"), "refused"),
        (ok(b'{"task_id":"t1"}', status="500 Internal Server Error"), "refused"),
        (ok(b"", "Location: https://elsewhere.example/", status="302 Found"), "refused"),
        (ok(b'{"task_id":"t1"}', status="300 Multiple Choices"), "refused"),
    ],
)
async def test_answers_without_a_task_pass_through_and_are_counted(
    journal: Journal, answer: bytes, counted: str
) -> None:
    """Rubbish from a gateway would become a task, or the client would not see what the upstream really said."""
    async with submitting(journal, answering(answer)) as relay:
        reply = await ask(relay.url, post(PATH, b"{}"))
        head, _, body = answer.partition(b"\r\n\r\n")
        assert (f"HTTP/1.1 {reply.status}".encode(), reply.body) == (head[:12], body)
        assert await relay.types() == []
        assert relay.count(counted) == 1


async def test_what_is_no_json_streams(journal: Journal) -> None:
    """Audio that is generated while it is heard would come at its end only."""
    more = asyncio.Event()

    async def script(call: Call) -> None:
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nContent-Length: 6\r\n\r\nabc")
        await more.wait()
        await call.send(b"def")

    async with submitting(journal, script) as relay, wire(relay.url) as client:
        await client.send(post("/v3/minimax-speech-02-hd", b"{}"))
        async with asyncio.timeout(5):
            assert (await client.reader.readuntil(b"abc")).startswith(b"HTTP/1.1 200 OK")
            more.set()
            assert await client.reader.readexactly(3) == b"def"


async def test_a_body_of_twenty_megabytes_goes_both_ways(journal: Journal) -> None:
    """Images in base64 would be cut, or refused."""
    image = b"QUJD" * (5 << 20)
    async with submitting(journal, answering(ok(b'{"image_file":"' + image + b'"}'))) as relay:
        body = b'{"image_file":"' + image + b'"}'
        reply = await ask(relay.url, chunked("/v3/cleanup", *[body[n : n + 65536] for n in range(0, len(body), 65536)]))
        assert reply.body == body
        sent = relay.upstream.calls[0].body
        secret = secret_of(bytes(20), Keys(bytes(32)))
        assert len(sent) == len(body) + len(f'"extra":{{"webhook":{{"url":"{WEBHOOK}/{secret}"}}}},')
        assert sent.endswith(body[1:])
        assert relay.proxy.bodies.inflight == 0


async def test_a_submission_counts_and_a_question_for_its_result_does_not(journal: Journal) -> None:
    """A client would get around its limit with tasks, or could not ask what became of them."""
    settings = ProxySettings.model_validate({"clients": {"web": {"key": "k" * 32, "requests_per_minute": 1}}})
    key = f"Authorization: Bearer {'k' * 32}"
    async with submitting(journal, answering(TAKEN), settings=settings) as relay:
        for _ in range(3):
            result = await ask(relay.url, get("/v3/async/task-result?task_id=t1", key), "GET")
            assert result.status == 200
        assert (await ask(relay.url, post("/v3/async/txt2img", b"{}", key))).status == 200
        refused = await ask(relay.url, post("/v3/async/txt2img", b"{}", key))
        assert (refused.status, refused.code) == (429, "rate_limited")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert len(relay.upstream.calls) == 4


async def test_a_body_over_the_limit_is_refused_before_anything_is_sent(journal: Journal) -> None:
    """The relay would run out of memory, or the upstream be paid for half an image."""
    limits = BodyLimits(max_body=1000, max_inflight_bytes=1500, timeout=5.0, section="proxy")
    async with submitting(journal, answering(TAKEN), limits=limits) as relay:
        reply = await ask(relay.url, post(PATH, b"x" * 1001))
        assert (reply.status, reply.code) == (413, "payload_too_large")
        assert relay.upstream.calls == []
        assert relay.count("rejected") == 1


async def test_an_upstream_that_cannot_be_reached_was_sent_nothing(journal: Journal) -> None:
    """A client would not know that it may submit again."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        async with submitting(journal, answering(TAKEN), base_url=url) as relay:
            reply = await ask(relay.url, post(PATH, b"{}"))
            assert (reply.status, reply.code) == (502, "upstream_unreachable")
            assert relay.count("unreachable") == 1


async def reset(call: Call) -> None:
    call.reset()


async def half(call: Call) -> None:
    await call.send(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"task_id":"t1"')
    call.reset()


async def rubbish(call: Call) -> None:
    await call.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")


async def silence(call: Call) -> None:
    await call.until_gone()


@pytest.mark.parametrize("script", [reset, half, rubbish, silence])
async def test_an_ambiguous_end_is_reported_as_such_and_nothing_is_sent_twice(
    journal: Journal, script: Callable[[Call], Awaitable[None]]
) -> None:
    """The client would submit again, and pay for two tasks; or the relay would do so by itself."""
    async with submitting(
        journal, script, timeouts=UpstreamSettings(connect_timeout=1.0, first_byte_timeout=0.3, idle_timeout=0.3)
    ) as relay:
        reply = await ask(relay.url, post(PATH, b"{}"))
        assert (reply.status, reply.code) == (502, "submission_outcome_unknown")
        assert reply.headers["x-should-retry"] == "false"
        assert "retry-after" not in reply.headers
        assert len(relay.upstream.calls) == 1
        assert relay.count("unknown") == 1


async def test_a_client_that_goes_loses_the_answer_and_not_the_task(journal: Journal) -> None:
    """A task that is paid for would run, and nobody would ever hear of its end."""
    go_on = asyncio.Event()

    async def script(call: Call) -> None:
        await go_on.wait()
        await call.send(TAKEN)

    async with submitting(journal, script) as relay:
        async with wire(relay.url) as client:
            await client.send(post(PATH, b"{}"))
            await relay.until(lambda: relay.upstream.calls)
        await relay.until(lambda: not relay.listener.server.connections)
        go_on.set()
        await relay.until(lambda: relay.count("recorded"))
        assert await relay.types() == ["t1 submitted"]


async def test_a_client_that_goes_before_its_body_is_whole_has_submitted_nothing(journal: Journal) -> None:
    """Half a request would be sent, and perhaps paid for."""
    async with submitting(journal, answering(TAKEN)) as relay:
        async with wire(relay.url) as client:
            await client.send(post(PATH, b"x" * 10_000)[:5000])
            await relay.until(lambda: relay.proxy.bodies.inflight)
        await relay.until(lambda: not relay.proxy.bodies.inflight)
        assert relay.upstream.calls == []


async def test_a_stop_waits_for_what_was_sent(journal: Journal) -> None:
    """A rolling update would forget the tasks whose answers are on their way."""
    go_on = asyncio.Event()

    async def script(call: Call) -> None:
        await go_on.wait()
        await call.send(TAKEN)

    async with submitting(journal, script) as relay, wire(relay.url) as client:
        await client.send(post(PATH, b"{}"))
        await relay.until(lambda: relay.upstream.calls)
        await relay.listener.stop(0.1)
        settling = asyncio.create_task(relay.submissions.finish(5.0))
        await asyncio.sleep(0)
        go_on.set()
        await settling
        assert await relay.types() == ["t1 submitted"]


async def test_a_stop_does_not_wait_forever(journal: Journal) -> None:
    """An upstream that hangs would keep the relay from ending."""
    async with (
        submitting(
            journal, silence, timeouts=UpstreamSettings(connect_timeout=5.0, first_byte_timeout=60.0, idle_timeout=60.0)
        ) as relay,
        wire(relay.url) as client,
    ):
        await client.send(post(PATH, b"{}"))
        await relay.until(lambda: relay.upstream.calls)
        await relay.listener.stop(0.05)
        await relay.submissions.finish(0.05)
        assert relay.count("unknown") == 1


async def test_a_client_that_does_not_read_holds_nothing_for_long(journal: Journal) -> None:
    """A few clients that hang would fill the memory with their images, forever."""
    image = b'{"image_file":"' + b"QUJD" * (5 << 20) + b'"}'
    async with submitting(journal, answering(ok(image)), idle_timeout=1.0) as relay, wire(relay.url) as client:
        await client.send(post("/v3/cleanup", b'{"a":"' + b"x" * (4 << 20) + b'"}'))
        await relay.until(lambda: relay.count("untracked"))
        assert relay.proxy.bodies.inflight == 0
        assert relay.proxy.answers.held > 4 << 20
        await relay.until(lambda: not relay.proxy.answers.held)


async def test_only_known_clients_submit_and_their_key_is_exchanged(journal: Journal) -> None:
    """Anybody could spend the operator's money, or learn the operator's key."""
    settings = ProxySettings.model_validate({"clients": {"web": {"key": "k" * 32}}})
    async with submitting(journal, answering(TAKEN), settings=settings, api_key="upstream-key") as relay:
        for header in ("X-A: b", "Authorization: Bearer wrong"):
            for request, method in ((post(PATH, b"{}", header), "POST"), (get(RESULT, header), "GET")):
                reply = await ask(relay.url, request, method)
                assert (reply.status, reply.code) == (401, "unauthorized")
        assert relay.upstream.calls == []
        await ask(relay.url, post(PATH, b"{}", f"Authorization: Bearer {'k' * 32}"))
        assert relay.upstream.calls[0].header("authorization") == "Bearer upstream-key"


@pytest.mark.parametrize(
    ("path", "body", "allowed"),
    [
        ("/v3/async/txt2img", b"{}", True),
        ("/v3/async/txt2img?x=1", b"{}", True),
        ("/v3beta/flux-1-schnell", b"{}", True),
        ("/v3/video/create", b'{"model":"wan-2.6"}', True),
        ("/v3/video/create", b'{"model":"txt2video"}', False),
        ("/v3/video/create", b"{}", False),
        ("/v3/async/txt2video", b'{"model":"txt2img"}', False),
        ("/v3/async/a%20b", b"{}", False),
    ],
)
async def test_a_client_that_may_use_some_models_makes_tasks_of_those_only(
    journal: Journal, path: str, body: bytes, allowed: bool
) -> None:
    """A client that was let in for one cheap model could have videos made."""
    models = ["txt2img", "flux-1-schnell", "wan-2.6"]
    settings = ProxySettings.model_validate({"clients": {"web": {"key": "k" * 32, "models": models}}})
    async with submitting(journal, answering(TAKEN), settings=settings) as relay:
        reply = await ask(relay.url, post(path, body, f"Authorization: Bearer {'k' * 32}"))
        assert reply.status == (200 if allowed else 403)
        assert allowed or reply.code == "model_not_allowed"
        assert len(relay.upstream.calls) == allowed


# -- results -----------------------------------------------------------------------------------------------------


async def test_the_end_that_a_client_sees_is_observed(journal: Journal) -> None:
    """A client would know the end of its task, and the consumers of its events would not."""
    async with submitting(journal, answering(ok(DONE))) as relay:
        replies = [await ask(relay.url, get(RESULT), "GET") for _ in range(3)]
        assert [(reply.status, reply.body) for reply in replies] == [(200, DONE)] * 3
        assert [call.line for call in relay.upstream.calls] == [f"GET {RESULT} HTTP/1.1"] * 3
        (event,) = await relay.events()
        assert (event["type"], event["data"]["observed_via"]) == ("relay.task.succeeded", "poll")


@pytest.mark.parametrize(
    "answer",
    [
        ok(b'{"task":{"task_id":"t1","status":"TASK_STATUS_PROCESSING"},"images":[]}'),
        ok(b'{"task":{"task_id":"t1","status":"TASK_STATUS_NEW"}}'),
        ok(b'{"code":404,"reason":"TASK_NOT_FOUND"}', status="404 Not Found"),
        ok(DONE, status="500 Internal Server Error"),
        ok(PAGE),
        ok(b"{"),
        ok(b'{"task":7}'),
    ],
)
async def test_what_is_no_end_passes_through_and_makes_nothing(journal: Journal, answer: bytes) -> None:
    """A task that runs would end, or a gateway's page become a dead letter at each poll of each client."""
    async with submitting(journal, answering(answer)) as relay:
        reply = await ask(relay.url, get(RESULT), "GET")
        assert answer.startswith(f"HTTP/1.1 {reply.status}".encode())
        assert reply.body == answer.partition(b"\r\n\r\n")[2]
        assert await relay.types() == []


async def test_a_result_that_cannot_be_fetched_is_reported_as_for_any_request(journal: Journal) -> None:
    """The answer to a client that polls would say not to ask again."""
    async with submitting(journal, reset) as relay:
        reply = await ask(relay.url, get(RESULT), "GET")
        assert (reply.status, reply.code) == (502, "upstream_reset")
    async with submitting(
        journal, silence, timeouts=UpstreamSettings(connect_timeout=1.0, first_byte_timeout=0.2, idle_timeout=0.2)
    ) as relay:
        reply = await ask(relay.url, get(RESULT), "GET")
        assert (reply.status, reply.code) == (504, "upstream_timeout")


async def test_a_bug_in_the_source_costs_no_client_its_answer(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One odd answer would be lost although it was paid for."""

    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    async with submitting(journal, answering(TAKEN)) as relay:
        monkeypatch.setattr(relay.submissions._source, "read_answer", broken, raising=False)
        monkeypatch.setattr(relay.submissions._source, "normalize", broken, raising=False)
        assert (await ask(relay.url, post(PATH, b"{}"))).body == b'{"task_id":"t1"}'
        assert (await ask(relay.url, get(RESULT), "GET")).body == b'{"task_id":"t1"}'
        assert relay.count("unreadable") == 1
        assert await relay.types() == []


async def test_answers_that_are_held_share_a_budget(journal: Journal) -> None:
    """A dozen images at once, of clients that do not read, would be all the memory there is."""
    image = b'{"image_file":"' + b"QUJD" * (5 << 20) + b'"}'
    async with submitting(journal, answering(ok(image)), idle_timeout=30.0) as relay, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(wire(relay.url)) for _ in range(8)]
        for client in clients:
            await client.send(post("/v3/cleanup", b"{}"))
        await relay.until(lambda: len(relay.upstream.calls) == 8)
        await relay.until(lambda: relay.count("untracked"))
        budget = relay.proxy.answers
        await relay.until(lambda: bool(budget._waiting))
        assert budget.held <= budget.size + len(image)
        assert relay.count("untracked") < 8, "those that do not fit wait"
        for reply in await asyncio.gather(*(client.answer() for client in clients)):
            assert reply.body == image
        assert relay.count("untracked") == 8
        await relay.until(lambda: not budget.held)


async def test_an_answer_of_white_space_is_looked_at_once(journal: Journal) -> None:
    """Each piece of it would have all of it looked through again: minutes, for a few megabytes."""
    async with submitting(journal, answering(ok(b" " * (8 << 20)))) as relay:
        started = time.thread_time()
        assert len((await ask(relay.url, post(PATH, b"{}"))).body) == 8 << 20
        assert time.thread_time() - started < 5
