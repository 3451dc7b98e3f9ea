"""A real schema registry on loopback: Apicurio, which speaks Confluent's API, with its data in memory."""

from __future__ import annotations

import contextlib
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.ports import free_port
from tests.services.programs import executable
from tests.setup.cache import CACHE, locked, run_installer

START_TIMEOUT = 90.0
_CACHE = CACHE / "registry"
_POM = Path(__file__).parent / "maven" / "registry" / "pom.xml"


def unpacked() -> Path:
    """The folder with the registry, fetched by Maven the first time; safe to call from several processes at once.

    Raises ``NotFetchedError``.
    """
    _CACHE.mkdir(parents=True, exist_ok=True)
    with locked(_CACHE / "lock"):
        if not (_CACHE / "complete").exists():
            goal = ["dependency:unpack", f"-DoutputDirectory={_CACHE / 'app'}", f"-Dmarkers={_CACHE / 'markers'}"]
            run_installer(["mvn", "-q", "-B", "-f", str(_POM), *goal], _CACHE)
            (_CACHE / "complete").touch()
    return _CACHE / "app"


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of its API as Confluent's clients know it. Shared: each test has a prefix of its own."""
    (jar,) = unpacked().glob("*-runner.jar")
    port, folder = free_port(), tmp_path_factory.mktemp("registry")
    options = ("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dquarkus.http.host=127.0.0.1")
    with (folder / "output.log").open("wb") as log:
        process = subprocess.Popen(
            [executable("java"), *options, f"-Dquarkus.http.port={port}", "-jar", str(jar)],
            stdout=log,
            stderr=log,
            cwd=jar.parent,
        )
    url = f"http://127.0.0.1:{port}/apis/ccompat/v7"
    try:
        _wait_until_answering(url, process, folder / "output.log")
        yield url
    finally:
        process.kill()
        process.wait(timeout=30)


def _wait_until_answering(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the registry has ended: {log.read_text()[-2000:]}")
        with contextlib.suppress(urllib.error.URLError, ConnectionError), urllib.request.urlopen(f"{url}/subjects"):
            return
        time.sleep(0.1)
    raise TimeoutError("the registry does not answer")
