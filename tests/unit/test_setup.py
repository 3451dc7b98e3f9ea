"""The set-up that comes before all tests: what it says, and what it does, where something is missing.

It runs on a path of stubs, as root or not by a user namespace of its own, and reaches no network.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.setup import fetch, kubernetes
from tests.setup.cache import NotFetchedError
from tests.setup.needs import NEEDS, version

ROOT = Path(__file__).resolve().parents[2]
BOUND = 30
PROGRAMS = {need.program for need in NEEDS["test"]} - {"venv", "certificates"}
OF_THE_SYSTEM = ("timeout", "sh", "sleep", "id", "cat", "chmod", "dirname")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A folder that is the whole path: every program that the tests need is there, as a stub."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in OF_THE_SYSTEM:
        (folder / name).symlink_to(of_the_system(name))
    for name in (*PROGRAMS, "unshare"):
        stub(folder / name)
    stub(folder / "java", "echo 'openjdk version \"17.0.15\" 2025-04-15' >&2")
    return folder


def of_the_system(name: str) -> str:
    """A program that every Linux has."""
    found = shutil.which(name)
    assert found is not None
    return found


def stub(file: Path, body: str = "exit 0") -> None:
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)


def remove(path: Path, names: Iterable[str]) -> None:
    for name in names:
        (path / name).unlink()


def set_up(path: Path, *, root: bool, purpose: str = "test") -> subprocess.CompletedProcess[str]:
    """Runs the set-up as root or as somebody else, with the rights of this process."""
    return run_as("0" if root else "1000", path, sys.executable, "-m", "tests.setup", purpose)


def run_as(user: str, path: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in the tree with a user's id; only the programs in ``path`` are found."""
    namespace = [of_the_system("unshare"), "--user", f"--map-user={user}", f"--map-group={user}"]
    return subprocess.run(
        [*namespace, *command],
        cwd=ROOT,
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )


def test_nothing_is_said_or_done_where_all_is_there(path: Path) -> None:
    """Each `make test` would ask Debian's mirrors, or need root."""
    stub(path / "apt-get", "echo called >&2; exit 1")
    done = set_up(path, root=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_without_root_the_one_command_is_named(path: Path) -> None:
    """A developer would find out program by program, minutes apart, what the tests need."""
    stub(path / "apt-get", "echo called >&2; exit 1")
    remove(path, ("kcat", "mvn", "java", "javac"))
    done = set_up(path, root=False)
    assert done.returncode == 1
    assert done.stderr == (
        "Missing here: java 17 or newer, javac, mvn, kcat.\n"
        "Install them, and start again:\n\n"
        "  sudo apt-get update && "
        "sudo apt-get install --yes --no-install-recommends default-jdk-headless kcat maven\n\n"
    )


def test_a_program_that_is_too_old_counts_as_missing(path: Path) -> None:
    """The consumer in Java would fail to compile after all brokers were started."""
    stub(path / "java", "echo 'openjdk version \"11.0.20\" 2023-07-18' >&2")
    stub(path / "apt-get")
    done = set_up(path, root=False)
    assert "Missing here: java 17 or newer.\n" in done.stderr


def test_where_debian_is_not_everything_missing_is_named(path: Path) -> None:
    """On another system it would say to run a command that is not there."""
    remove(path, ("zsh", "fish"))
    done = set_up(path, root=True)
    assert done.returncode == 1
    assert done.stderr == (
        "Missing here: fish, zsh.\nThere is no apt-get to install them with: install them, and start again.\n"
    )


def test_root_on_debian_installs_what_is_missing(path: Path) -> None:
    """CI, and a fresh machine, would need a list of packages of their own, which goes stale."""
    remove(path, ("kcat", "nginx"))
    log = path.parent / "apt.log"
    programs = [f"{path}/kcat", f"{path}/nginx"]
    makes = " && ".join(f"echo '#!/bin/sh' > {each} && chmod 755 {each}" for each in programs)
    stub(path / "apt-get", f'echo "$DEBIAN_FRONTEND $*" >> {log}; [ $1 = update ] || {{ {makes}; }}')
    done = set_up(path, root=True)
    assert (done.returncode, done.stderr) == (0, "Installing from Debian: kcat, nginx\n")
    update, install = log.read_text().splitlines()
    assert update.startswith("noninteractive update ")
    assert install.startswith("noninteractive install ")
    assert install.endswith(" kcat nginx-light")


def test_without_a_network_it_says_what_could_not_be_fetched_from_where(path: Path) -> None:
    """Apt's last words are that there is no such package: a reader would look for a misspelt name."""
    remove(path, ["kcat"])
    unreachable = "echo 'E: Failed to fetch http://mirror.example/InRelease  Could not resolve it'; exit 100"
    unknown = "echo 'E: Unable to locate package kcat'; exit 100"
    stub(path / "apt-get", f"case $1 in update) {unreachable};; *) {unknown};; esac")
    done = set_up(path, root=True)
    assert done.returncode == 1
    assert "mirror.example/InRelease  Could not resolve it" in done.stderr
    assert "Unable to locate" not in done.stderr
    assert "/etc/apt/sources.list" in done.stderr
    assert "apt-get update && apt-get install --yes --no-install-recommends kcat\n" in done.stderr


def test_a_mirror_that_is_not_needed_may_be_down(path: Path) -> None:
    """One dead source of packages would keep everything from being installed."""
    remove(path, ["kcat"])
    makes = f"echo '#!/bin/sh' > {path}/kcat && chmod 755 {path}/kcat"
    stub(path / "apt-get", f"[ $1 != update ] && {makes}")
    assert set_up(path, root=True).returncode == 0


def test_a_mirror_that_was_not_reached_is_asked_once_for_each_package(path: Path) -> None:
    """Without a network set-up on Debian 13 would be silent for minutes: apt-get asks four times for each of 300
    packages of which it has the lists."""
    log = path.parent / "apt.log"
    remove(path, ["kcat"])
    stub(path / "apt-get", f"echo $* >> {log}; exit 1")
    set_up(path, root=True)
    assert "Acquire::Retries=0" in log.read_text().splitlines()[-1]
    stub(path / "apt-get", f"echo $* >> {log}; [ $1 = update ]")
    set_up(path, root=True)
    assert "Acquire::Retries" not in log.read_text().splitlines()[-1]


def test_a_right_that_is_missing_is_named_before_all_tests(path: Path) -> None:
    """In a container without rights some tests would fail after half an hour, and say nothing about the container."""
    stub(path / "strace", "exit 1")
    done = set_up(path, root=True)
    assert done.returncode == 1
    assert "may not attach strace to a process" in done.stderr
    assert "--cap-add=SYS_PTRACE" in done.stderr


def test_the_fault_matrix_asks_for_root_first(path: Path) -> None:
    """The rows that fill a disk would fail at the end of a long run."""
    done = set_up(path, root=False, purpose="faults")
    assert done.returncode == 1
    assert done.stderr == "This process may not mount small file systems, which tests do. Start it as root.\n"


@pytest.mark.parametrize("target", ["test", "faults", "check-deploy", "check-cluster", "setup"])
def test_each_target_looks_before_it_does_anything(target: str, path: Path, tmp_path: Path) -> None:
    """An environment would be built, and packages be fetched, before the first program is found missing."""
    remove(path, ["git"])
    stub(path / "apt-get", "exit 1")
    (path / "python3").symlink_to(sys.executable)
    done = run_as("1000", path, of_the_system("make"), target, "PYTHON=python3", f"VENV={tmp_path / 'venv'}")
    assert done.returncode != 0
    assert done.stderr.startswith("Missing here: git")
    assert done.stdout == ""
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ('openjdk version "17.0.15" 2025-04-15', (17, 0)),
        ('openjdk version "21" 2023-09-19', (21, 0)),
        ('java version "1.8.0_401"', (1, 8)),
        ("go version go1.26.8 linux/amd64", (1, 26)),
        ("v20.20.2\n", (20, 20)),
        ("", (0, 0)),
    ],
)
def test_versions_are_read_as_programs_print_them(printed: str, expected: tuple[int, int]) -> None:
    """A program that is too old would pass, or a good one be refused."""
    assert version(printed) == expected


def test_a_failed_download_names_itself_its_source_and_the_mirror(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a network, tests would fail one by one, each with the words of another program."""

    def unreachable() -> None:
        raise NotFetchedError("mvn -q -B -f failed:\nUnknown host repo.example")

    failure = fetch.Download("Kafka 4.1.0", fetch.MAVEN, unreachable).failure()
    assert failure is not None
    assert failure.startswith("Kafka 4.1.0 could not be fetched from Maven Central (a mirror: ~/.m2/settings.xml):\n")
    assert "Unknown host repo.example" in failure
    assert fetch.Download("Kafka 4.1.0", fetch.MAVEN, lambda: None).failure() is None
    assert capsys.readouterr().err == ""


def test_kubernetes_is_built_once_and_again_when_a_source_has_changed(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each check on a cluster would take 20 minutes more, or run with programs of other sources."""
    log = tmp_path / "go.log"
    stub(path / "go", f'echo "$*" >> {log}')
    monkeypatch.setenv("PATH", str(path))
    sources = tmp_path / "cluster"
    for part in ("components", "policy", "pause"):
        (sources / part).mkdir(parents=True)
        (sources / part / "main.go").write_text("package main\n")
    for name, folder in {"_CLUSTER": sources, "FOLDER": tmp_path, "PROGRAMS": tmp_path / "programs"}.items():
        monkeypatch.setattr(kubernetes, name, folder)
    for _ in range(2):
        kubernetes.build()
    assert len(log.read_text().splitlines()) == 3, "components, policy, pause"
    (sources / "policy" / "main.go").write_text("package main // other\n")
    kubernetes.build()
    assert len(log.read_text().splitlines()) == 6
    stub(path / "go", "echo no such module; exit 1")
    (sources / "pause" / "main.go").write_text("package main // other\n")
    for _ in range(2):
        with pytest.raises(NotFetchedError, match="no such module"):
            kubernetes.build()
