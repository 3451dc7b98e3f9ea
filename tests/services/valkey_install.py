"""Valkey 8, once in ``.cache``: the programs that Debian packages, unpacked beside those of the machine.

Debian 12 has it in its backports only, and the package would replace nothing but start a server by itself.
"""

from __future__ import annotations

import hashlib
import lzma
import platform
import re
import urllib.request
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from tests.setup.cache import NotFetchedError, cached, run_installer

MIRROR: Final = "https://deb.debian.org/debian"
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_PACKAGES: Final = ("valkey-tools", "valkey-server")
_LOCK: Final = f"{MIRROR} bookworm-backports {' '.join(_PACKAGES)} 8".encode()
_WITHIN: Final = 120.0


@cache
def valkey_server() -> str:
    """The path of ``valkey-server``, fetched the first time. Raises ``NotFetchedError``."""
    return str(cached("programs/valkey", _LOCK, _unpack) / "usr" / "bin" / "valkey-server")


def _unpack(folder: Path) -> None:
    for path, digest in _listed():
        package = folder / path.rpartition("/")[2]
        data = _read(path)
        if hashlib.sha256(data).hexdigest() != digest:
            raise NotFetchedError(f"{MIRROR}/{path} is not what the list of packages says it is")
        package.write_bytes(data)
        run_installer(["dpkg-deb", "--extract", str(package), str(folder)], folder)
        package.unlink()


def _listed() -> Iterator[tuple[str, str]]:
    """Where each package is, and its SHA-256."""
    architecture = _ARCHITECTURES.get(platform.machine())
    if architecture is None:
        raise NotFetchedError(f"there is no valkey-server for {platform.machine()} here")
    index = lzma.decompress(_read(f"dists/bookworm-backports/main/binary-{architecture}/Packages.xz")).decode()
    for name in _PACKAGES:
        entry = re.search(rf"^Package: {name}\n(?:.+\n)+", index, re.MULTILINE)
        fields = dict(re.findall(r"^(Version|Filename|SHA256): (.+)$", entry[0], re.MULTILINE)) if entry else {}
        if not fields.get("Version", "").startswith("8."):
            raise NotFetchedError(f"bookworm-backports has no {name} 8")
        yield fields["Filename"], fields["SHA256"]


def _read(path: str) -> bytes:
    try:
        with urllib.request.urlopen(f"{MIRROR}/{path}", timeout=_WITHIN) as answer:
            return bytes(answer.read())
    except OSError as error:
        raise NotFetchedError(f"{MIRROR}/{path}: {error}") from error
