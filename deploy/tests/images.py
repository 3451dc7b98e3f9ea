"""The image, built by buildah over a local stand-in for the base image (local-base.sh)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from deploy.render import ROOT

PROJECT = ROOT.parent
BASE = "localhost/relay-base:stripped"


def run(*command: str, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """One command. Its output is in the failure."""
    result = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    assert result.returncode == 0 or not check, f"{' '.join(command)}\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
    return result


def make_base() -> None:
    """The stand-in, where this machine does not have it yet."""
    if run("buildah", "inspect", "--type", "image", BASE, check=False).returncode != 0:
        run(str(ROOT / "container" / "local-base.sh"), BASE, sys.executable, timeout=500)


def mounted() -> list[str]:
    """Options with which a build reaches a package index as this machine does."""
    paths = [path for path in ("/etc/pip.conf", "/etc/ssl/certs") if Path(path).exists()]
    return [part for path in paths for part in ("-v", f"{path}:{path}:ro")]


def build(tag: str, *arguments: str, context: Path = PROJECT) -> str:
    """An image built over the local base, from a checkout."""
    options = ("--isolation", "chroot", "--pull=never", "--format", "docker", "--build-arg", f"BASE={BASE}")
    given = [part for argument in arguments for part in ("--build-arg", argument)]
    run("buildah", "bud", *options, *given, *mounted(), "--tag", tag, str(context), timeout=500)
    return tag
