"""The wheel, the source archive and their bill of materials, from what is committed: ``make build``.

Two builds of one commit give the same bytes, wherever and whenever they are made: the sources are taken from git, all
times are that of the commit (https://reproducible-builds.org/docs/source-date-epoch/), and the build backend is locked.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Final

from deploy.release.materials import of_wheel

ROOT: Final = Path(__file__).resolve().parents[2]
DIST: Final = Path(os.environ.get("DIST") or ROOT / "dist")
SUMS: Final = "SHA256SUMS"


def git(*command: str) -> bytes:
    """What git prints. Raises ``CalledProcessError``."""
    return subprocess.run(["git", *command], cwd=ROOT, capture_output=True, timeout=60, check=True).stdout


def commit_time() -> str:
    """Of the last commit, in seconds since the epoch."""
    return git("log", "-1", "--format=%ct").decode().strip()


def check_out(folder: Path) -> None:
    """Puts the committed files there, and nothing else of the working copy."""
    with tarfile.open(fileobj=BytesIO(git("archive", "--format=tar", "HEAD"))) as archive:
        archive.extractall(folder, filter="data")


def build(sources: Path, target: Path, environment: Mapping[str, str] | None = None) -> list[Path]:
    """The wheel and the source archive. ``environment``: variables beside those of this process."""
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(target)]
    variables = {**os.environ, **(environment or {}), "SOURCE_DATE_EPOCH": commit_time()}
    subprocess.run(command, cwd=sources, env=variables, stdout=subprocess.DEVNULL, timeout=120, check=True)
    return sorted(target.glob("relay_bridge-*"))


def sums(files: Iterable[Path]) -> str:
    """As ``sha256sum`` writes and checks them."""
    return "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files)


def main() -> int:
    """Writes all of it to ``dist``, and removes what was there."""
    shutil.rmtree(DIST, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        sources = Path(scratch, "sources")
        sources.mkdir()
        check_out(sources)
        built = build(sources, DIST)
        (wheel,) = (path for path in built if path.suffix == ".whl")
        materials = of_wheel(wheel, sources, Path(scratch, "environment"))
    listed = DIST / f"{wheel.name.removesuffix('.whl')}.cdx.json"
    listed.write_bytes(materials)
    (DIST / SUMS).write_text(sums([*built, listed]))
    print((DIST / SUMS).read_text(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
