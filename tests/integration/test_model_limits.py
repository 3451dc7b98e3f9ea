"""A client that may use some models only, and what it could try to use others. A whole relay, seen from outside."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.services.in_process import running
from tests.services.raw_http import ask, get, post
from tests.services.scripted_upstream import ScriptedUpstream, answering, ok, scripted

LIMITED, FREE = "key-of-the-limited-client-0123456789", "key-of-the-free-client-0123456789abc"
CHAT, TASKS = "/openai/v1/chat/completions", "/v3/async/cheap"


@asynccontextmanager
async def relayed(tmp_path: Path) -> AsyncIterator[tuple[str, ScriptedUpstream]]:
    clients = {"limited": {"key": LIMITED, "models": ["cheap"]}, "free": {"key": FREE}}
    async with scripted(answering(ok(b'{"ok":1}'))) as upstream:
        sections = {"upstream": {"base_url": upstream.url, "api_key": "the-key-of-the-upstream"}}
        async with running(tmp_path, proxy={"clients": clients}, **sections) as relay:
            yield relay.url, upstream


BODIES = [
    b'{"model":"cheap","Model":"costly"}',
    b'{"model":"cheap","model":"costly"}',
    b'{"model":"cheap","mod\\u0065l":"costly"}',
    b'{"MODEL":"costly","model":"cheap"}',
    b'{"model":["cheap"]}',
    b'{"model":[]}',
    b'{"model":{}}',
]


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("path", [CHAT, "/openai/v1/embeddings", "/v3/video/create"])
async def test_a_second_model_in_a_body_counts_too(tmp_path: Path, path: str, body: bytes) -> None:
    """The relay would check one model, and the upstream use the other."""
    async with relayed(tmp_path) as (url, upstream):
        answer = await ask(url, post(path, body, f"Authorization: Bearer {LIMITED}"))
        assert answer.status == 403
        assert b"model_not_allowed" in answer.body
        assert upstream.calls == []
        await ask(url, post(path, b'{"model":"cheap"}', f"Authorization: Bearer {LIMITED}"))
        assert len(upstream.calls) == 1


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "GET", "OPTIONS"])
async def test_below_v3_only_submissions_are_limited_and_only_they_pass(tmp_path: Path, method: str) -> None:
    """An endpoint that takes another method as well would make any model's tasks."""
    async with relayed(tmp_path) as (url, upstream):
        answer = await ask(url, post("/v3/async/costly", b"{}", f"Authorization: Bearer {LIMITED}", method=method))
        assert (answer.status, answer.code) == (403, "model_not_allowed")
        assert upstream.calls == []
        assert (await ask(url, post(TASKS, b"{}", f"Authorization: Bearer {LIMITED}"))).status == 200
        result = get("/v3/async/task-result?task_id=x", f"Authorization: Bearer {LIMITED}")
        assert (await ask(url, result, "GET")).status == 200
        answer = await ask(url, post("/v3/files/x", b"{}", f"Authorization: Bearer {FREE}", method="PUT"))
        assert answer.status == 200


ODD = ["/v3/../gpu-instance/x", "/v3/%2e%2e/x", "/openai/v1/%2e%2e%2f..%2fgpu", f"{CHAT}#x", "/v3/a/./b", "/v3/..%5cx"]


@pytest.mark.parametrize("target", ODD)
@pytest.mark.parametrize("key", [LIMITED, FREE])
async def test_a_target_that_leads_elsewhere_is_refused_for_all(tmp_path: Path, target: str, key: str) -> None:
    """Whatever else the upstream's account can do would be done with the key that the relay adds."""
    async with relayed(tmp_path) as (url, upstream):
        answer = await ask(url, post(target, b'{"model":"cheap"}', f"Authorization: Bearer {key}"))
        assert answer.status == 400
        assert b"bad_request" in answer.body
        assert upstream.calls == []


@pytest.mark.parametrize("method", ["TRACE", "CONNECT"])
@pytest.mark.parametrize("path", [CHAT, TASKS])
async def test_no_request_is_shown_as_the_upstream_got_it(tmp_path: Path, method: str, path: str) -> None:
    """The answer would hold the upstream's key."""
    async with relayed(tmp_path) as (url, upstream):
        answer = await ask(url, post(path, b"", f"Authorization: Bearer {FREE}", method=method))
        assert answer.status == 405
        assert answer.headers["allow"].startswith("GET, ")
        assert upstream.calls == []
