"""What would be published: the wheel, the source archive and their bill of materials, built as for a release."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from deploy.release.build import ROOT, SUMS, check_out, git
from deploy.release.chart import package
from deploy.release.check import built_twice, differences, disagreements, version_of
from deploy.render import KUBE_VERSION

pytestmark = pytest.mark.timeout(300)

# https://artifacthub.io/docs/topics/annotations/helm/
HUB_CATEGORIES = {
    *("ai-machine-learning", "database", "integration-delivery", "monitoring-logging"),
    *("networking", "security", "storage", "streaming-messaging", "skip-prediction"),
}
HUB_CHANGES = {"added", "changed", "deprecated", "removed", "fixed", "security"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``make build`` makes."""
    folder = tmp_path_factory.mktemp("dist")
    command = ["make", "build", f"VENV={Path(sys.executable).parents[1]}"]
    variables = {**os.environ, "DIST": str(folder)}
    subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, timeout=300, check=True)
    return folder


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def test_two_builds_have_one_hash(tmp_path: Path) -> None:
    """Nobody could check that a published file was made from the commit that it names."""
    assert list(differences(tmp_path)) == []


def test_a_build_that_depends_on_its_place_is_noticed(tmp_path: Path) -> None:
    """The comparison of two builds would let everything pass."""
    places = tmp_path / "one", tmp_path / "two"
    for place in places:
        place.mkdir()
        check_out(place)
        (place / "relay/place.txt").write_text(str(place))
    first, second = built_twice(places, tmp_path)
    assert first != second


def test_the_sums_are_those_of_the_files(built: Path) -> None:
    """Somebody who checks a download would be led to believe that it is damaged."""
    subprocess.run(["sha256sum", "--check", "--strict", SUMS], cwd=built, capture_output=True, timeout=20, check=True)
    listed = {line.split()[1] for line in (built / SUMS).read_text().splitlines()}
    assert listed == {path.name for path in built.iterdir()} - {SUMS}


def test_nothing_uncommitted_is_packed(built: Path) -> None:
    """A release would hold what happened to lie in somebody's working copy, secrets included."""
    with tarfile.open(only(built, "*.tar.gz")) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    committed = git("ls-tree", "-r", "--name-only", "HEAD").decode().splitlines()
    assert packed - set(committed) == {"PKG-INFO"}


def test_the_bill_of_materials_names_the_wheel_and_all_that_it_brings(built: Path) -> None:
    """A known fault in a dependency could not be traced to the releases that have it."""
    text = only(built, "*.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    materials: dict[str, Any] = orjson.loads(text)
    main = materials["metadata"]["component"]
    assert (main["name"], main["version"]) == ("relay-bridge", version_of(ROOT))
    assert main["hashes"][0]["content"] in (built / SUMS).read_text()
    named = {component["purl"].partition("?")[0] for component in materials["components"]}
    locked = re.findall(r"^([\w.-]+)==([\w.]+) \\$", (ROOT / "requirements/run.txt").read_text("utf-8"), re.MULTILINE)
    assert {f"pkg:pypi/{name.lower()}@{version}" for name, version in locked} <= {name.lower() for name in named}


def test_no_path_or_mirror_of_the_builder_is_published(built: Path) -> None:
    """A published file would lead to a place that nobody else can reach."""
    texts = [only(built, "*.cdx.json").read_text()]
    with zipfile.ZipFile(only(built, "*.whl")) as wheel:
        texts += [wheel.read(name).decode() for name in wheel.namelist() if ".dist-info/" in name]
    assert not [found for text in texts for found in re.findall(rf"file://\S*|{re.escape(str(ROOT))}\S*", text)]


REPOSITORY = "registry.example/somebody/relay"
DIGEST = "sha256:" + "0123456789abcdef" * 4
SOURCE = "https://forge.example/somebody/relay"


def test_the_packaged_chart_installs_the_image_of_its_release(tmp_path: Path) -> None:
    """`helm install` of a published chart would look for an image that is nowhere, or run another one."""
    packed = package(REPOSITORY, DIGEST, SOURCE, tmp_path)
    assert packed.name == f"relay-{version_of(ROOT)}.tgz"
    command = ["helm", "template", "relay", str(packed), "--kube-version", KUBE_VERSION]
    manifests = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert set(re.findall(r'^ +image: "?([^"\n]*)"?$', manifests, re.MULTILINE)) == {f"{REPOSITORY}@{DIGEST}"}


def test_artifact_hub_shows_what_the_chart_is(tmp_path: Path) -> None:
    """Somebody who looks for the chart would find it without its licence, its images and what has changed."""
    packed = package(REPOSITORY, DIGEST, SOURCE, tmp_path)
    command = ["helm", "show", "chart", str(packed)]
    chart = yaml.safe_load(subprocess.run(command, capture_output=True, timeout=60, check=True).stdout)
    facts = {name.removeprefix("artifacthub.io/"): text for name, text in chart["annotations"].items()}
    assert facts["license"] == "Apache-2.0"
    assert facts["category"] in HUB_CATEGORIES
    assert all(change["kind"] in HUB_CHANGES for change in yaml.safe_load(facts["changes"]))
    assert yaml.safe_load(facts["images"]) == [
        {"name": "relay", "image": f"{REPOSITORY}:{version_of(ROOT)}@{DIGEST}"},
    ]
    assert yaml.safe_load(facts["links"])[0]["url"].startswith(SOURCE)
    assert chart["sources"] == [SOURCE]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what has to agree, to be broken."""
    for name in ("relay/__init__.py", "deploy/helm/relay/Chart.yaml", "CHANGELOG.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "tests/samples/journals" / version_of(ROOT)).mkdir(parents=True)
    return tmp_path


def test_the_versions_agree() -> None:
    """A chart, a changelog or a stored journal would be of another version than the package."""
    assert list(disagreements(ROOT)) == []


@pytest.mark.parametrize(
    ("name", "good", "bad", "expected"),
    [
        ("deploy/helm/relay/Chart.yaml", r"^version: .*$", "version: 9.9.9", "the version 9.9.9"),
        ("deploy/helm/relay/Chart.yaml", r"^appVersion: .*$", "appVersion: 9.9.9", "the appVersion 9.9.9"),
        ("CHANGELOG.md", r"^## .*$", "## Unreleased", "begins with 'Unreleased'"),
        ("relay/__init__.py", r"^__version__ = .*$", '__version__ = "9.9.9"', "no stored journal of 9.9.9"),
    ],
)
def test_versions_that_differ_are_noticed(tree: Path, name: str, good: str, bad: str, expected: str) -> None:
    """The check above would let everything pass."""
    text = (tree / name).read_text("utf-8")
    (tree / name).write_text(re.sub(good, bad, text, count=1, flags=re.MULTILINE))
    assert expected in "\n".join(disagreements(tree))


def test_a_tag_needs_its_version_and_a_date(tree: Path) -> None:
    """A tag could go out with another version inside, or with a changelog that calls it unreleased."""
    version = version_of(tree)
    assert "the tag is v9.9.9" in "\n".join(disagreements(tree, "v9.9.9"))
    text = (tree / "CHANGELOG.md").read_text("utf-8")
    for date, wrong in (("unreleased", [f"CHANGELOG.md gives {version} no date"]), ("2026-12-01", [])):
        heading = f"## {version} - {date}"
        (tree / "CHANGELOG.md").write_text(re.sub(r"^## .*$", heading, text, count=1, flags=re.MULTILINE))
        assert list(disagreements(tree, f"v{version}")) == wrong
