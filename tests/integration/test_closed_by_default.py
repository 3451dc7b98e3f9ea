"""What strangers, and the web pages that a user has open, cannot do to a relay as it comes. Seen from outside."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services.in_process import running
from tests.services.raw_http import ask, get, post
from tests.services.scripted_upstream import answering, ok, scripted

CHAT = "/openai/v1/chat/completions"
ASKED = b'{"model":"m","messages":[]}'
PUBLIC = {"public_url": "https://relay.example:8443"}
TOKENS = {"api_tokens": ["an-api-token-0123456789abcdef"]}


@pytest.mark.parametrize(
    ("server", "code"),
    [
        (PUBLIC, 78),
        (PUBLIC | TOKENS, 0),
        ({"public_url": "http://127.0.0.1:8080"}, 0),
        ({"public_url": "http://localhost:8080"}, 0),
        ({"public_url": "http://10.0.0.1:8080"}, 78),
    ],
)
def test_a_relay_that_others_reach_asks_for_a_token(tmp_path: Path, server: dict[str, object], code: int) -> None:
    """A plain proxy makes the world look local: prompts and outputs would be there for everybody, and DELETE."""
    config = tmp_path / "relay.yaml"
    config.write_text(json.dumps({"server": server, "webhooks": {"novita": {"tokens": ["t" * 32]}}}))
    command = [sys.executable, "-m", "relay", "check", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == code, done.stderr
    if code:
        assert "server.api_tokens" in done.stdout + done.stderr
        assert "openssl rand -hex 32" in done.stdout + done.stderr


FOREIGN = [
    ("127.0.0.1", "Origin: https://evil.example"),
    ("127.0.0.1", "Origin: null"),
    ("127.0.0.1", "Origin: http://localhost:9999"),
    ("evil.example", "X-A: b"),
    ("evil.example:8080", "Origin: http://evil.example:8080"),
]


@pytest.mark.parametrize(("host", "header"), FOREIGN)
@pytest.mark.parametrize("request_line", [("POST", CHAT), ("POST", "/v3/async/txt2img"), ("GET", "/openai/v1/models")])
async def test_a_web_page_of_another_site_reaches_no_upstream(
    tmp_path: Path, host: str, header: str, request_line: tuple[str, str]
) -> None:
    """Any page that a user opens could write chats and tasks into the relay on that machine."""
    method, path = request_line
    async with scripted(answering(ok())) as upstream, running(tmp_path, upstream={"base_url": upstream.url}) as relay:
        answer = await ask(relay.url, post(path, ASKED, header, host=host, method=method), method)
        assert answer.status == 403
        assert b"forbidden_origin" in answer.body
        assert upstream.calls == []
        assert await relay.journal.events.read(0, 10) == []


async def test_a_page_of_its_own_and_programs_do(tmp_path: Path) -> None:
    """Clients that work today would be locked out."""
    sections = {"server": {"port": 0, **PUBLIC, **TOKENS}}
    async with (
        scripted(answering(ok())) as upstream,
        running(tmp_path, upstream={"base_url": upstream.url}, **sections) as relay,
    ):
        own, public = relay.url.removeprefix("http://"), "relay.example:8443"
        for host, headers in (
            (own, ()),
            (own, (f"Origin: {relay.url}",)),
            (public, ()),
            (public, ("Origin: https://relay.example:8443",)),
        ):
            assert (await ask(relay.url, post(CHAT, ASKED, *headers, host=host))).status == 200
        foreign = post(CHAT, ASKED, "Origin: https://evil.example", host=public)
        assert (await ask(relay.url, foreign)).status == 403


async def test_where_a_key_is_asked_for_the_page_does_not_matter(tmp_path: Path) -> None:
    """An application in a browser that has a key of its own would be locked out."""
    key = "client-key-of-enough-length-0123456789"
    sections = {"proxy": {"clients": {"web": {"key": key}}}}
    async with (
        scripted(answering(ok())) as upstream,
        running(tmp_path, upstream={"base_url": upstream.url}, **sections) as relay,
    ):
        headers = ("Origin: https://app.example", f"Authorization: Bearer {key}")
        assert (await ask(relay.url, post(CHAT, ASKED, *headers))).status == 200
        assert (await ask(relay.url, post(CHAT, ASKED, headers[0]))).status == 401


async def test_metrics_are_not_for_web_pages(tmp_path: Path) -> None:
    """A page could read which models and clients are in use, by a name of its own that leads to this machine."""
    async with running(tmp_path) as relay:
        for host, status in (("evil.example", 403), ("localhost:9090", 200), ("127.0.0.1", 200), ("[::1]:9090", 200)):
            assert (await ask(relay.admin_url, get("/metrics", host=host), "GET")).status == status
        assert (await ask(relay.admin_url, get("/livez", host="evil.example"), "GET")).status == 200
