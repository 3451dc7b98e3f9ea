"""The systemd unit and the compose file."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import yaml

from deploy.render import ROOT
from relay.app.plugins import sink_configs
from relay.settings import Settings, load


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    """A misspelt line is passed over by systemd with a warning that nobody reads."""
    units = [tmp_path / name for name in ("relay.service", "relay.socket")]
    for unit in units:
        text = (ROOT / "systemd" / unit.name).read_text("utf-8")
        unit.write_text(text.replace("/opt/relay/bin/relay", "/bin/true"))  # the check wants the program to be there
    result = subprocess.run(
        ["systemd-analyze", "verify", *units], capture_output=True, text=True, timeout=60, check=False
    )
    assert not [line for line in result.stderr.splitlines() if "relay." in line], result.stderr


def test_the_unit_is_rated_safe() -> None:
    """The service would run with rights that it does not need."""
    command = [
        "systemd-analyze",
        "security",
        "--offline=true",
        "--threshold=20",
        str(ROOT / "systemd" / "relay.service"),
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout[-500:]


def test_the_unit_waits_longer_than_a_drain() -> None:
    """systemd would kill the relay in the middle of its drain."""
    text = (ROOT / "systemd" / "relay.service").read_text("utf-8")
    stop = re.search(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
    assert stop
    assert int(stop[1]) >= Settings().server.drain_timeout + 10


def test_the_compose_file_mounts_what_is_there_and_pins_its_images() -> None:
    """A stack would start with empty folders instead of files, or be another one next month."""
    services = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]
    for name, service in services.items():
        sources = [volume.partition(":")[0] for volume in service.get("volumes", [])]
        assert not [source for source in sources if source.startswith(".") and not (ROOT / source).exists()], name
        assert "build" in service or re.search(r":v?\d+\.\d+", service["image"]), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name


def test_the_relay_accepts_the_configurations_that_are_shipped() -> None:
    """The compose stack or the image would end with 78."""
    for path in (ROOT / "compose" / "relay.yaml", ROOT / "container" / "relay.yaml"):
        assert load(path, {}, sink_configs()).server.host == "0.0.0.0"
