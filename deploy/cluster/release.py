"""The chart, installed on the cluster for one sink, and what an operator does with it."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import secrets
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from deploy.cluster.access import ask
from deploy.cluster.brokers import Broker
from deploy.cluster.commands import run
from deploy.cluster.network import CONTROL
from deploy.cluster.nodes import Cluster
from deploy.render import CHART

REPLICAS = 3
VOLUMES = 4
"""One for each replica that autoscaling may make."""
IMAGE = {"repository": "localhost/relay", "tag": "cluster", "pullPolicy": "Never"}
BEFORE = {**IMAGE, "tag": "before"}
"""An earlier one, to upgrade from."""
RELAY_USER = 10001
STORAGE = "shared"

_WAITING = """
SELECT count(*) FROM events WHERE "offset" > (SELECT coalesce(max("offset"), 0) FROM checkpoints) AND accepted_at < ?
"""

Values = dict[str, Any]


def values(broker: Broker) -> Values:
    """All that the scenarios depend on, whatever the chart's defaults are."""
    secret = "/etc/relay/secrets"
    return {
        "image": IMAGE,
        "replicaCount": REPLICAS,
        "existingSecret": "relay",
        "persistence": {"storageClass": STORAGE},
        "drain": {"preStopSeconds": 4, "streamsSeconds": 10},
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
        "config": {
            "server": {"api_tokens_file": f"{secret}/api-tokens"},
            "webhooks": {"novita": {"tokens_file": f"{secret}/webhook-tokens"}},
            **broker.config,
        },
    }


def before(broker: Broker) -> Values:
    """The same in the words of the earlier chart and image, and more that is called otherwise now."""
    now = values(broker)
    config = {**now["config"], "proxy": {"send_timeout": "45s"}}
    config["server"] = {**config["server"], "max_body": "2MiB"}
    egress = [{"ports": [{"port": 6379, "protocol": "TCP"}, {"port": 9092, "protocol": "TCP"}]}]
    return {**now, "image": BEFORE, "config": config, "networkPolicy": {"egress": egress}}


def translated(broker: Broker) -> Values:
    """What ``before`` says, in the words of these. A broker that hangs keeps no replica from ending."""
    now = values(broker)
    config = {**now["config"], "proxy": {"idle_timeout": "45s"}}
    config["webhooks"] = {**config["webhooks"], "max_body": "2MiB"}
    drain = {**now["drain"], "publishSeconds": 5}
    return {**now, "config": config, "drain": drain, "networkPolicy": {"egress": {"brokers": {"ports": [6379, 9092]}}}}


class Release:
    """One installation in a namespace of its own. ``chart``: an earlier one, which comes with the earlier image."""

    def __init__(self, cluster: Cluster, broker: Broker, namespace: str, chart: Path = CHART) -> None:
        self.cluster, self.broker, self.namespace, self.chart = cluster, broker, namespace, chart
        self.values = values(broker) if chart == CHART else before(broker)
        self.tokens = [secrets.token_hex(24)]
        self._api_token = secrets.token_hex(24)
        home = str(cluster.home)
        self._env = {**os.environ, "KUBECONFIG": str(cluster.access.kubeconfig("admin")), "HOME": home}
        self._address = ""

    @property
    def url(self) -> str:
        """Where the upstream delivers to: the Service, with the newest token."""
        return f"http://{self._address}/webhooks/novita/{self.tokens[0]}"

    async def install(self) -> None:
        """Returns when all replicas are ready."""
        await self._make_surroundings()
        await self.write_secret()
        await self.helm("install", "relay", str(self.chart), *self._wait(120))
        service = await self.get("services/relay")
        self._address = service["spec"]["clusterIP"]

    async def test(self) -> None:
        """Runs the chart's own test."""
        await self.helm("test", "relay", "--logs", "--timeout", "90s")

    async def uninstall(self) -> None:
        """Returns when no pod is left."""
        await self.helm("uninstall", "relay", "--wait", "--timeout", "120s")
        await self.until(lambda pods: not pods, "all pods are gone")

    async def upgrade(self, wait: float = 180, **changed: Any) -> None:
        """With these values instead of the first ones, until all replicas are ready. Raises as ``run`` does."""
        await self.helm("upgrade", "relay", str(self.chart), *self._wait(wait), values={**self.values, **changed})

    async def helm(self, *arguments: str, values: Values | None = None) -> str:
        """What Helm prints."""
        if arguments[0] in ("install", "upgrade"):
            arguments += ("--values", "-")
        stdin = json.dumps(self.values if values is None else values)
        program = (self.cluster.program("helm"), "--namespace", self.namespace)
        return await run(*program, *arguments, stdin=stdin, timeout=300, env=self._env)

    async def kubectl(self, *arguments: str, stdin: str = "", timeout: float = 60) -> str:
        """What kubectl prints."""
        program = (self.cluster.program("kubectl"), "--namespace", self.namespace)
        return await run(*program, *arguments, stdin=stdin, timeout=timeout, env=self._env)

    async def get(self, path: str, api: str = "api/v1") -> Any:
        """An object of this namespace, or a list of them."""
        token = self.cluster.access.admin
        return json.loads(await asyncio.to_thread(ask, f"/{api}/namespaces/{self.namespace}/{path}", token))

    async def pods(self) -> list[Any]:
        """The replicas, by name; those that are about to end included."""
        chosen = "pods?labelSelector=app.kubernetes.io/name%3Drelay"
        found = (await self.get(chosen))["items"]
        replicas = [pod for pod in found if pod["metadata"].get("ownerReferences")]
        return sorted(replicas, key=lambda pod: str(pod["metadata"]["name"]))

    async def pod(self, name: str) -> Any:
        """One replica, or ``None``."""
        return next((pod for pod in await self.pods() if pod["metadata"]["name"] == name), None)

    async def stateful_set(self) -> Any:
        """What there is of it, with its status."""
        return await self.get("statefulsets/relay", "apis/apps/v1")

    async def until(self, condition: Callable[[list[Any]], bool], what: str, within: float = 120) -> None:
        """Returns when the replicas are as they should be. Raises ``TimeoutError``."""
        deadline = time.monotonic() + within
        while not condition(pods := await self.pods()):
            if time.monotonic() > deadline:
                states = {pod["metadata"]["name"]: pod["status"].get("containerStatuses") for pod in pods}
                raise TimeoutError(f"not within {within:.0f} s: {what}; {json.dumps(states)[:2000]}")
            await asyncio.sleep(0.25)

    async def settled(self, replicas: int = REPLICAS, within: float = 180) -> None:
        """Returns when so many replicas run the newest revision, are ready, and no other is left."""
        await self.kubectl("rollout", "status", "statefulset/relay", f"--timeout={within:.0f}s", timeout=within + 10)
        wanted = f"{replicas} replicas are ready"
        await self.until(lambda pods: len(pods) == replicas and all(map(is_ready, pods)), wanted, within)

    async def unpublished(self, number: int) -> int:
        """How many events are on the volume of a replica that is gone, and not on the sink."""
        command = (sys.executable, "-m", "relay", "journal", "stats", "--json", "--path")
        stats = json.loads(await run(*command, str(self._volume(number) / "relay.db")))
        return sum(sink["pending"] for sink in stats["sinks"])

    async def taken_over(self) -> int:
        """How many of the events that the predecessors of these pods have accepted are on no sink yet."""
        found = 0
        for number, pod in enumerate(await self.pods()):
            began = datetime.fromisoformat(pod["status"]["startTime"])
            found += _waiting(self._volume(number), before=began.timestamp() * 1000)
        assert found, "every event was published before its replica ended"
        return found

    async def write_secret(self) -> None:
        """The tokens that are valid from now on, as soon as the kubelets have them."""
        encoded = {"webhook-tokens": "\n".join(self.tokens), "api-tokens": self._api_token}
        data = {name: base64.b64encode(text.encode()).decode() for name, text in encoded.items()}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "relay"}, "data": data}
        await self.kubectl("apply", "-f", "-", stdin=json.dumps(secret))

    async def _make_surroundings(self) -> None:
        documents = [_namespace(self.namespace), *_service(self.namespace, self.broker)]
        for number in range(VOLUMES):
            path = self._volume(number)
            path.mkdir(parents=True)
            os.chown(path, RELAY_USER, RELAY_USER)  # the kubelet applies fsGroup to no hostPath
            documents.append(_volume(path, self.namespace))
        everything = {"apiVersion": "v1", "kind": "List", "items": documents}
        await self.kubectl("apply", "-f", "-", stdin=json.dumps(everything))

    def _volume(self, number: int) -> Path:
        return self.cluster.home / "volumes" / f"{self.namespace}-{number}"

    def _wait(self, seconds: float) -> tuple[str, ...]:
        return "--wait", "--timeout", f"{seconds:.0f}s"


def _waiting(volume: Path, before: float) -> int:
    """In a copy: the earlier relay lets nobody else open its journal."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("relay.db", "relay.db-wal"):
            shutil.copy(volume / name, folder)
        with closing(sqlite3.connect(Path(folder, "relay.db"))) as journal:
            return int(journal.execute(_WAITING, (before,)).fetchone()[0])


def is_ready(pod: Any) -> bool:
    """Whether the Service sends something to it, and it is not about to end."""
    conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", ())}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def _namespace(name: str) -> Any:
    """It admits nothing but restricted pods."""
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def _service(namespace: str, broker: Broker) -> list[Any]:
    """The broker, which runs beside the cluster, under a name in it."""
    port = {"name": broker.kind, "port": broker.port, "protocol": "TCP"}
    labels = {"kubernetes.io/service-name": broker.kind}
    named = {"name": broker.kind, "namespace": namespace}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": named, "spec": {"ports": [port]}},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**named, "labels": labels},
            "addressType": "IPv4",
            "ports": [port],
            "endpoints": [{"addresses": [CONTROL], "conditions": {"ready": True}}],
        },
    ]


def _volume(path: Path, namespace: str) -> Any:
    """A folder that both nodes see, as a volume on a network would be, for the claim of one replica."""
    spec = {
        "capacity": {"storage": "20Gi"},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": STORAGE,
        "claimRef": {"namespace": namespace, "name": f"journal-relay-{path.name.rpartition('-')[2]}"},
        "hostPath": {"path": str(path), "type": "Directory"},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": path.name}, "spec": spec}
