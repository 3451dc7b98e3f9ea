"""An empty Debian, and what the README promises on it: ``make check-machine``, as root, about a quarter of an hour.

debootstrap makes a root with Python, make and git in it and nothing else; HEAD is cloned into it. Then somebody without
rights, root without a network, and root run what the README says. Each step is bounded in time. Mounts and processes
are in namespaces of their own: they end with the step. The mirror is the one that this machine uses, or
``RELAY_DEBIAN_MIRROR``; what it trusts, and the variables that name mirrors, go along.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROJECT: Final = Path(__file__).resolve().parents[2]
VISITOR: Final = 1000
"""The user without rights."""
HOMES: Final = {0: "srv/root", VISITOR: "srv/visitor"}
"""Where each user's clone is, below the root; each is that user's home as well."""
_AUTHORITIES: Final = Path("usr/local/share/ca-certificates")
_MIRRORS: Final = ("http_proxy", "https_proxy", "no_proxy", "pip_", "npm_config_", "goproxy", "gosumdb", "node_extra_")
"""How the names begin of variables that say where packages come from."""

# pivot_root, not chroot: in a chroot nobody may make a user namespace, which Chromium and some tests do. bash is the
# first process and collects the orphans.
ENTER: Final = """
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys 2>/dev/null || true
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/pts dev/shm
for device in null zero full random urandom tty; do touch dev/$device; mount --bind /dev/$device dev/$device; done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr
pivot_root . mnt
cd /
umount -l /mnt
cd "$2"
user=$3
shift 3
setpriv --reuid="$user" --regid="$user" --clear-groups -- "$@"
"""


@dataclass(frozen=True)
class Step:
    """A command of one user. ``says``: what it has to print, or it is not as promised; ``within`` is in seconds."""

    title: str
    command: Sequence[str]
    within: float
    user: int = 0
    network: bool = True
    succeeds: bool = True
    says: Sequence[str] = ()


SELECTION: Final = (
    "tests/integration/test_kafka_sink.py::test_events_follow_the_contract",
    "tests/integration/test_redis_sink.py::test_lost_replies_do_not_double",
    "tests/e2e/test_console.py::test_live_events_appear_as_they_happen",
    "tests/faults/test_rolling_update.py",
    "tests/integration/test_completion.py",
    "tests/docs/test_commands.py::test_the_commands_of_a_page_do_what_it_says[README.md]",
    "tests/docs/test_commands.py::test_the_commands_of_a_page_do_what_it_says[docs/tutorial.md]",
    "tests/e2e/test_consumer_examples.py::test_each_event_has_its_effect_once",
)
"""Kafka, Redis, Chromium, nginx, the shells, README and tutorial word by word, examples in Python, Node, Go, Java."""


def steps(every_test: bool) -> Iterator[Step]:
    """What is done, one after the other, on a machine that is empty before the first."""
    make_test, set_up = ("make", "test"), ("make", "setup-test")
    command = "sudo apt-get update && sudo apt-get install"
    yield Step("make test without rights", make_test, 30, VISITOR, succeeds=False, says=("Missing here: ", command))
    asked = ("apt-get asked the mirrors", "/etc/apt/sources.list")
    yield Step("make test without a network", make_test, 120, network=False, succeeds=False, says=asked)
    good = "Every task and every chat has exactly one terminal event."
    yield Step("make demo ARGS=--once", ("make", "demo", "ARGS=--once"), 900, says=(good,))
    yield Step("what make test does first", set_up, 2400)
    yield Step("the same again", set_up, 60)
    yield Step("and without rights", ("python3", "-m", "tests.setup", "test"), 30, VISITOR)
    yield Step("an SDK is lost", ("sh", "-c", "rm -r .cache/sdks/openai-1-*"), 30)
    named = ("the SDK openai-1 could not be fetched from PyPI", "PIP_INDEX_URL")
    yield Step("and there is no network", set_up, 300, network=False, succeeds=False, says=named)
    yield Step("some tests", ("make", "test", f"ARGS=-q {' '.join(SELECTION)}"), 1800, says=(" passed",))
    if every_test:
        yield Step("make test", make_test, 7200, says=(" passed",))


def run(machine: Path, step: Step) -> str:
    """Does a step. Answers what is not as promised; nothing if all is."""
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", *([] if step.network else ["--net"])]
    inside = [str(machine), f"/{HOMES[step.user]}/relay", str(step.user), *step.command]
    try:
        done = subprocess.run(
            [*namespaces, "bash", "-c", ENTER, "enter", *inside],
            env=environment(machine, step.user),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=step.within,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        printed = error.output.decode(errors="replace") if error.output else ""
        return f"{printed[-4000:]}\nIt took more than {step.within:.0f} s."
    silent = [words for words in step.says if words not in done.stdout]
    if (done.returncode == 0) is not step.succeeds or silent:
        return f"{done.stdout[-6000:]}\nIt ended with {done.returncode} and did not say {silent}."
    print(f"    {done.stdout[-1500:].strip()}".replace("\n", "\n    "), flush=True)
    return ""


def environment(machine: Path, user: int) -> dict[str, str]:
    """A new user's variables, and those of this machine that say where packages come from."""
    mirrors = {name: value for name, value in os.environ.items() if name.lower().startswith(_MIRRORS)}
    if any((machine / _AUTHORITIES).glob("*.crt")):  # Node.js has its own list
        mirrors["NODE_EXTRA_CA_CERTS"] = "/etc/ssl/certs/ca-certificates.crt"
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {**mirrors, "PATH": path, "HOME": f"/{HOMES[user]}", "LANG": "C.UTF-8", "TERM": "dumb"}


def build(machine: Path, suite: str) -> None:
    """An empty Debian that reaches what this machine reaches, with a clone of HEAD for each user."""
    mirror = os.environ.get("RELAY_DEBIAN_MIRROR") or mirror_of_this_machine()
    include = "--include=python3,make,git"
    command = ["debootstrap", "--variant=minbase", include, suite, str(machine), *([mirror] if mirror else [])]
    subprocess.run(command, stdout=subprocess.DEVNULL, timeout=900, check=True)
    shutil.copy("/etc/resolv.conf", machine / "etc/resolv.conf")
    (machine / "etc/hosts").write_text(f"127.0.0.1 localhost {platform.node()}\n::1 localhost\n")
    starts_nothing = machine / "usr/sbin/policy-rc.d"  # as in images of containers: there is no init to start servers
    starts_nothing.write_text("#!/bin/sh\nexit 101\n")
    starts_nothing.chmod(0o755)
    (machine / _AUTHORITIES).mkdir(parents=True)
    for authority in Path("/", _AUTHORITIES).glob("*.crt"):
        shutil.copy(authority, machine / _AUTHORITIES)
    for user, home in HOMES.items():
        clone = ["git", "clone", "--quiet", "--depth=1", f"file://{PROJECT}", str(machine / home / "relay")]
        subprocess.run(clone, timeout=120, check=True)
        subprocess.run(["chown", "-R", f"{user}:{user}", str(machine / home)], timeout=60, check=True)


def mirror_of_this_machine() -> str:
    """Where this machine takes Debian from; nothing if it is not a Debian."""
    if shutil.which("apt-get") is None:
        return ""
    names = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"]
    printed = subprocess.run(names, capture_output=True, text=True, timeout=30, check=True).stdout
    found = [line.split() for line in printed.splitlines()]
    return next((uri for uri, release, component in found if (release, component) == (codename(), "main")), "")


def codename() -> str:
    """The release of this machine."""
    return platform.freedesktop_os_release().get("VERSION_CODENAME", "stable")


def main() -> int:
    """Builds the machine, does the steps, removes it. Answers the exit code."""
    parser = argparse.ArgumentParser(prog="make check-machine", description="The README's commands on an empty Debian.")
    parser.add_argument("--suite", default=codename(), help="the release of Debian; by default this machine's")
    parser.add_argument("--all", action="store_true", help="in the end all of make test: an hour more")
    options = parser.parse_args()
    lacking = [name for name in ("debootstrap", "git", "unshare", "setpriv") if shutil.which(name) is None]
    if os.geteuid() or lacking:
        print(f"It needs root, debootstrap, git and util-linux. Missing: {lacking or 'root'}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="relay-machine-") as folder:
        machine = Path(folder, "root")
        return 1 if failing(machine, options.suite, options.all) else 0


def failing(machine: Path, suite: str, every_test: bool) -> str:
    """Reports each step as it ends. Answers what the first that is not as promised said."""
    began = time.monotonic()
    build(machine, suite)
    print(f"{time.monotonic() - began:6.1f} s  an empty Debian: {suite}", flush=True)
    for step in steps(every_test):
        began = time.monotonic()
        wrong = run(machine, step)
        print(f"{time.monotonic() - began:6.1f} s  {step.title}", flush=True)
        if wrong:
            print(f"\nNot as promised: {wrong}", file=sys.stderr)
            return wrong
    if (machine / HOMES[VISITOR] / "relay/.venv").exists():
        return "An environment was built for somebody who lacks programs."
    return ""


if __name__ == "__main__":
    sys.exit(main())
