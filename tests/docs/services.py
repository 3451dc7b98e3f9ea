"""What the pages need, for real: brokers with TLS, passwords, sentinels."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tests.docs.sandbox import FOLDER, TOKEN, answers
from tests.services.certificates import self_signed
from tests.services.egress_proxies import egress_proxy as running_proxy
from tests.services.guarded_kafka import AWS, guarded_kafka
from tests.services.kafka import START_TIMEOUT, BrokerFactory, Kafka, jars, secured
from tests.services.ports import free_port, free_port_with_bus
from tests.services.redis import RedisProcess, RedisServer, SentinelSet, until
from tests.services.valkey_install import valkey_server

Places = dict[str, str]
"""What stands in the page, and what is here; or a variable of the environment and its value."""

Start = Callable[[pytest.FixtureRequest, Path], Places]


def upstream(request: pytest.FixtureRequest, _folder: Path) -> Places:
    """A stand-in for the upstream that the configurations of the page do not name."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "relay", "simulate", "--port", str(port)], stdout=subprocess.DEVNULL
    )
    request.addfinalizer(process.wait)
    request.addfinalizer(process.terminate)
    asyncio.run(_until_listening(process, port))
    return {"RELAY_UPSTREAM__BASE_URL": f"http://127.0.0.1:{port}"}


async def _until_listening(process: subprocess.Popen[bytes], port: int) -> None:
    async with asyncio.timeout(START_TIMEOUT):
        while not await answers(port):
            assert process.poll() is None, "the simulator has ended"
            await asyncio.sleep(0.02)


def egress_proxy(request: pytest.FixtureRequest, folder: Path) -> Places:
    """A squid that wants a password, and behind it a stand-in for the upstream."""
    stack = ExitStack()
    request.addfinalizer(stack.close)
    proxy = stack.enter_context(running_proxy("squid"))
    base_url = upstream(request, folder)["RELAY_UPSTREAM__BASE_URL"].replace("127.0.0.1", "localhost")
    return {
        "RELAY_UPSTREAM__BASE_URL": base_url,
        "relay:<password>@proxy.example.com:3128": proxy.url().removeprefix("http://"),
        "proxy.example.com:3128": f"127.0.0.1:{proxy.port}",
    }


def kafka(request: pytest.FixtureRequest, _folder: Path) -> Places:
    """A Kafka that lets everybody in."""
    shared: Kafka = request.getfixturevalue("kafka")
    return {"localhost:9092": shared.bootstrap}


def kafka_tls_sasl(request: pytest.FixtureRequest, folder: Path) -> Places:
    """A Kafka that asks for a password over TLS, and lets a user do what the page's rules allow."""
    settings, cert = secured(folder / "tls", TOKEN)
    make: BrokerFactory = request.getfixturevalue("kafka_broker")
    broker = make(
        listeners={"AUTH": "SASL_SSL"},
        settings={
            **settings,
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",  # everyone who uses the other listener
        },
    )
    asyncio.run(broker.start())
    return {
        "kafka-acls.sh ": f"java -cp '{jars()}/*' org.apache.kafka.tools.AclCommand ",
        "kafka.example.com:9093 --command-config admin.properties": broker.bootstrap,
        "kafka.example.com:9093": broker.listener("AUTH"),
        "/etc/relay/tls/ca.pem": str(cert),
    }


def kafka_managed(request: pytest.FixtureRequest, folder: Path) -> Places:
    """One Kafka that checks logins as the providers of the page do, each at its own address."""
    stack = ExitStack()
    request.addfinalizer(stack.close)
    guarded = stack.enter_context(guarded_kafka(folder / "guarded", secret=TOKEN, password=TOKEN))
    variables: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    for name, value in {**AWS, "SSL_CERT_FILE": str(guarded.authority.cert)}.items():
        variables.setenv(name, value)
    token = folder / "token"
    token.write_text(guarded.provider.token())
    oauth, endpoint = guarded.broker.listener("OAUTH"), guarded.provider.token_endpoint
    return {
        "boot-abc12.c2.kafka-serverless.eu-west-1.amazonaws.com:9098": guarded.broker.listener("IAM"),
        "pkc-abc12.eu-west-1.aws.confluent.cloud:9092": oauth,
        "pkc-key12.eu-west-1.aws.confluent.cloud:9092": guarded.broker.listener("AUTH"),
        "example.servicebus.windows.net:9093": oauth,
        "bootstrap.example.eu-west1.managedkafka.my-project.cloud.goog:9092": oauth,
        "https://login.example.com/oauth2/token": endpoint,
        "https://login.microsoftonline.com/tenant-id/oauth2/v2.0/token": endpoint,
        "/run/secrets/kafka-token": str(token),
    }


def redis(request: pytest.FixtureRequest, _folder: Path) -> Places:
    """A Redis of the page's own."""
    make: RedisProcess = request.getfixturevalue("redis_process")
    server = make()
    asyncio.run(server.start())
    return {"redis://localhost:6379": f"redis://localhost:{server.port}", "redis-cli ": f"redis-cli -p {server.port} "}


def redis_sentinel(request: pytest.FixtureRequest, _folder: Path) -> Places:
    """A primary, a replica and one sentinel; the others that the page names do not answer."""
    servers: SentinelSet = request.getfixturevalue("redis_sentinel")
    return {
        "sentinel-1.example.com:26379": "127.0.0.1:1",
        "sentinel-2.example.com:26379": f"127.0.0.1:{servers.sentinel.port}",
        "sentinel-3.example.com:26379": "127.0.0.1:1",
        "mymaster": "relay",
    }


def redis_cluster(request: pytest.FixtureRequest, _folder: Path) -> Places:
    """Three primaries that share the slots."""
    nodes: list[RedisServer] = request.getfixturevalue("redis_cluster")
    return {f"node-{number}.example.com:6379": f"127.0.0.1:{node.port}" for number, node in enumerate(nodes, 1)}


def redis_tls(request: pytest.FixtureRequest, folder: Path) -> Places:
    """A Redis that speaks only TLS, and lets in the user that the page makes, with the rights that it names."""
    cert, key = self_signed(folder / "tls")
    make: RedisProcess = request.getfixturevalue("redis_process")
    port = make().port
    files = {"--tls-cert-file": cert, "--tls-key-file": key, "--tls-ca-cert-file": cert}
    options = [part for name, file in files.items() for part in (name, str(file))]
    rights = "~{relay}:* -@all +evalsha +script|load +type +time +hmget +hset +xadd +xtrim +select".split()
    users = ["--user", "relay", "on", f">{TOKEN}", *rights]
    server = make("--tls-port", str(port), *options, "--tls-auth-clients", "no", "--port", "0", *users, port=port)
    server.extra_cli = ("--tls", "--cacert", str(cert))
    asyncio.run(server.start())
    return {"redis.example.com:6380": f"127.0.0.1:{port}", "/etc/relay/tls/ca.pem": str(cert)}


def redis_managed(request: pytest.FixtureRequest, folder: Path) -> Places:
    """A Valkey cluster of one node with TLS and a user, and without the commands that managed services forbid."""
    cert, key = self_signed(folder / "tls")
    port = free_port_with_bus()
    files = {"--tls-cert-file": cert, "--tls-key-file": key, "--tls-ca-cert-file": cert}
    options = [part for name, file in files.items() for part in (name, str(file))]
    forbidden = [part for name in ("CONFIG", "DEBUG", "SHUTDOWN") for part in ("--rename-command", name, "")]
    rights = "~{relay}:* -@all +evalsha +script|load +type +time +hmget +hset +xadd +cluster|slots".split()
    server = RedisServer(
        folder / "managed",
        *("--tls-port", str(port), *options, "--tls-auth-clients", "no", "--port", "0"),
        *("--cluster-enabled", "yes", *forbidden, "--user", "relay", "on", f">{TOKEN}", *rights),
        port=port,
        program=valkey_server(),
    )
    request.addfinalizer(server.kill)
    server.extra_cli = ("--tls", "--cacert", str(cert))
    asyncio.run(server.start())
    server.cli("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
    asyncio.run(until(lambda: b"cluster_state:ok" in server.cli("CLUSTER", "INFO")))
    return {"redis.example.com:6379": f"localhost:{port}", "SSL_CERT_FILE": str(cert)}


def checkout(_request: pytest.FixtureRequest, folder: Path) -> Places:
    """The page's folder is a copy of what is checked out here, as far as its commands touch it."""
    left_out = shutil.ignore_patterns("node_modules", "__pycache__", "*.pyc")
    for name in ("relay", "tests"):
        shutil.copytree(ROOT / name, folder / FOLDER / name, ignore=left_out)
    shutil.copy(ROOT / "pyproject.toml", folder / FOLDER)
    return {}


SERVICES: dict[str, Start] = {
    "checkout": checkout,
    "upstream": upstream,
    "egress-proxy": egress_proxy,
    "kafka": kafka,
    "kafka-tls-sasl": kafka_tls_sasl,
    "kafka-managed": kafka_managed,
    "redis": redis,
    "redis-sentinel": redis_sentinel,
    "redis-cluster": redis_cluster,
    "redis-tls": redis_tls,
    "redis-managed": redis_managed,
}
