"""Kubernetes itself, built from the Go module proxy into ``.cache/cluster/bin``: for ``make check-cluster``."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from typing import Final

from tests.setup.cache import CACHE, ROOT, run_installer

VERSION: Final = "v1.37.2"
FOLDER: Final = CACHE / "cluster"
PROGRAMS: Final = FOLDER / "bin"
COMPONENTS: Final = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
)
"""All of them are one program, which does what the name says that it is called by."""

_CLUSTER: Final = ROOT / "deploy" / "cluster"
_HELM: Final = "helm.sh/helm/v3/cmd/helm"
_TIMEOUT: Final = 5400.0


def build() -> None:
    """Builds it where it is missing or one of its sources has changed. Raises ``NotFetchedError``."""
    note, sources = PROGRAMS / "sources", _sources()
    if note.exists() and note.read_text() == sources:
        return
    print(f"Building Kubernetes {VERSION}; this takes 10 to 20 minutes, once.", file=sys.stderr, flush=True)
    PROGRAMS.mkdir(parents=True, exist_ok=True)
    caches = FOLDER / "build"
    try:
        _go("components", "-tags", "providerless,dockerless", *_stamped(), "-o", f"{PROGRAMS}/", ".", _HELM)
        _go("policy", "-ldflags", "-s -w", "-o", str(PROGRAMS / "policy"), ".")
        _go("pause", "-ldflags", "-s -w", "-o", str(PROGRAMS / "pause"), "main.go")
    finally:
        shutil.rmtree(caches, ignore_errors=True)  # 7.5 GB
    for name in COMPONENTS:
        (PROGRAMS / name).unlink(missing_ok=True)
        (PROGRAMS / name).symlink_to("components")
    note.write_text(sources)


def _go(part: str, *arguments: str) -> None:
    environment = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOFLAGS": "-p=2 -buildvcs=false -trimpath -modcacherw",
        "GOCACHE": str(FOLDER / "build" / "objects"),
        "GOMODCACHE": str(FOLDER / "build" / "modules"),
    }
    run_installer(["go", "build", *arguments], _CLUSTER / part, environment, _TIMEOUT)


def _stamped() -> tuple[str, str]:
    """The linker's options that have the programs tell their version."""
    major, minor, _ = VERSION.removeprefix("v").split(".")
    values = {"gitVersion": VERSION, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    stamps = " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in values.items())
    return "-ldflags", f"-s -w {stamps}"


def _sources() -> str:
    """A hash of all that the programs are built from, and a line feed."""
    found = hashlib.sha256(f"{VERSION}\n".encode())
    for part in ("components", "policy", "pause"):
        for file in sorted((_CLUSTER / part).iterdir()):
            found.update(file.read_bytes())
    return f"{found.hexdigest()}\n"
