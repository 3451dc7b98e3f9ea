"""The programs beside Python that the tests need."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

_PACKAGES = {
    "java": "default-jre-headless",
    "javac": "default-jdk-headless",
    "mvn": "maven",
    "kcat": "kcat",
    "node": "nodejs",
    "npm": "npm",
    "fish": "fish",
    "zsh": "zsh",
}


def executable(name: str) -> str:
    """The path of a program that the tests need; installed where that is possible, and never skipped."""
    found = shutil.which(name)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", _PACKAGES[name]]
        subprocess.run(install, timeout=600, capture_output=True, check=False)
        found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is missing: install it (Debian: apt-get install {_PACKAGES[name]}).")
    return found
