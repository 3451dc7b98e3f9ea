"""The image, really built and run by podman."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from deploy.tests.images import BASE, build, make_base, run
from deploy.tests.manifests import pre_stop
from tests.services.ports import free_port

IMAGE = "localhost/relay:test"
OFFICIAL_BASE_MB = 125
"""What python:3.13-slim-bookworm weighs unpacked; the stand-in weighs more, so only our own layers are measured."""

PODMAN = ("podman", "--runtime", "runc", "--cgroup-manager=cgroupfs")
API_TOKEN = "api-token-of-enough-length-012345"
BEARER = {"Authorization": f"Bearer {API_TOKEN}"}
START_TIMEOUT = 120.0
"""Seconds; beside all other tests on two cores a container took 12 to be ready, and one more than 30."""

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="session")
def image() -> str:
    """The image, built from the Dockerfile as it is."""
    make_base()
    return build(IMAGE)


class Container:
    """A running container on the host's network: read-only root, no capabilities, its journal on a volume."""

    def __init__(self, image: str, volume: Path, port: int, admin_port: int) -> None:
        self.port, self.admin_port = port, admin_port
        environment = (
            f"RELAY_SERVER__PORT={port}",
            f"RELAY_ADMIN__PORT={admin_port}",
            f"RELAY_SERVER__API_TOKENS=[{API_TOKEN}]",
            "RELAY_IDENTITY=test",
        )
        self.id = run(
            *(*PODMAN, "run", "--detach", "--pull=never"),
            *("--network=host", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"),
            *("--read-only", "--read-only-tmpfs=false", "--cap-drop=ALL", "--security-opt=no-new-privileges"),
            *[part for value in environment for part in ("--env", value)],
            *("--volume", f"{volume}:/var/lib/relay", image),
        ).stdout.strip()

    def until_ready(self) -> None:
        """Returns when the relay in it is ready."""
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/readyz", timeout=2) as answer:
                    assert answer.status == 200
                    return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        raise AssertionError(self.logs())

    def logs(self) -> str:
        """What it wrote."""
        result = run("podman", "logs", self.id, check=False)
        return result.stdout + result.stderr

    def inside(self, *command: str) -> str:
        """What a command prints in it."""
        return run(*PODMAN, "exec", self.id, *command).stdout

    def signal(self, name: str) -> int:
        """Sends a signal to the relay; answers the exit code of the container."""
        run(*PODMAN, "kill", "--signal", name, self.id)
        return int(run(*PODMAN, "wait", self.id, timeout=45).stdout)

    def remove(self) -> None:
        """Ends and forgets it."""
        run(
            "podman",
            "--runtime",
            "runc",
            "--cgroup-manager=cgroupfs",
            "rm",
            "--force",
            "--time",
            "0",
            self.id,
            check=False,
        )


@pytest.fixture
def started(image: str, tmp_path: Path) -> Iterator[list[Container]]:
    """Containers to be removed at the end."""
    containers: list[Container] = []
    yield containers
    for container in containers:
        container.remove()


def start(image: str, volume: Path, started: list[Container]) -> Container:
    volume.mkdir(exist_ok=True)
    os.chown(volume, 10001, 10001)
    container = Container(image, volume, free_port(), free_port())
    started.append(container)
    container.until_ready()
    return container


def ask(url: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, BEARER), timeout=10) as answer:
        return json.load(answer)


def deliver(container: Container, task_id: str) -> Any:
    task = {"task_id": task_id, "status": "TASK_STATUS_SUCCEED"}
    return ask(f"http://127.0.0.1:{container.port}/webhooks/novita", {"payload": {"task": task}})


def events(container: Container) -> list[str]:
    page = ask(f"http://127.0.0.1:{container.port}/v1/events?topic=tasks")
    return [entry["event"]["id"] for entry in page["events"]]


def config_of(image: str) -> dict[str, Any]:
    inspected = json.loads(run("buildah", "inspect", "--type", "image", image).stdout)
    found: dict[str, Any] = inspected["Docker"]["config"]
    return found


def layers_of(image: str) -> list[int]:
    """Sizes of the image's layers in bytes, unpacked."""
    history = json.loads(run("podman", "history", "--format", "json", image).stdout)
    return [int(step["size"]) for step in history]


def test_the_image_says_what_runs_how(image: str) -> None:
    """Signals would go to a shell, Kubernetes could not tell that it is not root, an inventory would not know it."""
    config = config_of(image)
    assert config["Entrypoint"] == ["relay"]
    assert config["Cmd"] == ["serve", "--config", "/etc/relay/relay.yaml"]
    assert config["User"] == "10001:10001"
    assert config["StopSignal"] == "SIGTERM"
    assert "Healthcheck" not in config
    assert {"org.opencontainers.image.title", "org.opencontainers.image.version"} <= config["Labels"].keys()


def test_our_layers_leave_room_under_200_mb(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every node would pull more than it needs."""
    ours = (sum(layers_of(image)) - sum(layers_of(BASE))) / 1e6
    with capsys.disabled():
        print(f"\n  the relay's layers: {ours:.1f} MB, on a base of about {OFFICIAL_BASE_MB} MB")
    assert ours + OFFICIAL_BASE_MB < 200


def test_nothing_in_it_builds_or_installs(image: str, tmp_path: Path, started: list[Container]) -> None:
    """An intruder in a container would find tools there."""
    container = start(image, tmp_path / "v", started)
    tools: Sequence[str] = ("pip", "pip3", "gcc", "cc", "make", "curl", "wget", "git")
    script = f"import shutil; print([t for t in {tools!r} if shutil.which(t)])"
    assert container.inside("python", "-c", script).strip() == "[]"
    assert container.inside("python", "-c", "import importlib.util as u; print(u.find_spec('pip'))").strip() == "None"


def test_it_runs_as_nobody_with_a_root_that_cannot_be_written(
    image: str, tmp_path: Path, started: list[Container]
) -> None:
    """The restricted Pod Security Standard, and a read-only root, would keep the relay from starting."""
    container = start(image, tmp_path / "v", started)
    assert container.inside("id", "-u").strip() == "10001"
    assert "CapEff:\t0000000000000000" in container.inside("cat", "/proc/1/status")
    assert container.inside("cat", "/proc/1/cmdline").replace("\0", " ").strip().endswith("/etc/relay/relay.yaml")
    script = "import pathlib; pathlib.Path('/opt/x').write_text('x')"
    writing = run(*PODMAN, "exec", container.id, "python", "-c", script, check=False)
    assert "Read-only file system" in writing.stderr


def test_sigterm_drains_and_the_exit_code_is_0(image: str, tmp_path: Path, started: list[Container]) -> None:
    """Each roll-out would look like a crash, and cut what is under way."""
    container = start(image, tmp_path / "v", started)
    assert deliver(container, "t-1")["status"] == "accepted"
    assert container.signal("TERM") == 0
    assert "relay stopped" in container.logs()


def test_the_journal_on_the_volume_survives_kill_9(image: str, tmp_path: Path, started: list[Container]) -> None:
    """What was acknowledged would be gone with the container."""
    first = start(image, tmp_path / "v", started)
    for number in range(20):
        deliver(first, f"t-{number}")
    assert first.signal("KILL") == 137
    second = start(image, tmp_path / "v", started)
    assert events(second) == [f"t-{number}:succeeded" for number in range(20)]
    assert deliver(second, "t-3")["status"] == "duplicate"


def test_what_the_chart_runs_before_a_pod_ends_drains_the_relay_in_the_image(
    image: str, tmp_path: Path, started: list[Container]
) -> None:
    """The hook would lack a program, or not get at the relay, and nobody would notice: it never fails."""
    container = start(image, tmp_path / "v", started)
    deliver(container, "t-1")
    container.inside(*pre_stop("drain.preStopSeconds=1", "drain.publishSeconds=60"))
    with pytest.raises(urllib.error.HTTPError) as refused:
        deliver(container, "t-2")
    assert refused.value.code == 503
    assert json.load(refused.value)["code"] == "draining"
    assert container.signal("TERM") == 0


def test_an_image_that_can_trace_is_built_on_demand(image: str) -> None:
    """The chart's ``config.tracing`` would be of no use: nothing can be installed into a container."""
    environment = ("--env=RELAY_TRACING__ENABLED=true", "--env=RELAY_SERVER__API_TOKENS=[" + API_TOKEN + "]")
    limits = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")
    command = (*PODMAN, "run", "--rm", "--pull=never", "--network=host", *limits, *environment, "--entrypoint=relay")
    check = ("check", "--config", "/etc/relay/relay.yaml")
    refused = run(*command, image, *check, check=False)
    assert (refused.returncode, "relay-bridge[otel]" in refused.stderr) == (78, True), refused
    run(*command, build(f"{IMAGE}-tracing", "EXTRAS=otel"), *check)
