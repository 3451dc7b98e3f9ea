"""The workflows and the other files that a forge reads: valid, safe, and calling nothing but the Makefile."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.render import ROOT as DEPLOY

ROOT = DEPLOY.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
PINNED = re.compile(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
PUBLISHERS = {
    "provenance": {"attestations": "write", "contents": "read", "id-token": "write"},
    "pypi": {"id-token": "write"},
    "registry": {"contents": "read", "id-token": "write", "packages": "write"},
}
"""The jobs of a release that may do more than read, and what."""

GRANTED = {"release": PUBLISHERS, "site": {"publish": {"id-token": "write", "pages": "write"}}}
"""The same for all workflows."""

SCHEMAS = {
    ".github/dependabot.yml": "dependabot",
    ".github/ISSUE_TEMPLATE/bug.yml": "github-issue-forms",
    ".github/ISSUE_TEMPLATE/idea.yml": "github-issue-forms",
    ".github/ISSUE_TEMPLATE/config.yml": "github-issue-config",
}

each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs in the root. No network: the online audits of zizmor want a token."""
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def program(name: str) -> Path:
    """A program of the environment that runs the tests."""
    return Path(sys.executable).parent / name


def linted(*paths: Path) -> list[str]:
    """What the two linters say against workflows."""
    found = []
    for command in (
        ["actionlint"],
        [program("zizmor"), "--offline", "--quiet", "--config", ROOT / ".github/zizmor.yml"],
    ):
        result = run(*command, *paths)
        if result.returncode != 0:
            found.append(result.stdout + result.stderr)
    return found


def steps(workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for job in workflow["jobs"].values():
        yield from job.get("steps", [])


def test_the_linters_find_nothing() -> None:
    """A workflow would not start, or hand its rights to anybody who opens a pull request."""
    assert linted(*WORKFLOWS) == []


@pytest.mark.parametrize(
    ("good", "bad", "linter"),
    [
        ("runs-on: ubuntu-24.04", "runs-on: ubuntu-24.4", "runner-label"),
        ("${{ matrix.python }}", "${{ matrix.pythons }}", "expression"),
        ("@a309ff8b426b58ec0e2a45f0f869d46889d02405 # v6.2.0", "@v6", "unpinned-uses"),
        ("        with:\n          persist-credentials: false\n", "", "artipacked"),
        ("    permissions:\n      contents: read\n", "    permissions: write-all\n", "excessive-permissions"),
        ("- run: make check", "- run: make check ARGS=${{ github.event.pull_request.title }}", "template-injection"),
    ],
)
def test_a_broken_workflow_is_noticed(good: str, bad: str, linter: str, tmp_path: Path) -> None:
    """The linters would be called in a way that finds nothing, whatever is wrong."""
    text = (ROOT / ".github/workflows/check.yml").read_text("utf-8")
    assert good in text
    folder = tmp_path / ".github" / "workflows"
    folder.mkdir(parents=True)
    (folder / "check.yml").write_text(text.replace(good, bad))
    assert linter in "".join(linted(folder / "check.yml"))


@each_workflow
def test_a_workflow_calls_the_makefile_and_nothing_else(path: Path) -> None:
    """CI would do something that nobody can do by hand, or call a target that is gone."""
    workflow = yaml.safe_load(path.read_text("utf-8"))
    commands = [step["run"] for step in steps(workflow) if "run" in step]
    assert all(command.partition(" ")[0] == "make" for command in commands), commands
    assert {command.removeprefix("make ") for command in commands} <= TARGETS


@each_workflow
def test_a_workflow_may_only_read(path: Path) -> None:
    """A poisoned dependency could push, publish or comment with the token of a run."""
    workflow = yaml.safe_load(path.read_text("utf-8"))
    assert workflow["permissions"] == {}
    granted = GRANTED.get(path.stem, {})
    for name, job in workflow["jobs"].items():
        assert job["permissions"] == granted.get(name, {"contents": "read"}), name


def before(jobs: dict[str, Any], name: str) -> set[str]:
    """The jobs that have to pass before this one begins."""
    needed = jobs[name].get("needs", [])
    return {*needed, *(earlier for each in needed for earlier in before(jobs, each))}


@pytest.mark.parametrize("name", PUBLISHERS)
def test_nothing_is_published_before_everything_has_passed(name: str) -> None:
    """A release could go out that a test has refused, since jobs run side by side unless they wait for each other."""
    jobs = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text("utf-8"))["jobs"]
    assert {"check", "test", "deploy", "faults", "files"} <= before(jobs, name)


@pytest.mark.parametrize("name", ["pypi", "registry"])
def test_a_person_releases_what_is_published(name: str) -> None:
    """Anybody who can push a tag could publish: an environment is where somebody else has to agree."""
    jobs = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text("utf-8"))["jobs"]
    assert jobs[name]["environment"] == name
    assert "provenance" in jobs[name]["needs"]


def test_the_files_are_published_as_they_were_built_and_tested() -> None:
    """What is published would be built a second time, in a job with rights, by code that no test has seen."""
    jobs = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text("utf-8"))["jobs"]
    commands = {name: [step["run"] for step in jobs[name]["steps"] if "run" in step] for name in PUBLISHERS}
    assert commands == {"provenance": [], "pypi": [], "registry": ["make publish"]}


@each_workflow
def test_actions_are_pinned_by_their_hash(path: Path) -> None:
    """Anybody who can move a tag of an action would run code here; and without the version nobody can read the hash."""
    uses = [line.strip(" -") for line in path.read_text("utf-8").splitlines() if "uses: " in line]
    assert uses
    assert [use for use in uses if not PINNED.match(use) and not use.startswith("uses: ./")] == []


def test_the_matrix_is_what_the_package_promises() -> None:
    """A Python would be named in the package's classifiers that no run has seen."""
    promised = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text("utf-8"))
    for name in ("check", "test"):
        workflow = yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text("utf-8"))
        assert workflow["jobs"][name]["strategy"]["matrix"]["python"] == promised


@pytest.mark.parametrize(("path", "schema"), SCHEMAS.items())
def test_the_forge_understands_the_other_files(path: str, schema: str) -> None:
    """A form would not be shown, or no update proposed, without a word."""
    result = run(program("check-jsonschema"), "--builtin-schema", f"vendor.{schema}", ROOT / path)
    assert result.returncode == 0, result.stdout


def test_every_file_for_the_forge_is_checked() -> None:
    """A new form would go out unchecked."""
    present = {path.relative_to(ROOT).as_posix() for path in (ROOT / ".github").rglob("*.yml")}
    workflows = {path.relative_to(ROOT).as_posix() for path in WORKFLOWS}
    assert present - workflows - SCHEMAS.keys() == {".github/zizmor.yml"}
