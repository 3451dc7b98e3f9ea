"""What builds the site, as ``requirements/site.txt`` locks it: from PyPI, once, into ``.cache``."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

from docs.site import lay_out
from tests.docs.pages import ROOT
from tests.setup.cache import cached, pip_install

WITHIN = 300.0
"""Seconds; on an idle machine it takes 10."""


def generator() -> Path:
    """The folder with MkDocs, and what it needs."""
    lock = ROOT / "requirements/site.txt"
    tag = f"{sys.version_info.major}.{sys.version_info.minor}"
    return cached(f"site-py{tag}", lock.read_bytes(), partial(pip_install, lock))


def laid_out_in(folder: Path, source: str) -> Path:
    """The pages, and the configuration beside them, as ``make site`` has them."""
    lay_out(folder / "build/site/pages", source)
    (folder / "mkdocs.yml").write_text((ROOT / "mkdocs.yml").read_text("utf-8"), "utf-8")
    return folder / "build/site/pages"


def build(folder: Path) -> tuple[int, str]:
    """Builds the site in a folder, strictly. Answers the exit code and what was said."""
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(generator()), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=WITHIN,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr
