"""What is reported about a server that is not a registry, a registry that is away, or one that refuses access."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import typer
from aiohttp import web
from aiohttp.test_utils import RawTestServer

from relay.cli.register_schemas import OURS, Registry
from relay.core.errors import RelayError


@asynccontextmanager
async def answering(answer: Callable[[web.BaseRequest], web.Response]) -> AsyncIterator[str]:
    """A server that gives this answer to everything."""

    async def give(request: web.BaseRequest) -> web.Response:
        return answer(request)

    server = RawTestServer(give)
    await server.start_server()
    try:
        yield str(server.make_url(""))
    finally:
        await server.close()


async def refusal(registry: Registry) -> RelayError:
    """The error in which placing a schema ends."""
    with pytest.raises(RelayError) as caught:
        await asyncio.to_thread(registry.place, "relay.task", "{}", OURS, check=False)
    return caught.value


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("registry:8081", "must look like http://host:8081"),
        ("http://", "must look like"),
        ("http://host:port", "Port could not be cast"),
        ("http://host/?key=1", "must look like"),
        ("http://me:secret-word@host", "--password-file"),
    ],
)
def test_an_invalid_address_is_refused_at_once(url: str, said: str) -> None:
    """Somebody would look for the fault in the network, or leave a password in the list of processes."""
    with pytest.raises(typer.BadParameter, match=said) as caught:
        Registry(url)
    assert "secret-word" not in str(caught.value)


async def test_a_registry_that_is_away_is_reported() -> None:
    """A traceback would not show whether the relay itself is in danger."""
    error = await refusal(Registry("http://127.0.0.1:9"))
    assert (error.code, error.retriable) == ("registry_unreachable", True)
    assert "Connection refused" in error.message
    assert "nothing else of relay needs the registry" in error.hint


async def test_the_password_is_sent_and_its_refusal_reported() -> None:
    """A registry with accounts could not be used, or the password would show in an error."""
    seen = []

    def answer(request: web.BaseRequest) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.json_response({"error_code": 401, "message": "Unauthorized"}, status=401)

    async with answering(answer) as url:
        error = await refusal(Registry(url, "me", "secret-word"))
    assert seen == ["Basic bWU6c2VjcmV0LXdvcmQ="]
    assert error.code == "registry_forbidden"
    assert "--password-file" in error.hint
    assert "secret-word" not in error.message + error.hint


async def test_something_else_at_the_address_is_reported() -> None:
    """A page in HTML would end in a traceback."""
    async with answering(lambda _: web.Response(text="<html>hello</html>", status=404)) as url:
        error = await refusal(Registry(url))
    assert error.code == "not_a_registry"
    assert "answered 404" in error.message


async def test_what_the_registry_says_of_its_own_trouble_is_shown() -> None:
    """The operator would know only that it failed, not what to fix."""
    trouble = {"error_code": 50001, "message": "Error in the backend data store"}
    async with answering(lambda _: web.json_response(trouble, status=500)) as url:
        error = await refusal(Registry(url))
    assert (error.code, error.retriable) == ("registry_failed", True)
    assert "Error in the backend data store" in error.message
