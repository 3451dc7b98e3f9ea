"""The cgroups under which the kubelets put their pods, in cgroup v1 or v2."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_CONTROLLERS = "+cpu +cpuset +io +memory +pids"


def make(name: str) -> None:
    """One group in each hierarchy."""
    if _is_v2():
        with suppress(OSError):  # they are on already, or belong to somebody who says so
            (_ROOT / "cgroup.subtree_control").write_text(_CONTROLLERS)
    for hierarchy in _hierarchies():
        group = hierarchy / name
        group.mkdir(exist_ok=True)
        if hierarchy.name == "cpuset":  # empty, nothing could run in it
            for file in ("cpuset.cpus", "cpuset.mems"):
                (group / file).write_text((hierarchy / file).read_text())


def thaw(name: str) -> None:
    """Lets everything in it go on: what is frozen does not end when it is killed."""
    for hierarchy in _hierarchies():
        for file, word in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
            for switch in (hierarchy / name).rglob(file):
                switch.write_text(word)


def remove(name: str) -> None:
    """With all below it; nothing runs in them any more."""
    for hierarchy in _hierarchies():
        for folder, _, _ in os.walk(hierarchy / name, topdown=False):
            os.rmdir(folder)


def _is_v2() -> bool:
    return (_ROOT / "cgroup.controllers").exists()


def _hierarchies() -> list[Path]:
    """The roots of those of v1, or the one of v2."""
    if _is_v2():
        return [_ROOT]
    return [each for each in _ROOT.iterdir() if not each.is_symlink() and (each / "cgroup.procs").exists()]
