"""The bill of materials of the wheel, in CycloneDX 1.6: what it brings along, in the versions that were tested."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

import orjson

SPECIFICATION: Final = "1.6"


def install(wheel: Path, requirements: Path, environment: Path) -> Path:
    """Installs the wheel and the locked requirements into a new, empty environment; answers its Python."""
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "install", "--quiet"]
    locked = ["--require-hashes", "--only-binary=:all:", "-r", str(requirements)]
    subprocess.run([*pip, *locked], timeout=600, check=True)
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], timeout=60, check=True)
    return python


def of_wheel(wheel: Path, sources: Path, environment: Path) -> bytes:
    """The bill of materials of a wheel, looked up where it is really installed. The same wheel gives the same bytes."""
    python = install(wheel, sources / "requirements/run.txt", environment)
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible", "--validate"]
    options = ["--spec-version", SPECIFICATION, "--pyproject", str(sources / "pyproject.toml")]
    done = subprocess.run([*command, *options, str(python)], capture_output=True, timeout=120, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.decode())
    return _identified(done.stdout, wheel)


def _identified(materials: bytes, wheel: Path) -> bytes:
    """The same with the wheel's version and hash: pyproject.toml, which it was made from, has neither."""
    document = orjson.loads(materials)
    name, version, *_ = wheel.name.split("-")
    name = name.replace("_", "-")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    document["metadata"]["component"] |= {
        "version": version,
        "purl": f"pkg:pypi/{name}@{version}",
        "hashes": [{"alg": "SHA-256", "content": digest}],
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
