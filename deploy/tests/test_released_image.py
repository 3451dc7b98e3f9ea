"""The image as a release builds it, over the local stand-in for the base: ``deploy/release/image.sh``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from deploy.release.build import ROOT, git
from deploy.release.check import version_of
from deploy.tests.images import BASE, make_base, mounted, run
from deploy.tests.test_image import OFFICIAL_BASE_MB, config_of, layers_of

TAG = "localhost/relay:released"
SOURCE = "https://forge.example/somebody/relay"

pytestmark = pytest.mark.timeout(900)


def release(folder: Path) -> str:
    """Builds it into a folder; answers its digest."""
    syft = Path(sys.executable).with_name("syft")
    variables = {**os.environ, "BASE": BASE, "SOURCE": SOURCE, "DIST": str(folder), "SYFT": str(syft)}
    command = [ROOT / "deploy/release/image.sh", TAG, "--isolation", "chroot", "--pull=never", *mounted()]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=800, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip()


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with its archive, digest and bill of materials."""
    make_base()
    folder = tmp_path_factory.mktemp("dist")
    release(folder)
    return folder


def test_two_builds_have_one_digest(released: Path, tmp_path: Path) -> None:
    """Nobody could check that a published image was made from the commit that it names."""
    assert release(tmp_path) == (released / "image.digest").read_text()


def test_the_labels_lead_to_its_sources(released: Path) -> None:
    """Somebody who finds the image on a node could not tell where it comes from and what it is built on."""
    labels = config_of(TAG)["Labels"]
    facts = {name.removeprefix("org.opencontainers.image."): value for name, value in labels.items()}
    assert facts["version"] == version_of(ROOT)
    assert facts["revision"] == git("rev-parse", "HEAD").decode().strip()
    assert facts["source"] == SOURCE
    assert facts["base.name"] == BASE
    assert facts["base.digest"].startswith("sha256:")
    assert facts["created"].endswith("Z")


def test_all_of_it_is_under_200_mb(released: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every node would pull more than it needs."""
    packed = (released / "relay-image.tar").stat().st_size / 1e6
    whole, below = sum(layers_of(TAG)) / 1e6, sum(layers_of(BASE)) / 1e6
    with capsys.disabled():
        print(f"\n  {packed:.1f} MB to pull, {whole:.1f} MB unpacked, {below:.1f} of it the base")
    assert packed < 100
    assert whole - below + OFFICIAL_BASE_MB < 200


def test_the_bill_of_materials_names_what_is_inside(released: Path) -> None:
    """A fault in a library could not be traced to the images that carry it."""
    text = (released / "relay-image.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    materials: dict[str, Any] = orjson.loads(text)
    assert materials["metadata"]["component"]["version"] in (version_of(ROOT), (released / "image.digest").read_text())
    named = {component.get("purl", "").partition("@")[0] for component in materials["components"]}
    assert {"pkg:pypi/relay-bridge", "pkg:pypi/aiohttp", "pkg:deb/debian/libc6", "pkg:deb/debian/libssl3"} <= named
    assert [each["name"] for each in materials["components"] if each["type"] == "operating-system"] == ["debian"]


def test_relay_runs_in_it(released: Path) -> None:
    """An archive could be published that no engine can start."""
    limits = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")
    command = ("podman", "--runtime", "runc", "--cgroup-manager=cgroupfs", "run", "--rm", "--network=host", *limits)
    archive = f"oci-archive:{released / 'relay-image.tar'}"
    assert run(*command, archive, "version").stdout.startswith(f"relay {version_of(ROOT)} ")
