"""``helm test``: the pod that it makes, and that its script is red and green when it should be."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from deploy.tests.manifests import VALUE_SETS, Manifest, name_of, of_kind, rendered, rendered_with
from tests.services.certificates import self_signed
from tests.services.ports import free_port
from tests.services.redis import Redis, redis_cli_read
from tests.services.relay import TOKEN, RelayProcess

API_TOKEN = "api-token-of-enough-length-012345"
each_value_set = pytest.mark.parametrize("values", VALUE_SETS, ids=name_of)


def pod_of(manifests: list[Manifest]) -> Manifest:
    (pod,) = of_kind(manifests, "Pod")
    return pod


@each_value_set
def test_nothing_takes_the_pod_for_a_replica(values: Path | None) -> None:
    """The Services would send webhooks to it, and the disruption budget would count it among the replicas."""
    manifests = rendered(values)
    labels = pod_of(manifests)["metadata"]["labels"].items()
    selectors = [m["spec"]["selector"] for m in of_kind(manifests, "Service")]
    selectors += [m["spec"]["podSelector"]["matchLabels"] for m in of_kind(manifests, "NetworkPolicy")]
    for kind in ("StatefulSet", "PodDisruptionBudget", "PodMonitor"):
        selectors += [m["spec"]["selector"]["matchLabels"] for m in of_kind(manifests, kind)]
    assert len(selectors) >= 3
    assert not [selector for selector in selectors if selector.items() <= labels]


@each_value_set
def test_its_log_can_be_read_afterwards(values: Path | None) -> None:
    """`helm test --logs` would fail: it reads the log of each hook, even of one that is not a pod or is gone."""
    hooks = [m for m in rendered(values) if "helm.sh/hook" in m["metadata"].get("annotations", {})]
    assert [hook["kind"] for hook in hooks] == ["Pod"]
    assert hooks[0]["metadata"]["annotations"]["helm.sh/hook-delete-policy"] == "before-hook-creation"


def test_a_policy_that_names_senders_lets_it_in(tmp_path: Path) -> None:
    """`helm test` would be red on every installation that is careful about who may send."""
    manifests = rendered_with(tmp_path, networkPolicy={"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]})
    (policy,) = of_kind(manifests, "NetworkPolicy")
    main = next(rule for rule in policy["spec"]["ingress"] if rule["ports"][0]["port"] == "http")
    selectors = [peer["podSelector"]["matchLabels"] for peer in main["from"] if "podSelector" in peer]
    assert len(main["from"]) == 2
    labels = pod_of(manifests)["metadata"]["labels"].items()
    assert [selector for selector in selectors if selector.items() <= labels]


def test_it_knows_how_the_listener_is_reached(tmp_path: Path) -> None:
    """`helm test` would be red on every installation with TLS, or behind a proxy that says for whom it connects."""
    volumes = {"extraVolumes": [{"name": "tls", "secret": {"secretName": "relay-tls"}}]}
    mounts = {"extraVolumeMounts": [{"name": "tls", "mountPath": "/etc/relay/tls"}]}
    tls = {"cert_file": "/etc/relay/tls/tls.crt", "key_file": "/etc/relay/tls/tls.key"}
    server = {"tls": tls, "proxy_protocol": True, "trusted_proxies": ["10.0.0.0/8"]}
    pod = pod_of(rendered_with(tmp_path, config={"server": server}, **volumes, **mounts))["spec"]
    environment = {each["name"]: each["value"] for each in pod["containers"][0]["env"]}
    assert (environment["TLS_CERT_FILE"], environment["PROXY_PROTOCOL"]) == ("/etc/relay/tls/tls.crt", "1")
    assert [pod["volumes"], pod["containers"][0]["volumeMounts"]] == [*volumes.values(), *mounts.values()]
    plain = pod_of(rendered())["spec"]["containers"][0]["env"]
    assert {each["name"] for each in plain} == {"WEBHOOK_TOKEN_FILE", "API_TOKEN_FILE"}


# -- the script ------------------------------------------------------------------------------------------------------


class Script:
    """The pod's script with the tokens of a relay."""

    def __init__(self, folder: Path) -> None:
        container = pod_of(rendered())["spec"]["containers"][0]
        assert container["command"] == ["python", "-c"]
        self.code = container["args"][0]
        (folder / "webhook").write_text(TOKEN + "\n")
        (folder / "api").write_text(API_TOKEN + "\n")
        self.tokens = {"WEBHOOK_TOKEN_FILE": str(folder / "webhook"), "API_TOKEN_FILE": str(folder / "api")}

    async def run(self, relay: RelayProcess, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", self.code, relay.url]
        env = {**self.tokens, "TIMEOUT_SECONDS": "20", **environment}
        options: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 60, "check": False}
        return await asyncio.to_thread(subprocess.run, command, env=env, **options)


@pytest.fixture
async def script(tmp_path: Path) -> Script:
    return Script(tmp_path)


@pytest.fixture
async def relay(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[RelayProcess]:
    """A relay with the sinks that the test names."""
    sinks = getattr(request, "param", [])
    process = RelayProcess(tmp_path / "relay", sinks=sinks, server={"api_tokens": [API_TOKEN]})
    await process.start()
    yield process
    await process.stop()


async def test_it_passes_once_the_event_is_on_the_sink(script: Script, redis_server: Redis, tmp_path: Path) -> None:
    """`helm test` would be red on a relay that is fine, or green before an event is where consumers read it."""
    sink = {"type": "redis", "url": redis_server.url, "prefix": "{helm-test}:"}
    relay = RelayProcess(tmp_path / "relay", sinks=[sink], server={"api_tokens": [API_TOKEN]})
    await relay.start()
    try:
        passed = await script.run(relay)
        assert passed.returncode == 0, passed.stderr
        published = redis_cli_read(redis_server.url, "{helm-test}:tasks")
        assert [fields["type"] for _, fields in published] == [b"relay.task.succeeded"]
        assert published[0][1]["subject"].decode() in passed.stdout
        assert TOKEN not in passed.stdout
    finally:
        await relay.stop()


AWAY = [{"type": "redis", "url": f"redis://127.0.0.1:{free_port()}/0"}]


@pytest.mark.parametrize("relay", [AWAY], indirect=True, ids=["away"])
async def test_it_fails_where_a_sink_does_not_work(script: Script, relay: RelayProcess) -> None:
    """`helm test` would be green on a relay whose events reach nobody, or red without a word about the reason."""
    failed = await script.run(relay, TIMEOUT_SECONDS="1")
    assert failed.returncode != 0
    assert "the event is not on every sink: {'redis': 'pending'}" in failed.stderr
    assert '"code": ' in failed.stderr, "the sink's trouble"
    assert TOKEN not in failed.stderr + failed.stdout


async def test_it_passes_without_a_sink(script: Script, relay: RelayProcess) -> None:
    """A relay whose consumers read its journal could never be tested."""
    passed = await script.run(relay)
    assert passed.returncode == 0, passed.stderr
    assert "relay.task.succeeded" in passed.stdout


async def test_it_reaches_a_listener_with_tls_behind_a_proxy(script: Script, tmp_path: Path) -> None:
    """`helm test` would be red on a relay that is fine; or it would show its tokens to whom it does not know."""
    cert, key = self_signed(tmp_path / "tls", "relay.example.com")
    proxied = {"proxy_protocol": True, "trusted_proxies": ["127.0.0.1"]}
    tls = {"cert_file": str(cert), "key_file": str(key)}
    relay = RelayProcess(tmp_path / "relay", server={"api_tokens": [API_TOKEN], "tls": tls, **proxied})
    await relay.start()
    try:
        known = {"TLS_CERT_FILE": str(cert), "PROXY_PROTOCOL": "1"}
        passed = await script.run(relay, **known)
        assert passed.returncode == 0, passed.stderr
        other, _ = self_signed(tmp_path / "other")
        failed = await script.run(relay, **known | {"TLS_CERT_FILE": str(other)}, TIMEOUT_SECONDS="1")
        assert (failed.returncode, "CERTIFICATE_VERIFY_FAILED" in failed.stderr) == (1, True)
    finally:
        await relay.stop()


@pytest.mark.parametrize(
    ("lacking", "hint"), [("WEBHOOK_TOKEN_FILE", "test.webhookTokenKey"), ("API_TOKEN_FILE", "test.apiTokenKey")]
)
async def test_a_token_that_is_missing_is_named(script: Script, relay: RelayProcess, lacking: str, hint: str) -> None:
    """`helm test` would be green on one that takes nothing, or red without a hint at the value to set."""
    failed = await script.run(relay, **{lacking: "/nowhere"})
    assert failed.returncode != 0
    assert hint in failed.stderr


async def test_a_replica_that_does_not_answer_fails_it(script: Script, tmp_path: Path) -> None:
    """`helm test` would wait forever, or pass over a replica that is away."""
    failed = await script.run(RelayProcess(tmp_path / "nowhere"), TIMEOUT_SECONDS="1")
    assert failed.returncode != 0
    assert "the webhook is not accepted" in failed.stderr
