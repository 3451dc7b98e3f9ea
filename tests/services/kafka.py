"""A real Kafka on loopback: one broker for the whole run, and brokers that a test may kill, pause and restart.

``RELAY_TEST_KAFKA_VERSION`` picks the version (its jars come from Maven Central, once, into ``.cache/kafka``);
``RELAY_TEST_KAFKA=host:port`` makes ``kafka`` an existing one. ``python -m tests.services.kafka`` runs one until
Ctrl-C.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient

from tests.services.certificates import self_signed
from tests.services.kafka_install import VERSION, jars, java, kept
from tests.services.ports import free_port
from tests.services.programs import executable
from tests.setup.cache import locked

START_TIMEOUT = 150.0
CLI_TIMEOUT = 30.0
SETTLE_TIMEOUT = 15.0
_OPTIONS = ("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"
_FEW = {
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "1",
    "num.recovery.threads.per.data.dir": "1",
    "log.cleaner.dedupe.buffer.size": "2097152",
}
"""For a handful of clients. What a broker of many has takes a fifth more CPU to start, and 130 MB."""
_PROMPT = {"broker.session.timeout.ms": "1500", "broker.heartbeat.interval.ms": "300"}
"""A killed broker is back in 4.5 s instead of 13 s."""
_CALM = {"broker.session.timeout.ms": "6000", "broker.heartbeat.interval.ms": "1000"}
"""Of a broker that nobody kills: half of what an idle one computes is heartbeats."""
_RUN = "TEST_RUN_FOLDER"
"""The environment variable that names a folder which the processes of one run share."""
_prefixes = itertools.count(1)


@dataclass(frozen=True)
class Record:
    """One record as kcat saw it. A header without a value is ``None``."""

    key: bytes | None
    value: bytes | None
    headers: dict[str, str | None]
    partition: int
    offset: int


def kcat_read(
    bootstrap: str, topic: str, *, timeout: float = CLI_TIMEOUT, options: tuple[str, ...] = ()
) -> list[Record]:
    """All committed records of a topic, read by kcat, which shares no code with the relay; by partition and offset.

    None where there is no such topic. Bounded by ``timeout``, since ``kcat -e`` never ends on a topic that grows.
    Without ``options`` (a listener with TLS or SASL) it first waits until no transaction is open.
    """
    if not options:
        with ThreadPoolExecutor(1) as thread:  # the caller's thread may have an event loop running
            thread.submit(asyncio.run, _until_settled(bootstrap, topic)).result()
    command = [executable("kcat"), "-C", "-b", bootstrap, "-t", topic, "-o", "beginning", "-e", "-q", "-J", "-u"]
    settings = ("isolation.level=read_committed", "fetch.wait.max.ms=50", *options)
    for setting in settings:
        command += ["-X", setting]
    done = subprocess.run(command, timeout=timeout, capture_output=True, check=False)
    if b"Unknown topic or partition" in done.stderr:
        return []
    if done.returncode:
        raise RuntimeError(f"kcat: {done.stderr.decode(errors='replace')}")
    return sorted(map(_record, done.stdout.splitlines()), key=lambda record: (record.partition, record.offset))


async def _until_settled(bootstrap: str, topic: str) -> None:
    """Returns when the topic's partitions know how each transaction ended, or after ``SETTLE_TIMEOUT`` seconds.

    Kafka says "committed" before they do; a consumer that reads to the end and stops (``kcat -e``) would until then
    stop short of what was published.
    """
    # Looked at between the calls: aiokafka leaves a connection open where its start is cancelled.
    deadline = time.monotonic() + SETTLE_TIMEOUT
    if topic not in await _topics(bootstrap):  # asking for one that is not there would create it
        return
    while await _ends(bootstrap, topic, "read_committed") != await _ends(bootstrap, topic, "read_uncommitted"):
        if time.monotonic() > deadline:
            return
        await asyncio.sleep(0.02)


async def _topics(bootstrap: str) -> set[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        return set(await admin.list_topics())
    finally:
        await admin.close()


async def _ends(bootstrap: str, topic: str, isolation_level: str) -> dict[Any, int]:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, isolation_level=isolation_level, enable_auto_commit=False
    )
    try:
        await consumer.start()
        return dict(await consumer.end_offsets(consumer.assignment()))
    finally:
        await consumer.stop()


def _record(line: bytes) -> Record:
    seen = json.loads(line)
    names = seen.get("headers", [])
    return Record(
        None if seen["key"] is None else seen["key"].encode(),
        None if seen["payload"] is None else seen["payload"].encode(),
        dict(zip(names[::2], names[1::2], strict=True)),
        seen["partition"],
        seen["offset"],
    )


@dataclass(frozen=True)
class Kafka:
    """Where a Kafka is; ``topic_prefix()`` gives a namespace that no other test has."""

    bootstrap: str

    def topic_prefix(self) -> str:
        return f"t{os.getpid()}-{next(_prefixes)}."


@dataclass
class KafkaBroker:
    """A one-node KRaft broker, its data in ``directory``; ``extra`` are further listeners, name to protocol."""

    directory: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    listeners: Mapping[str, str] = field(default_factory=dict)
    version: str = VERSION
    process: subprocess.Popen[bytes] | None = None
    options: tuple[str, ...] = ()
    """Further ones of the JVM."""
    classpath: str = ""
    """What comes after Kafka's own jars."""

    def __post_init__(self) -> None:
        self.port, self._controller_port = free_port(), free_port()
        self.ports = {name: free_port() for name in self.listeners}

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    def listener(self, name: str) -> str:
        """The address of one of the further listeners."""
        return f"127.0.0.1:{self.ports[name]}"

    def join(self, other: KafkaBroker) -> None:
        """Be, from the first start on, a second broker of the cluster that ``other`` controls."""
        self.settings = {
            "process.roles": "broker",
            "node.id": "2",
            "controller.quorum.voters": f"1@127.0.0.1:{other._controller_port}",
            "listeners": f"PLAINTEXT://{self.bootstrap}",
            **self.settings,
        }

    async def start(self) -> None:
        """Start, for the first time or again on the same data, and wait until it answers."""
        self.launch()
        await asyncio.to_thread(self.wait_until_answering)

    def wait_until_answering(self) -> None:
        """Return once the broker answers kcat, or raise ``TimeoutError``."""
        deadline = time.monotonic() + START_TIMEOUT
        while not self._answers():
            if time.monotonic() > deadline:
                raise TimeoutError("the broker does not answer")
            time.sleep(0.02)

    def launch(self) -> None:
        """Start the process without waiting for it."""
        if not self._configuration.exists():
            self.configure()
            if self.settings.get("node.id", "1") == "1":
                shutil.copytree(_formatted(self.version), self.directory / "data")
            else:
                self.format()
        self.run_with(f"-XX:SharedArchiveFile={_classes(self.version)}", *self.options)

    def configure(self) -> None:
        """Write the configuration that ``format`` and ``run_with`` read."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._configuration.write_text("".join(f"{key}={value}\n" for key, value in self._properties().items()))

    def format(self) -> None:
        """Prepare the empty storage, as every broker's has to be before its first start."""
        self.run("kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", str(self._configuration))

    def run_with(self, *options: str) -> None:
        """Start the process on formatted storage, with further options of the JVM."""
        program = [java()[0], *_OPTIONS, *options, "-cp", f"{jars(self.version)}/*{self.classpath}", "kafka.Kafka"]
        with (self.directory / "output.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*program, str(self._configuration)], stdout=log, stderr=log, cwd=self.directory
            )

    @property
    def _configuration(self) -> Path:
        return self.directory / "server.properties"

    def run(self, *arguments: str) -> str:
        """Run one of Kafka's own programs, by its class. Raises ``RuntimeError`` with what it says if it fails."""
        command = [java()[0], "-XX:TieredStopAtLevel=1", "-cp", f"{jars(self.version)}/*", *arguments]
        done = subprocess.run(command, timeout=START_TIMEOUT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{arguments[0]}: {done.stdout}{done.stderr}")
        return done.stdout

    def _answers(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            raise RuntimeError(f"the broker has ended: {(self.directory / 'output.log').read_text()[-2000:]}")
        with socket.socket() as probe:  # a kcat that nobody answers waits for longer than a start takes
            if probe.connect_ex(("127.0.0.1", self.port)):
                return False
        command = [executable("kcat"), "-L", "-J", "-m", "2", "-b", self.bootstrap]
        done = subprocess.run(command, timeout=CLI_TIMEOUT, capture_output=True, check=False)
        return done.returncode == 0 and bool(json.loads(done.stdout)["brokers"])

    def kill(self) -> None:
        """``kill -9``, as a crash does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=START_TIMEOUT)
            self.process = None

    def pause(self) -> None:
        """SIGSTOP: connections stay, nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def _properties(self) -> dict[str, str]:
        controller = f"127.0.0.1:{self._controller_port}"
        addresses = {"PLAINTEXT": self.bootstrap, **{name: self.listener(name) for name in self.listeners}}
        public = ",".join(f"{name}://{address}" for name, address in addresses.items())
        protocols = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT", **self.listeners}
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"{public},CONTROLLER://{controller}",
            "advertised.listeners": public,
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": ",".join(f"{name}:{value}" for name, value in protocols.items()),
            "log.dirs": str(self.directory / "data"),
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            **_FEW,
            **_PROMPT,
            **self.settings,
        }


def _formatted(version: str) -> Path:
    """The storage of a first node as it is before its first start: a start of the JVM is saved by copying it."""

    def make(formatted: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="relay-kafka-") as directory:
            broker = KafkaBroker(Path(directory), version=version)
            broker.configure()
            broker.format()
            shutil.copytree(broker.directory / "data", formatted)

    return kept(version, "formatted", make)


def _classes(version: str) -> Path:
    """The classes that a broker needs, parsed and verified, with which it starts in half the time.

    The JVM writes them when it ends (class data sharing, https://openjdk.org/jeps/350), and starts without them where
    they do not fit. Those of a first start are enough.
    """

    def make(archive: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="relay-kafka-") as directory:
            broker = KafkaBroker(Path(directory), version=version)
            broker.configure()
            broker.format()
            broker.run_with(f"-XX:ArchiveClassesAtExit={archive}")
            try:
                broker.wait_until_answering()
                assert broker.process is not None
                broker.process.terminate()
                broker.process.wait(START_TIMEOUT)
            finally:
                broker.kill()
        archive.touch()  # a JVM that keeps no classes

    return kept(version, f"{java()[1]}.jsa", make)


def secured(folder: Path, password: str) -> tuple[dict[str, str], Path]:
    """Settings with which a listener ``AUTH`` lets the user ``relay`` in by TLS and PLAIN; and the certificate."""
    cert, key = self_signed(folder)
    both = folder / "both.pem"
    both.write_text(key.read_text() + cert.read_text())
    login = f"org.apache.kafka.common.security.plain.PlainLoginModule required user_relay='{password}';"
    settings = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(both),
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.auth.plain.sasl.jaas.config": login,
    }
    return settings, cert


BrokerFactory = Callable[..., KafkaBroker]


@contextlib.contextmanager
def running_broker(version: str = VERSION, parent: Path | None = None, **fields: Any) -> Iterator[KafkaBroker]:
    """A broker on a temporary folder (in ``parent``, else where those are), killed in the end; with further fields."""
    with tempfile.TemporaryDirectory(prefix="relay-kafka-", dir=parent) as directory:
        broker = KafkaBroker(Path(directory) / "broker", version=version, **fields)
        try:
            broker.launch()
            broker.wait_until_answering()
            yield broker
        finally:
            broker.kill()


_started: list[KafkaBroker] = []


def shared_kafka(version: str = VERSION) -> Kafka:
    """The broker of this test run, one per version: the process that needs it first starts it for all."""
    folder = Path(os.environ[_RUN]) / f"kafka-{version}"
    folder.mkdir(exist_ok=True)
    address = folder / "address"
    with locked(folder / "lock"):
        if not address.exists():
            broker = KafkaBroker(folder / "broker", _CALM, version=version)
            broker.launch()
            _started.append(broker)
            assert broker.process is not None
            (folder / "pid").write_text(str(broker.process.pid))
            broker.wait_until_answering()
            address.write_text(broker.bootstrap)
    return Kafka(address.read_text())


def pytest_configure(config: pytest.Config) -> None:
    """Makes the run's folder, unless this is one of the processes of a run."""
    if _RUN not in os.environ:
        os.environ[_RUN] = tempfile.mkdtemp(prefix="relay-run-")
        config.add_cleanup(_end_run)


def _end_run() -> None:
    """Ends the run's brokers, also after an interrupted run."""
    folder = Path(os.environ.pop(_RUN))
    for broker in _started:
        broker.kill()
    for pid in folder.glob("*/pid"):  # also those that forked processes have started, which are gone
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid.read_text()), signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def kafka() -> Kafka:
    """The run's Kafka: shared, so every test works under a prefix of its own and leaves the broker as it was."""
    where = os.environ.get("RELAY_TEST_KAFKA")
    return Kafka(where) if where else shared_kafka()


@pytest.fixture
async def kafka_broker(tmp_path: Path) -> AsyncIterator[BrokerFactory]:
    """Makes brokers of a test's own: ``kafka_broker(settings={...}, listeners={...})``, not yet started."""
    brokers: list[KafkaBroker] = []

    def make(
        settings: Mapping[str, str] = {}, listeners: Mapping[str, str] = {}, version: str = VERSION
    ) -> KafkaBroker:
        brokers.append(KafkaBroker(tmp_path / f"kafka-{len(brokers)}", settings, listeners, version))
        return brokers[-1]

    yield make
    for broker in brokers:
        broker.kill()


def _main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with running_broker() as broker:
        print(f"Kafka {VERSION} answers at {broker.bootstrap}. Ctrl-C ends it.")
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    _main()
