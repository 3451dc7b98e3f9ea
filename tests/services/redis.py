"""Real Redis servers on loopback: one shared by a session, and processes that a test may kill, pause and restart.

``RELAY_TEST_REDIS=redis://...`` makes ``redis_server`` an existing one. ``python -m tests.services.redis`` runs one
until Ctrl-C.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import os
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis

from tests.services.ports import free_port_with_bus
from tests.services.programs import executable
from tests.services.valkey_install import valkey_server

START_TIMEOUT = 60.0
CLI_TIMEOUT = 20.0

_prefixes = itertools.count(1)


def redis_cli(url_or_port: str | int, *args: str, extra: Sequence[str] = ()) -> bytes:
    """Run one command through redis-cli, which shares no code with the relay; the raw answer.

    Raises ``RuntimeError`` with Redis' own words if it answers an error.
    """
    where = ["-p", str(url_or_port)] if isinstance(url_or_port, int) else ["-u", url_or_port]
    command = [executable("redis-cli"), *where, "-e", *extra, *args]
    done = subprocess.run(command, timeout=CLI_TIMEOUT, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"redis-cli {args[0]}: {(done.stderr or done.stdout).decode(errors='replace')}")
    return done.stdout.removesuffix(b"\n")


# redis-cli has no output that keeps apart lines and bytes that contain line feeds; this makes one: every string as
# its length, a colon, its bytes, in the order id, number of fields, name, value, ...
_READ = """
local out = {}
local function put(value) out[#out + 1] = #value .. ':' .. value end
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', 200)) do
  put(entry[1])
  put(tostring(#entry[2]))
  for _, part in ipairs(entry[2]) do put(part) end
end
return table.concat(out)
"""


def redis_cli_read(url_or_port: str | int, key: str) -> list[tuple[str, dict[str, bytes]]]:
    """All entries of a stream, oldest first, read with redis-cli; survives any byte in names and values."""
    entries: list[tuple[str, dict[str, bytes]]] = []
    start = "-"
    while True:
        strings = _netstrings(redis_cli(url_or_port, "EVAL", _READ, "1", key, start, extra=("--raw",)))
        before = len(entries)
        for entry_id in strings:
            parts = [next(strings) for _ in range(int(next(strings)))]
            entries.append((entry_id.decode(), {n.decode(): v for n, v in zip(parts[::2], parts[1::2], strict=True)}))
        if len(entries) == before:
            return entries
        start = f"({entries[-1][0]}"


def _netstrings(raw: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(raw):
        colon = raw.index(b":", at)
        end = colon + 1 + int(raw[at:colon])
        yield raw[colon + 1 : end]
        at = end


@dataclass(frozen=True)
class Redis:
    """Where a Redis is; ``prefix()`` gives a namespace that no other test has."""

    url: str
    port: int

    def prefix(self) -> str:
        return f"{{relay-{os.getpid()}-{next(_prefixes)}}}:"


class RedisServer:
    """One redis-server (or Sentinel) process of a test, its data in ``directory``."""

    def __init__(self, directory: Path, *options: str, port: int | None = None, program: str = "redis-server") -> None:
        self.directory = directory
        self.program = program
        self.port = port or free_port_with_bus()
        self.options = options
        self.extra_cli: tuple[str, ...] = ()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def redis(self) -> Redis:
        return Redis(self.url, self.port)

    def command(self) -> list[str]:
        durable = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        here = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory)]
        return [executable(self.program), *here, *durable, *self.options]

    async def start(self) -> None:
        """Start, or start again on the same data; returns when it answers."""
        self.launch()
        async with asyncio.timeout(START_TIMEOUT):
            while not await asyncio.to_thread(self.answers):
                self.check_alive()
                await asyncio.sleep(0.02)

    def launch(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=self.directory)

    def answers(self) -> bool:
        try:
            return self.cli("PING") == b"PONG"
        except RuntimeError:
            return False

    def check_alive(self) -> None:
        assert self.process is not None
        if self.process.poll() is not None:
            raise RuntimeError(f"redis-server ended: {(self.directory / 'log').read_text()[-2000:]}")

    def cli(self, *args: str) -> bytes:
        return redis_cli(self.port, *args, extra=self.extra_cli)

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self._signal(signal.SIGKILL)
        self._reap()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it in an orderly way, by force if that takes longer than 2 s."""
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)
        self._reap()

    def _signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def _reap(self) -> None:
        if self.process is None:
            return
        try:
            self.process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(timeout=10)
        self.process = None


class SentinelServer(RedisServer):
    """One Sentinel that watches ``primary`` under the name ``relay`` with a quorum of 1."""

    def __init__(self, directory: Path, primary: RedisServer) -> None:
        super().__init__(directory, program=primary.program)
        self._primary = primary

    def command(self) -> list[str]:
        config = self.directory / "sentinel.conf"
        lines = [
            f"port {self.port}",
            "bind 127.0.0.1",
            f"sentinel monitor relay 127.0.0.1 {self._primary.port} 1",
            "sentinel down-after-milliseconds relay 500",
            "sentinel failover-timeout relay 3000",
        ]
        config.write_text("\n".join(lines) + "\n")
        return [executable(self.program), str(config), "--sentinel"]


@dataclass(frozen=True)
class SentinelSet:
    primary: RedisServer
    replica: RedisServer
    sentinel: SentinelServer

    async def fail_over(self) -> None:
        """Promotes the replica while the primary is well; returns when the Sentinel says so.

        It gives up what takes longer than ``failover-timeout`` (``-failover-abort-slave-timeout``), and does not begin
        again: the primary is well. And a Sentinel that stood still for 2 s does nothing for 30 (TILT).
        """
        await until(self._failed_over, within=90)

    def _failed_over(self) -> bool:
        named = self.sentinel.cli("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "relay")
        if named == f"127.0.0.1\n{self.replica.port}".encode():
            return True
        try:
            self.sentinel.cli("SENTINEL", "FAILOVER", "relay")
        except RuntimeError as error:
            # It is under way, or the Sentinel has not heard from the replica yet, or not for a while.
            if not any(code in str(error) for code in ("INPROG", "NOGOODSLAVE")):
                raise
        return False


RedisProcess = Callable[..., RedisServer]


async def until(condition: Callable[[], bool], *, within: float = START_TIMEOUT) -> None:
    """Wait for a condition that another process brings about."""
    async with asyncio.timeout(within):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.05)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """One Redis for the whole session, every write fsynced. Tests keep apart by ``prefix()``."""
    if url := os.environ.get("RELAY_TEST_REDIS"):
        yield Redis(url, urlsplit(url).port or 6379)
        return
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    asyncio.run(server.start())
    yield server.redis
    server.kill()


ON_BOTH = pytest.mark.parametrize("server", ["redis", pytest.param("valkey", marks=pytest.mark.matrix)])
"""For rows whose servers are those of ``redis_process``."""


@pytest.fixture
def redis_process(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[RedisProcess]:
    """A factory of a test's own Redis processes, not yet started; all are gone when the test ends.

    With the parameter ``server="valkey"`` they are Valkey's.
    """
    made: list[RedisServer] = []
    parameters = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    program = valkey_server() if parameters.get("server") == "valkey" else "redis-server"

    def make(*options: str, port: int | None = None) -> RedisServer:
        made.append(RedisServer(tmp_path / f"redis-{len(made)}", *options, port=port, program=program))
        return made[-1]

    yield make
    for server in made:
        server.kill()


CLUSTERED = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")


@pytest.fixture
async def redis_cluster(redis_process: RedisProcess) -> list[RedisServer]:
    """Three primaries that share the slots."""
    nodes = [redis_process(*CLUSTERED) for _ in range(3)]
    await asyncio.gather(*(node.start() for node in nodes))
    addresses = [f"127.0.0.1:{node.port}" for node in nodes]
    create = functools.partial(redis_cli, nodes[0].port, "--cluster", "create", *addresses, "--cluster-yes")
    await asyncio.to_thread(create)
    await until(lambda: all(b"cluster_state:ok" in node.cli("CLUSTER", "INFO") for node in nodes))
    return nodes


def owner_of(key: str, nodes: Sequence[RedisServer]) -> RedisServer:
    """The node of a cluster that serves the key's slot."""
    return next(node for node in nodes if _owns(node, key))


def _owns(node: RedisServer, key: str) -> bool:
    try:
        node.cli("EXISTS", key)
    except RuntimeError as error:
        if "MOVED" not in str(error):
            raise
        return False
    return True


def begin_move(slot: str, owner: RedisServer, target: RedisServer) -> None:
    """From here on the owner redirects clients to the target for keys that it does not have.

    https://redis.io/docs/latest/commands/cluster-setslot/
    """
    target.cli("CLUSTER", "SETSLOT", slot, "IMPORTING", owner.cli("CLUSTER", "MYID").decode())
    owner.cli("CLUSTER", "SETSLOT", slot, "MIGRATING", target.cli("CLUSTER", "MYID").decode())


def move_keys(slot: str, owner: RedisServer, target: RedisServer, count: int = 1000) -> int:
    """Moves so many keys of a slot that is moving; how many there were."""
    with redis.Redis(port=owner.port) as client:  # redis-cli cannot say the names of keys that are no text
        keys = client.execute_command("CLUSTER", "GETKEYSINSLOT", slot, count)
        if keys:
            client.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
    return len(keys)


def finish_move(slot: str, owner: RedisServer, target: RedisServer, nodes: Sequence[RedisServer]) -> None:
    """Moves the keys that are left, and lets all nodes know the new owner."""
    while move_keys(slot, owner, target):
        pass
    for node in (target, owner, *nodes):
        node.cli("CLUSTER", "SETSLOT", slot, "NODE", target.cli("CLUSTER", "MYID").decode())


async def add_replica(replica: RedisServer, primary: RedisServer) -> None:
    """A node of its own joins the cluster as a copy of one of its primaries; returns when it has caught up."""
    await replica.start()
    replica.cli("CLUSTER", "MEET", "127.0.0.1", str(primary.port))
    of = primary.cli("CLUSTER", "MYID")
    await until(lambda: of in replica.cli("CLUSTER", "NODES"))
    replica.cli("CLUSTER", "REPLICATE", of.decode())
    await until(lambda: b"master_link_status:up" in replica.cli("INFO", "replication"))


STUBBORN = ("--rename-command", "REPLICAOF", "", "--rename-command", "SLAVEOF", "")
"""Of a primary that no Sentinel can demote, as if it were cut off from them: it lives on beside its successor."""


@pytest.fixture
async def redis_sentinel(
    redis_process: RedisProcess, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[SentinelSet]:
    """A primary, its replica, and a Sentinel that promotes the replica about 2 s after the primary is gone.

    By parameter, further options of the primary.
    """
    primary = redis_process("--repl-diskless-sync-delay", "0", *getattr(request, "param", ()))
    replica = redis_process("--replicaof", "127.0.0.1", str(primary.port))
    sentinel = SentinelServer(tmp_path / "sentinel", primary)
    try:
        await primary.start()
        await replica.start()
        await until(lambda: b"master_link_status:up" in replica.cli("INFO", "replication"))
        await sentinel.start()
        await until(lambda: b"slaves=1" in sentinel.cli("INFO", "sentinel"))
        yield SentinelSet(primary, replica, sentinel)
    finally:
        sentinel.kill()


async def _run_until_interrupted() -> None:
    with tempfile.TemporaryDirectory() as directory:
        server = RedisServer(Path(directory))
        await server.start()
        print(f"{server.url}  (Ctrl-C ends it)", flush=True)
        try:
            await asyncio.Event().wait()
        finally:
            server.stop()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run_until_interrupted())
