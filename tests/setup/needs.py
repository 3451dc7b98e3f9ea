"""The programs that the targets of make need, Debian's package for each, and what to say about those that are missing.

Pure: what is on the machine comes in as values.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

VENV = "venv"
"""Python's modules for virtual environments, which Debian packages apart."""
CERTIFICATES = "certificates"
"""The authorities that Debian trusts. Without them pip, npm, Maven and Go trust nobody."""


@dataclass(frozen=True)
class Need:
    """A program, and Debian's package with it. ``at_least``: the lowest major version that will do; 0 for any."""

    program: str
    package: str
    at_least: int = 0

    def __str__(self) -> str:
        return f"{self.program} {self.at_least} or newer" if self.at_least else self.program


@dataclass(frozen=True)
class Machine:
    """What decides about an installation: whether there is ``apt-get``, and whether it may be used."""

    debian: bool
    root: bool


_PYTHON = (
    Need(VENV, f"python{sys.version_info.major}.{sys.version_info.minor}-venv"),
    Need(CERTIFICATES, "ca-certificates"),
)
_TEST = (
    *_PYTHON,
    Need("git", "git"),
    Need("curl", "curl"),
    Need("openssl", "openssl"),
    Need("java", "default-jdk-headless", at_least=17),
    Need("javac", "default-jdk-headless"),
    Need("mvn", "maven"),
    Need("redis-server", "redis-server"),
    Need("redis-cli", "redis-tools"),
    Need("kcat", "kcat"),
    Need("sqlite3", "sqlite3"),
    Need("strace", "strace"),
    Need("nginx", "nginx-light"),
    Need("haproxy", "haproxy"),
    Need("squid", "squid"),
    Need("tinyproxy", "tinyproxy-bin"),
    Need("chromium-headless-shell", "chromium-headless-shell"),
    Need("fish", "fish"),
    Need("zsh", "zsh"),
)
_DEPLOY = (
    *_PYTHON,
    Need("git", "git"),
    Need("redis-server", "redis-server"),
    Need("prometheus", "prometheus"),
    Need("promtool", "prometheus"),
    Need("kubectl", "kubernetes-client"),
    Need("systemd-analyze", "systemd"),
    Need("buildah", "buildah"),
    Need("podman", "podman"),
    Need("runc", "runc"),
    Need("newuidmap", "uidmap"),
    Need("debootstrap", "debootstrap"),
    Need("strip", "binutils"),
)
_CLUSTER = (
    *_PYTHON,
    Need("git", "git"),
    Need("openssl", "openssl"),
    Need("java", "default-jdk-headless", at_least=17),
    Need("mvn", "maven"),
    Need("redis-server", "redis-server"),
    Need("redis-cli", "redis-tools"),
    Need("kcat", "kcat"),
    Need("buildah", "buildah"),
    Need("podman", "podman"),
    Need("newuidmap", "uidmap"),
    Need("debootstrap", "debootstrap"),
    Need("containerd", "containerd"),
    Need("runc", "runc"),
    Need("/usr/lib/cni/bridge", "containernetworking-plugins"),
    Need("ip", "iproute2"),
    Need("iptables", "iptables"),
    Need("nft", "nftables"),
    Need("conntrack", "conntrack"),
    Need("ipset", "ipset"),
)
_RELEASE = (*_PYTHON, Need("git", "git"), Need("buildah", "buildah"))
NEEDS: Mapping[str, tuple[Need, ...]] = {
    "python": _PYTHON,
    "test": _TEST,
    "faults": _TEST,
    "deploy": _DEPLOY,
    "cluster": _CLUSTER,
    "release": _RELEASE,
}
"""By what it is for; ``python`` is the environment alone. Go and Node.js are fetched (``tests/setup/fetch.py``)."""


@dataclass(frozen=True)
class Right:
    """What a process must be allowed to do. ``probe`` is a line for a shell that ends with 0 if it is."""

    what: str
    probe: str
    advice: str


_TRACE = Right(
    "attach strace to a process",
    "sleep 0.5 & exec strace -qq -o /dev/null -p $!",
    "On the host: sysctl kernel.yama.ptrace_scope=0; in a container: --cap-add=SYS_PTRACE",
)
_MOUNT = Right(
    "mount in a namespace of its own",
    "exec unshare --user --map-root-user --mount mount -t tmpfs tmpfs /tmp",
    "On Ubuntu: sysctl kernel.apparmor_restrict_unprivileged_userns=0; in a container: --privileged",
)
_IS_ROOT = "[ $(id -u) = 0 ]"
_ROOT = Right("mount small file systems", _IS_ROOT, "Start it as root")
_NODES = Right("make the network namespaces, mounts and cgroups of nodes", _IS_ROOT, "Start it as root")
RIGHTS: Mapping[str, tuple[Right, ...]] = {
    "python": (),
    "test": (_TRACE, _MOUNT),
    "faults": (_TRACE, _MOUNT, _ROOT),
    "deploy": (),
    "cluster": (_NODES,),
    "release": (),
}


def needs_of(purposes: Iterable[str]) -> tuple[Need, ...]:
    """What all of these need, each once. Raises ``KeyError`` for a purpose that there is not."""
    return tuple(dict.fromkeys(need for purpose in purposes for need in NEEDS[purpose]))


def rights_of(purposes: Iterable[str]) -> tuple[Right, ...]:
    """What all of these must be allowed, each once. Raises ``KeyError`` for a purpose that there is not."""
    return tuple(dict.fromkeys(right for purpose in purposes for right in RIGHTS[purpose]))


def version(printed: str) -> tuple[int, int]:
    """The major and minor version in what a program prints of itself; zeros if there is none."""
    found = re.search(r"(\d+)(?:\.(\d+))?", printed)
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)


def packages(missing: Iterable[Need]) -> list[str]:
    """Debian's packages for these, each once, sorted."""
    return sorted({need.package for need in missing})


def update_command() -> list[str]:
    """What fetches Debian's lists of packages. It fails where a mirror does not answer; the default is a warning."""
    return ["apt-get", "update", "-q", "-o", "APT::Update::Error-Mode=any"]


def install_command(missing: Iterable[Need], *, updated: bool = True) -> list[str]:
    """What installs these on Debian. It waits a minute where another ``apt-get`` is at work.

    Where a list has just not been fetched (``updated`` is false), it asks for each package once: since Debian 13
    apt-get asks three more times, ever later, which are minutes where nothing answers.
    """
    options = ["-q", "--yes", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=60"]
    options += [] if updated else ["-o", "Acquire::Retries=0"]
    return ["apt-get", "install", *options, *packages(missing)]


def advice(missing: Iterable[Need], machine: Machine) -> str:
    """What is missing, and the one command that installs it, where there is one."""
    missing = list(missing)
    named = f"Missing here: {', '.join(map(str, missing))}."
    if not machine.debian:
        return f"{named}\nThere is no apt-get to install them with: install them, and start again."
    names = shlex.join(["apt-get", "install", "--yes", "--no-install-recommends", *packages(missing)])
    sudo = "" if machine.root else "sudo "
    return f"{named}\nInstall them, and start again:\n\n  {sudo}apt-get update && {sudo}{names}\n"
