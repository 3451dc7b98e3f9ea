"""SeaweedFS on loopback: a real server of S3's API, with buckets and one identity, which a test may kill and restart.

Built from the Go module proxy into ``.cache``, the first time in a few minutes: its module replaces others, so ``go
install`` refuses it, and a module of its own (``weed/``) depends on it.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Final

from tests.services.ports import free_port
from tests.setup.cache import cached, run_installer

MODULE: Final = Path(__file__).with_name("weed")
START_TIMEOUT: Final = 60.0
ACCESS_KEY, SECRET_KEY = "relay-test", "relay-test-secret"
_BUILD_TIMEOUT: Final = 3600.0
_PACKAGE: Final = "github.com/seaweedfs/seaweedfs/weed"
_IDENTITY: Final = {
    "name": "relay",
    "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
    "actions": ["Admin", "Read", "Write", "List", "Tagging"],
}


@cache
def weed() -> Path:
    """The program. Raises ``NotFetchedError``."""
    lock = (MODULE / "go.mod").read_bytes() + (MODULE / "go.sum").read_bytes()
    return cached("programs/weed", lock, _build) / "weed"


def _build(folder: Path) -> None:
    caches = folder / "build"
    environment = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOFLAGS": "-p=2 -buildvcs=false -trimpath -modcacherw",
        "GOCACHE": str(caches / "objects"),
        "GOMODCACHE": str(caches / "modules"),
    }
    command = ["go", "build", "-ldflags", "-s -w", "-o", str(folder / "weed"), _PACKAGE]
    try:
        run_installer(command, MODULE, environment, _BUILD_TIMEOUT)
    finally:
        shutil.rmtree(caches, ignore_errors=True)  # 5 GB


class SeaweedFS:
    """Keeps its objects in ``folder``. ``options``: what a store of relay's needs to reach it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self.port = folder, free_port()
        self._ports = {
            "-master.port": free_port(),
            "-master.port.grpc": free_port(),
            "-volume.port": free_port(),
            "-volume.port.grpc": free_port(),
            "-filer.port": free_port(),
            "-filer.port.grpc": free_port(),
            "-s3.port": self.port,
            "-s3.port.grpc": free_port(),
            "-s3.port.iceberg": 0,
            "-s3.port.lance": 0,
        }
        self._identities = folder / "s3.json"
        self._identities.write_text(json.dumps({"identities": [_IDENTITY]}))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def options(self) -> dict[str, str]:
        return {
            "endpoint": self.url,
            "region": "us-east-1",
            "access_key_id": ACCESS_KEY,
            "secret_access_key": SECRET_KEY,
        }

    async def start(self) -> None:
        """Returns when objects can be stored."""
        ports = [f"{name}={port}" for name, port in self._ports.items()]
        config = [f"-dir={self._folder}", "-filer", "-s3", f"-s3.config={self._identities}"]
        small = ["-master.volumeSizeLimitMB=64", "-volume.max=0", "-master.telemetry=false"]
        local = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220
                [weed(), "-logtostderr", "server", *config, *small, *local, *ports], stdout=log, stderr=log
            )
        async with asyncio.timeout(START_TIMEOUT):
            while not await asyncio.to_thread(self._stores):
                await asyncio.sleep(0.1)

    def _stores(self) -> bool:
        """Whether an object can be put; an identity with all rights creates the bucket with it."""
        import obstore
        from obstore.exceptions import BaseError
        from obstore.store import S3Store

        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "log").read_text()[-2000:]
        options = {**self.options, "client_options": {"allow_http": True}, "retry_config": {"max_retries": 0}}
        try:
            obstore.put(S3Store("outputs", **options), "started", b"x")
        except (BaseError, FileNotFoundError):
            return False
        return True

    async def kill(self) -> None:
        """As a crash does."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        await self._end(signal.SIGTERM)

    async def _end(self, by: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(by)
            await asyncio.to_thread(self._process.wait, START_TIMEOUT)
            self._process = None


@asynccontextmanager
async def seaweedfs(folder: Path) -> AsyncIterator[SeaweedFS]:
    """One that runs, with a bucket ``outputs``."""
    server = SeaweedFS(folder)
    await server.start()
    try:
        yield server
    finally:
        await server.kill()
