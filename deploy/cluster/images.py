"""The archives that the nodes' containerd gets: the relay's image, as the Dockerfile makes it, and the sandbox's."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from deploy.cluster.nodes import SANDBOX
from deploy.cluster.release import BEFORE, IMAGE
from deploy.tests.images import PROJECT, build, make_base

_INTO_THE_IMAGE = ("Dockerfile", "pyproject.toml", "README.md", "LICENSE", "relay", "requirements", "deploy/container")
"""What .dockerignore lets in, and the recipe."""


def archives(folder: Path, programs: Path) -> list[Path]:
    """Both, made again where what goes into them has changed."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_sandbox(folder / "sandbox.tar", programs), _relay(folder)]


def before(folder: Path, commit: str) -> tuple[Path, Path]:
    """The relay's image of an earlier commit, and that commit's chart. ``commit``: all 40 digits."""
    source, archive = folder / f"before-{commit}", folder / f"before-{commit}.tar"
    if not archive.exists():
        shutil.rmtree(source, ignore_errors=True)
        source.mkdir(parents=True)
        packed = ["git", "-C", str(PROJECT), "archive", commit, *_INTO_THE_IMAGE, ".dockerignore", "deploy/helm"]
        files = subprocess.run(packed, check=True, capture_output=True, timeout=60).stdout
        subprocess.run(["tar", "--extract", "--directory", str(source)], input=files, check=True, timeout=60)
        make_base()
        name = f"{BEFORE['repository']}:{BEFORE['tag']}"
        _archive(build(name, context=source), name, archive)
    return archive, source / "deploy" / "helm" / "relay"


def commit_of(revision: str) -> str:
    """All 40 digits. Raises ``CalledProcessError`` where there is no such commit."""
    return _run("git", "-C", str(PROJECT), "rev-parse", "--verify", f"{revision}^{{commit}}")


def _relay(folder: Path) -> Path:
    archive = folder / f"relay-{_digest()}.tar"
    if not archive.exists():
        for old in folder.glob("relay-*.tar"):
            old.unlink()
        make_base()
        name = f"{IMAGE['repository']}:{IMAGE['tag']}"
        _archive(build(name), name, archive)
    return archive


def _sandbox(archive: Path, programs: Path) -> Path:
    pause = programs / "pause"
    if not archive.exists() or archive.stat().st_mtime < pause.stat().st_mtime:
        container = _run("buildah", "from", "scratch")
        _run("buildah", "add", "--quiet", container, str(pause), "/pause")
        _run("buildah", "config", "--entrypoint", '["/pause"]', container)
        _run("buildah", "commit", "--quiet", "--format", "docker", "--rm", container, SANDBOX)
        _archive(SANDBOX, SANDBOX, archive)
    return archive


def _archive(image: str, name: str, archive: Path) -> None:
    """Complete or not there."""
    part = archive.with_suffix(".part")
    part.unlink(missing_ok=True)
    _run("buildah", "push", "--quiet", image, f"docker-archive:{part}:{name}")
    part.rename(archive)


def _digest() -> str:
    """Of all that goes into the relay's image."""
    found = hashlib.sha256()
    for top in _INTO_THE_IMAGE:
        path = PROJECT / top
        files = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
        for file in files:
            if "__pycache__" not in file.parts:
                found.update(f"{file.relative_to(PROJECT)}\0".encode() + file.read_bytes() + b"\0")
    return found.hexdigest()[:16]


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout.strip()
