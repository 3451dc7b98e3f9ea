"""Who may use ``/v1``, and how its routes read parameters and fail."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import pytest
from aiohttp import web

from relay.core.errors import RelayError
from relay.edge.api.guard import ApiAuth, Route, json_response, whole_number
from relay.edge.http.auth import TokenSet
from relay.edge.http.problems import ProblemError
from relay.journal.errors import JournalBroken, JournalUnavailable
from tests.services.raw_http import ask, get
from tests.unit.edge.serving import api, routed

TOKENS = ["api-token-0123456789abcdef-old", "api-token-0123456789abcdef-new"]


async def fine(_: web.Request) -> web.StreamResponse:
    return json_response({"fine": True})


def guarded(tokens: list[str], *, on_loopback: bool = True, route: Route = fine) -> AbstractAsyncContextManager[str]:
    gate = ApiAuth(TokenSet(tokens), on_loopback=on_loopback, identity="relay-7")
    return routed([web.route("*", "/v1/thing", gate.guard(route))])


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
async def test_each_token_opens_the_api(token: str, scheme: str) -> None:
    """Clients would be locked out while tokens are rotated."""
    async with guarded(TOKENS, on_loopback=False) as url:
        assert (await ask(url, get("/v1/thing", f"Authorization: {scheme} {token}"))).json == {"fine": True}


@pytest.mark.parametrize(
    "headers",
    [
        [],
        ["Authorization: Bearer wrong"],
        [f"Authorization: Basic {TOKENS[0]}"],
        [f"Authorization: Bearer {TOKENS[0]} x"],
        ["Authorization: Bearer"],
        [f"X-Token: {TOKENS[0]}"],
    ],
)
async def test_without_a_token_the_api_stays_shut(headers: list[str]) -> None:
    """Strangers could read and delete what passes through the relay."""
    async with guarded(TOKENS) as url:
        reply = await ask(url, get("/v1/thing", *headers))
        assert (reply.status, reply.code) == (401, "unauthorized")
        assert reply.headers["www-authenticate"].startswith("Bearer")
        assert TOKENS[0].encode() not in reply.body


async def test_each_answer_says_which_relay_gave_it() -> None:
    """Behind a balancer nobody could tell whose journal a list is of; and strangers need not hear the name."""
    async with guarded(TOKENS) as url:
        answer = await ask(url, get("/v1/thing", f"Authorization: Bearer {TOKENS[0]}"))
        assert answer.headers["x-relay-identity"] == "relay-7"
        assert "x-relay-identity" not in (await ask(url, get("/v1/thing"))).headers


async def test_whether_a_request_may_still_pass_is_asked_of_the_present_tokens() -> None:
    """A stream that was begun with a token that is revoked now would go on, or a reload end all of them."""
    auth = ApiAuth(TokenSet(TOKENS), on_loopback=True)
    admitted = []

    async def asks(request: web.Request) -> web.StreamResponse:
        admitted.append(auth.admits(request))
        auth.tokens = TokenSet([TOKENS[1]])
        admitted.append(auth.admits(request))
        return await fine(request)

    async with routed([web.get("/v1/thing", asks)]) as url:
        await ask(url, get("/v1/thing", f"Authorization: Bearer {TOKENS[0]}"))
        await ask(url, get("/v1/thing", f"Authorization: Bearer {TOKENS[1]}"))
    assert admitted == [True, False, True, True]


async def test_a_client_is_known_by_its_token_and_without_tokens_by_its_address() -> None:
    """One program's streams would use up the places of all others, or its token be kept instead of a name."""
    auth = ApiAuth(TokenSet(TOKENS), on_loopback=True)
    clients = []

    async def asks(request: web.Request) -> web.StreamResponse:
        clients.append(auth.client_of(request))
        return await fine(request)

    async with routed([web.get("/v1/thing", asks)]) as url:
        for token in (TOKENS[0], TOKENS[0], TOKENS[1]):
            await ask(url, get("/v1/thing", f"Authorization: Bearer {token}"))
        auth.tokens = TokenSet([])
        await ask(url, get("/v1/thing", f"Authorization: Bearer {TOKENS[0]}"))
    first, same, other, peer = clients
    assert first == same != other
    assert peer == "127.0.0.1"
    assert not any(token in name for token in TOKENS for name in clients)


async def test_a_token_in_the_address_opens_nothing() -> None:
    """Addresses end up in the logs of everything on the way."""
    async with guarded(TOKENS) as url:
        assert (await ask(url, get(f"/v1/thing?access_token={TOKENS[0]}"))).status == 401


async def test_with_a_token_any_host_name_will_do() -> None:
    """The relay could not be used under its public name."""
    async with guarded(TOKENS) as url:
        headers = [f"Authorization: Bearer {TOKENS[0]}", "X-Forwarded-For: 203.0.113.9", "Origin: https://x.example"]
        assert (await ask(url, get("/v1/thing", *headers, host="relay.example.org"))).status == 200


async def test_off_loopback_nothing_goes_without_tokens() -> None:
    """A relay bound to a network would be open to all of it."""
    async with guarded([], on_loopback=False) as url:
        reply = await ask(url, get("/v1/thing"))
        assert (reply.status, reply.code) == (401, "unauthorized")
        assert "server.api_tokens" in reply.json["detail"]


@pytest.mark.parametrize(
    ("host", "headers", "code"),
    [
        ("127.0.0.1", [], None),
        ("localhost:8080", ["Origin: http://localhost:8080"], None),
        ("127.0.0.1", ["Origin: https://evil.example"], "forbidden_origin"),
        ("rebound.evil.example", [], "forbidden_origin"),
        ("rebound.evil.example:8080", ["Origin: http://rebound.evil.example:8080"], "forbidden_origin"),
        ("127.0.0.1", ["X-Forwarded-For: 203.0.113.9"], "forbidden_address"),
    ],
)
async def test_on_loopback_only_the_user_needs_no_token(host: str, headers: list[str], code: str | None) -> None:
    """A page in the user's browser could replay dead letters, or read every event by DNS rebinding."""
    async with guarded([]) as url:
        reply = await ask(url, get("/v1/thing", *headers, host=host, method="POST"))
        if code is None:
            assert reply.status == 200
            assert "access-control-allow-origin" not in reply.headers
        else:
            assert (reply.status, reply.code) == (403, code)


async def test_a_browsers_preflight_is_not_answered() -> None:
    """It would allow pages of other sites to DELETE."""

    async with api({"DELETE /v1/thing": fine}) as url:
        reply = await ask(url, get("/v1/thing", "Origin: https://evil.example", method="OPTIONS"))
        assert reply.code == "method_not_allowed"
        assert not [name for name in reply.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ProblemError("not_found", "No such thing."), 404, "not_found"),
        (JournalUnavailable("backlog_full", "m", hint="h"), 503, "backlog_full"),
        (JournalBroken("journal_broken", "/secret/path"), 503, "journal_unavailable"),
        (RelayError("upstream_unreachable", "It is down.", hint="Wait."), 502, "upstream_unreachable"),
        (RelayError("inner_code", "inner words"), 500, "internal"),
    ],
)
async def test_each_failure_is_a_problem(error: Exception, status: int, code: str) -> None:
    """Clients would get a page, and inner words that are not theirs."""

    async def fails(_: web.Request) -> web.StreamResponse:
        raise error

    async with guarded([], route=fails) as url:
        reply = await ask(url, get("/v1/thing"))
        assert (reply.status, reply.code) == (status, code)
        assert b"inner" not in reply.body
        assert b"/secret" not in reply.body


@pytest.mark.parametrize(("text", "number"), [(None, 7), ("1", 1), ("0010", 10), ("100", 100)])
def test_a_number_is_read(text: str | None, number: int) -> None:
    """A page size would be ignored."""
    assert whole_number(text, "limit", least=1, most=100, default=7) == number


@pytest.mark.parametrize(
    "text", ["", "0", "101", "-1", "+1", "1.0", " 1", "1e3", "abc", "٣", "²", "9" * 5000, "0x10", "\x00"]
)
def test_anything_else_is_refused(text: str) -> None:
    """A typing error would be answered with a page of another size, or with a 500."""
    with pytest.raises(ProblemError) as refused:
        whole_number(text, "limit", least=1, most=100, default=7)
    assert refused.value.answer.status == 400
    assert b"limit must be a whole number from 1 to 100" in refused.value.answer.body
