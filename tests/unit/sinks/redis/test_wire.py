"""What the Redis sink calls the failures of its connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from redis.exceptions import AuthenticationError, InvalidResponse, OutOfMemoryError, RedisError, ResponseError
from redis.exceptions import ConnectionError as LinkError
from redis.exceptions import TimeoutError as LinkTimeout

from relay.core.sink import SinkUnavailable
from relay.sinks.redis.config import Endpoints, Node
from relay.sinks.redis.wire import Wire, _connection, dial, failure

NODE = Node("127.0.0.1", 6379)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OutOfMemoryError("command not allowed", status_code="OOM"), "out_of_memory"),
        (ResponseError("NOREPLICAS Not enough good replicas to write."), "too_few_replicas"),
        (ResponseError("MISCONF Redis is configured to save RDB snapshots"), "persistence_failed"),
        (ResponseError("The user executing the script can't run this command or subcommand"), "forbidden"),
        (ResponseError("ACL failure in script: User relay has no permissions to run the 'get' command"), "forbidden"),
        (ResponseError("unknown command 'EVALSHA', with args beginning with: "), "forbidden"),
        (ResponseError("something nobody has seen before"), "rejected"),
        (AuthenticationError("invalid username-password pair", status_code="WRONGPASS"), "auth_failed"),
        (LinkTimeout("Timeout reading from socket"), "timeout"),
        (TimeoutError(), "timeout"),
        (LinkError("Connection closed by server."), "unreachable"),
        (OSError(111, "refused"), "unreachable"),
        (InvalidResponse('Protocol error, got "<" as reply type byte'), "not_redis"),
    ],
)
def test_errors_have_bounded_codes(error: RedisError | OSError, code: str) -> None:
    """An operator could not distinguish a full Redis from a dead one, nor could an alert count them."""
    made = failure(error, NODE)
    assert (made.code, made.retriable) == (code, True)
    assert "127.0.0.1:6379" in made.message


def test_arguments_echoed_by_redis_are_not_repeated() -> None:
    """Else a server without AUTH, which quotes what it does not know, would put the password into the log."""
    error = ResponseError("unknown command 'AUTH', with args beginning with: 'hunter2' ")
    assert "hunter2" not in str(failure(error, NODE))


def test_where_a_script_failed_is_left_out() -> None:
    """Else the command that a user may not run would be hidden behind numbers that say nothing to an operator."""
    denied = "ACL failure in script: User relay has no permissions to run the 'get' command"
    error = ResponseError(f"{denied} script: {'0a' * 20}, on @user_script:60.")
    assert failure(error, NODE).message == f"Redis {NODE} refused: NOPERM {denied}."


@pytest.mark.parametrize("node", [NODE, Node("/run/redis.sock", 0)])
@pytest.mark.parametrize("tls", [None, {}])
def test_trap_g_the_client_never_sends_again_by_itself(node: Node, tls: dict[str, str] | None) -> None:
    """TRAP G. Else redis-py would send a command ten times whose answer got lost, without telling anybody."""
    made = _connection(node, Endpoints((node,), 1.0, 1.0, tls=tls), {})
    assert made.retry.get_retries() == 0
    assert not made.retry_on_error


@pytest.mark.parametrize(
    ("node", "shown"),
    [(Node("h", 1), "h:1"), (Node("::1", 1), "[::1]:1"), (Node("/run/redis.sock", 0), "/run/redis.sock")],
)
def test_an_address_is_shown_as_it_is_written(node: Node, shown: str) -> None:
    """Else an operator would look for a server at an address that there is not."""
    assert str(node) == shown


def test_the_hint_names_the_rights_of_who_asked() -> None:
    """Else the user of the index or of the Sentinels would be given the rights of another one."""
    assert failure(ResponseError("NOPERM no"), NODE, "these").hint == "these"
    assert failure(ResponseError("READONLY no"), NODE, "these").hint != "these"


@pytest.mark.parametrize(
    ("end", "unsent", "seen"),
    [
        pytest.param(Wire.abort, 16 << 20, "reset", id="given up in the middle"),
        pytest.param(Wire.abort, 0, "reset", id="given up"),
        pytest.param(Wire.close, 0, "closed", id="closed"),
        pytest.param(Wire.close, 16 << 20, "reset", id="closed beside a server that does not read"),
    ],
)
async def test_what_was_given_up_is_not_sent_after_all(
    monkeypatch: pytest.MonkeyPatch, end: Callable[[Wire], Awaitable[None] | None], unsent: int, seen: str
) -> None:
    """TRAP G. Else a batch that was given up would be delivered after the one that was sent in its place."""
    monkeypatch.setattr("relay.sinks.redis.wire.CLOSE_TIMEOUT", 0.05 if unsent else 5.0)
    ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    given_up = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        how = "closed"
        try:
            while commands := await reader.read(65536):
                if b"xx" in commands:
                    await given_up.wait()
                writer.write(b"+OK\r\n" * commands.count(b"*"))
        except ConnectionResetError:
            how = "reset"
        ended.set_result(how)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server, asyncio.timeout(10):
        node = Node(*server.sockets[0].getsockname())
        made = await dial(node, Endpoints((node,), 1.0, 1.0), {})
        made._transport.write(b"x" * unsent)
        assert bool(made._transport.get_write_buffer_size()) is bool(unsent)
        if (ending := end(made)) is not None:
            await ending
        assert not made._transport.get_write_buffer_size()
        given_up.set()
        assert await ended == seen


async def test_trap_g_a_connection_that_was_given_up_is_not_opened_again_by_itself() -> None:
    """TRAP G. Else redis-py would connect again under a command, past the claim and to whatever server is there now."""
    connections: list[asyncio.StreamWriter] = []
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        with suppress(ConnectionResetError):
            while commands := await reader.read(65536):
                writer.write(b"+OK\r\n" * commands.count(b"*"))
        writer.close()
        gone.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server, asyncio.timeout(5):
        node = Node(*server.sockets[0].getsockname())
        made = await dial(node, Endpoints((node,), 1.0, 1.0), {})
        made.abort()
        with pytest.raises(SinkUnavailable) as refused:
            await made.call("PING")
        await gone.wait()
    assert (refused.value.code, len(connections)) == ("unreachable", 1)


@pytest.mark.parametrize(("tls", "code"), [(None, "timeout"), ({}, "tls_failed")])
async def test_a_server_that_says_nothing_is_given_up_under_the_right_name(
    tls: dict[str, str] | None, code: str
) -> None:
    """Else a frozen Redis would be reported as a wrong port, or a port without TLS as a slow server."""
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionResetError):
            await reader.read(-1)
        gone.set()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server, asyncio.timeout(5):
        node = Node(*server.sockets[0].getsockname())
        with pytest.raises(SinkUnavailable) as refused:
            await dial(node, Endpoints((node,), 0.05, 0.05, tls=tls), {"password": "secret"})
        await gone.wait()
    assert refused.value.code == code


async def test_a_caller_that_gives_up_while_a_connection_is_made_has_none() -> None:
    """Else a stop during the login would be lost, and the relay go on."""
    begun, gone = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun.set()
        with suppress(ConnectionResetError):
            await reader.read(-1)
        writer.close()
        gone.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server, asyncio.timeout(5):
        node = Node(*server.sockets[0].getsockname())
        dialling = asyncio.create_task(dial(node, Endpoints((node,), 5.0, 5.0), {"password": "secret"}))
        await begun.wait()
        dialling.cancel()
        await asyncio.wait([dialling])  # awaited itself, it would be cancelled by the time-out of this test, too
        assert dialling.cancelled()
        await gone.wait()
