"""What happens to the relays while deliveries come in. Each ends as it began: three replicas, all ready.

Each answers what else there is to say about it, and raises where the cluster does not do as an operator would expect.
"""

from __future__ import annotations

import asyncio
import copy
import secrets
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp

from deploy.cluster.brokers import Broker
from deploy.cluster.commands import run
from deploy.cluster.network import NODES
from deploy.cluster.release import IMAGE, REPLICAS, VOLUMES, Release, is_ready, translated
from deploy.render import CHART
from tests.faults.harness.load import SENDERS_WAIT

KUBELETS_LAST_WORD = 120.0
"""Seconds in which a changed Secret has to be in force: a kubelet looks once a minute, the relay every 10 s."""


async def roll_out(release: Release) -> str:
    """As for a new image."""
    await release.kubectl("rollout", "restart", "statefulset/relay")
    await release.settled()
    return ""


async def force_delete(release: Release) -> str:
    """A pod goes without its grace period, and is replaced while it may still run."""
    before = (await release.pod("relay-1"))["metadata"]["uid"]
    await release.kubectl("delete", "pod", "relay-1", "--force", "--grace-period=0")
    await release.until(lambda pods: any(_uid(pod) != before for pod in _named(pods, "relay-1")), "another relay-1")
    await release.settled()
    return ""


async def upgrade_while_one_starts(release: Release) -> str:
    """An upgrade begins while a pod of the old revision is not yet available."""
    await release.kubectl("delete", "pod", "relay-0", "--grace-period=1")
    await release.upgrade(podAnnotations={"upgraded": "while-one-starts"})
    await release.settled()
    return ""


async def drain_both_nodes(release: Release) -> str:
    """Each node is emptied, and used again when its pods are ready on the other one."""
    for node in (f"node{number}" for number in NODES):
        await release.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", timeout=240)
        await release.settled()
        assert all(pod["spec"]["nodeName"] != node for pod in await release.pods()), f"{node} was not drained"
        await release.kubectl("uncordon", node)
    return ""


async def upgrade_config(release: Release) -> str:
    """A changed setting restarts the replicas one by one."""
    await release.upgrade(config={**release.values["config"], "log": {"level": "debug"}})
    await release.settled()
    return ""


async def roll_back_bad_config(release: Release) -> str:
    """A configuration that the relay refuses stops the roll-out at the first replica; the roll-back ends it."""
    config = copy.deepcopy(release.values["config"])
    config["webhooks"]["novita"]["no_such_setting"] = True
    try:
        await release.upgrade(wait=25, config=config)
    except RuntimeError as error:
        refused = str(error)
    else:
        raise AssertionError("Helm calls an upgrade a success whose pods cannot start")
    ready = sum(map(is_ready, await release.pods()))
    assert ready == REPLICAS - 1, f"{ready} replicas are ready beside one that cannot start: {refused}"
    started = time.monotonic()
    await release.helm("rollback", "relay", "--wait", "--timeout", "180s")
    await release.settled()
    return f"{ready} of {REPLICAS} went on; well again {time.monotonic() - started:.0f} s after the roll-back"


async def turn_on_autoscaling(release: Release) -> str:
    """From a fixed number of replicas to an autoscaler and back: there is no metrics server, so it keeps the number."""
    async with asyncio.TaskGroup() as group:
        watch = group.create_task(_fewest(release, 20))
        bounds = {"enabled": True, "minReplicas": 2, "maxReplicas": VOLUMES}
        await release.upgrade(autoscaling=bounds)
    await release.upgrade()
    await release.settled()
    wanted = watch.result()
    assert wanted == REPLICAS, f"from {REPLICAS} replicas to {wanted}, as soon as autoscaling was on"
    return f"never fewer than {wanted} replicas wanted"


async def zombie(release: Release) -> str:
    """A node hangs with a relay on it, the pod is taken for dead and replaced, and then the node goes on.

    The volume is one that two nodes can have at once, so that only the relay itself keeps its second copy out.
    """
    pod = (await release.pods())[-1]
    name, container, node = pod["metadata"]["name"], _container(pod), pod["spec"]["nodeName"]
    number = next(each for each in NODES if node == f"node{each}")
    kubelet = release.cluster.processes[f"kubelet{number}"]
    control = release.cluster.containerd(number)
    await release.kubectl("cordon", node)
    await run(*control, "tasks", "pause", container)
    kubelet.send_signal(signal.SIGSTOP)
    try:
        await release.kubectl("delete", "pod", name, "--force", "--grace-period=0")
        await release.until(lambda pods: any(map(_was_refused, _named(pods, name))), f"the new {name} finds the lock")
        await asyncio.sleep(SENDERS_WAIT)  # those who wait for an answer of the zombie give up
    finally:
        await run(*control, "tasks", "resume", container)
        kubelet.send_signal(signal.SIGCONT)
        await release.kubectl("uncordon", node)
    await release.settled()
    return f"the new {name} was kept out until its predecessor on {node} had ended"


async def scale_to_one_and_back(release: Release) -> str:
    """The others publish what they have before they go."""
    await release.upgrade(replicaCount=1)
    await release.settled(1)
    left = [await release.unpublished(number) for number in range(1, REPLICAS)]
    assert not any(left), f"left on the volumes of those that went: {left} events"
    await release.upgrade()
    await release.settled()
    return "nothing was left on the volumes of those that went"


async def rotate_secrets(release: Release) -> str:
    """A new token beside the old one, then alone; nothing restarts."""
    before = {pod["metadata"]["name"]: _restarts(pod) for pod in await release.pods()}
    old, new = release.tokens[0], secrets.token_hex(24)
    release.tokens = [old, new]
    await release.write_secret()
    known = await _decided(release, new, refused=False)
    release.tokens = [new]  # from here on, senders use it
    await asyncio.sleep(SENDERS_WAIT)  # what was sent with the old one is answered, or tried again
    await release.write_secret()
    gone = await _decided(release, old, refused=True)
    after = {pod["metadata"]["name"]: _restarts(pod) for pod in await release.pods()}
    assert before == after, f"restarted for a token: {before} {after}"
    return f"the new token was valid everywhere after {known:.0f} s, the old one nowhere after {gone:.0f} s"


async def upgrade(release: Release) -> str:
    """From an earlier chart and image to these, and to the journals of those: the broker hangs meanwhile."""
    release.chart = CHART
    with _hanging(release.broker):
        await _refused_by_schema(release)
        release.values = translated(release.broker)
        await release.upgrade(wait=240)
        await release.settled()
        taken_over = await release.taken_over()
    return f"former names refused by the schema; {taken_over} events came with the earlier journals"


async def go_back(release: Release) -> str:
    """The earlier ones go on with the journals that these have written: the broker hangs meanwhile."""
    with _hanging(release.broker):
        await release.helm("rollback", "relay", "1", "--wait", "--timeout", "240s")
        await release.settled()
        taken_over = await release.taken_over()
    return f"{taken_over} events came with the later journals"


async def upgrade_again(release: Release) -> str:
    """With journals that both have written, in turn."""
    await release.upgrade(wait=240)
    await release.settled()
    return ""


async def _refused_by_schema(release: Release) -> None:
    """Tries an upgrade with the values of before. Raises ``AssertionError`` where the chart takes them."""
    try:
        await release.upgrade(image=IMAGE)
    except RuntimeError as error:
        if "egress" in str(error):
            return
        raise
    raise AssertionError("the chart takes values that had another form before")


@contextmanager
def _hanging(broker: Broker) -> Iterator[None]:
    broker.server.pause()
    try:
        yield
    finally:
        broker.server.resume()


Scenario = Callable[[Release], Awaitable[str]]
SCENARIOS: dict[str, Scenario] = {
    "roll-out": roll_out,
    "force-delete": force_delete,
    "upgrade-while-one-starts": upgrade_while_one_starts,
    "both-nodes-drained": drain_both_nodes,
    "config-upgrade": upgrade_config,
    "bad-config-roll-back": roll_back_bad_config,
    "autoscaling-on": turn_on_autoscaling,
    "zombie": zombie,
    "scale-to-1-and-back": scale_to_one_and_back,
    "secrets-rotated": rotate_secrets,
}
UPGRADES: dict[str, Scenario] = {"upgrade": upgrade, "back": go_back, "upgrade-again": upgrade_again}


async def _fewest(release: Release, seconds: float) -> int:
    """The lowest number of replicas that was wanted in this time."""
    fewest, deadline = REPLICAS, time.monotonic() + seconds
    while time.monotonic() < deadline:
        fewest = min(fewest, (await release.stateful_set())["spec"]["replicas"])
        await asyncio.sleep(0.1)
    return fewest


async def _decided(release: Release, token: str, *, refused: bool) -> float:
    """Seconds until every replica takes this token, or refuses it."""
    started = time.monotonic()
    timeout = aiohttp.ClientTimeout(total=SENDERS_WAIT)
    async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.timeout(KUBELETS_LAST_WORD):
        for pod in await release.pods():
            url = f"http://{pod['status']['podIP']}:8080/webhooks/novita/{token}"
            while (await _status(session, url) == 401) is not refused:
                await asyncio.sleep(0.5)
    return time.monotonic() - started


async def _status(session: aiohttp.ClientSession, url: str) -> int:
    """Of a delivery that says nothing: there is no event about a task."""
    async with session.post(url, json={}) as answer:
        return answer.status


def _named(pods: list[Any], name: str) -> list[Any]:
    return [pod for pod in pods if pod["metadata"]["name"] == name]


def _uid(pod: Any) -> str:
    return str(pod["metadata"]["uid"])


def _container(pod: Any) -> str:
    """Its id, as containerd knows it."""
    return str(pod["status"]["containerStatuses"][0]["containerID"]).removeprefix("containerd://")


def _restarts(pod: Any) -> tuple[str, int]:
    return _uid(pod), pod["status"]["containerStatuses"][0]["restartCount"]


def _was_refused(pod: Any) -> bool:
    """Whether the relay in it has ended at least once."""
    statuses = pod["status"].get("containerStatuses", ())
    return any(
        status["restartCount"] or "terminated" in {**status.get("lastState", {}), **status["state"]}
        for status in statuses
    )
