"""A relay as a user runs it: its own process, its own configuration file, killed by its pid."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from tests.services.ports import free_port

TOKEN = "test-token-of-enough-length-0123456789"
START_TIMEOUT = 120.0
"""Seconds; on two cores that ran 17 things at once, a start took 57."""
_ENVIRONMENT = {"SSL_CERT_FILE": os.devnull}
"""No authorities: 140 of them take 27 ms to read, and no relay under test may reach the real upstream."""
_KEPT_FROM_IT = ("RELAY_", "PYTHONDONTWRITE")


class RelayProcess:
    """``relay serve`` with a configuration of its own. ``start`` returns when it is ready.

    ``public``: it adds its own address to what is submitted through it.
    """

    def __init__(
        self, directory: Path, *, sinks: list[Mapping[str, Any]] | None = None, public: bool = False, **sections: Any
    ) -> None:
        self.directory = directory
        self.port, self.admin_port = free_port(), free_port()
        config: dict[str, Any] = {
            "server": {"port": self.port, "public_url": self.url if public else None},
            "admin": {"port": self.admin_port},
            "journal": {"path": str(directory / "relay.db")},
            "webhooks": {"novita": {"tokens": [TOKEN]}},
            "identity": "test-relay",
            "sinks": [dict(sink) for sink in sinks or []],
        }
        for name, section in sections.items():
            config[name] = {**config[name], **section} if isinstance(config.get(name), dict) else section
        self.journal = Path(config["journal"]["path"])
        directory.mkdir(parents=True, exist_ok=True)
        self.config = directory / "relay.yaml"
        self.config.write_text(json.dumps(config))  # JSON is YAML
        self.log = directory / "relay.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.pass_fds: tuple[int, ...] = ()
        """Descriptors that the process gets, under the same numbers."""
        self._before: list[str] = []

    def configure(self, **sections: Any) -> None:
        """Changes the configuration, section by section; the next start reads it."""
        config = json.loads(self.config.read_text())
        for name, section in sections.items():
            config[name] = {**config[name], **section} if isinstance(config.get(name), dict) else section
        self.config.write_text(json.dumps(config))

    @property
    def url(self) -> str:
        """The main listener."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def admin_url(self) -> str:
        """The admin listener."""
        return f"http://127.0.0.1:{self.admin_port}"

    @property
    def webhook_url(self) -> str:
        """Where a delivery goes, the token included."""
        return f"{self.url}/webhooks/novita/{TOKEN}"

    @property
    def pid(self) -> int:
        """Of the process under way."""
        assert self.process is not None
        return self.process.pid

    def resolve_by(self, hosts: Path) -> None:
        """The next start finds addresses in this file instead of ``/etc/hosts``, in a mount namespace of its own."""
        mount = f'mount --bind {hosts} /etc/hosts && exec "$@"'
        self._before = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh"]

    def launch(self, *program: str) -> None:
        """Starts the process without waiting for it. ``program`` is what stands for ``relay`` after ``python -m``."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._before, sys.executable, "-m", *(program or ("relay",)), "serve", "--config", str(self.config)],
                stdout=log,
                stderr=log,
                pass_fds=self.pass_fds,
                env={**_ENVIRONMENT, **{k: v for k, v in os.environ.items() if not k.startswith(_KEPT_FROM_IT)}},
            )

    async def start(self, *program: str) -> float:
        """Starts the process; answers the seconds until it was ready."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        self.launch(*program)
        assert self.process is not None
        try:
            async with asyncio.timeout(START_TIMEOUT), aiohttp.ClientSession() as session:
                while not await self._ready(session):
                    if self.process.poll() is not None:
                        said = self.log.read_text()[-4000:]
                        raise AssertionError(f"relay ended with {self.process.returncode}:\n{said}")
                    await asyncio.sleep(0.02)
        except BaseException:
            self.kill()  # nobody else would: who starts it has nothing in hand yet
            raise
        return loop.time() - started

    async def _ready(self, session: aiohttp.ClientSession) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with session.get(f"{self.admin_url}/readyz") as response:
                return response.status == 200
        return False

    async def ready(self) -> tuple[int, list[str]]:
        """What ``/readyz`` answers: its status, and the codes of its reasons."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.admin_url}/readyz") as response:
            reasons = (await response.json())["reasons"]
            return response.status, [str(reason).partition(":")[0] for reason in reasons]

    def kill(self) -> None:
        """``kill -9``, now."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def pause(self) -> None:
        """Hangs the process (SIGSTOP)."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    async def stop(self, within: float = 30.0) -> int:
        """SIGTERM; answers the exit code."""
        assert self.process is not None
        self.process.terminate()
        return await self.ended(within)

    async def ended(self, within: float) -> int:
        """Waits for the process to end by itself; answers the exit code."""
        assert self.process is not None
        return await asyncio.to_thread(self.process.wait, within)

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that carry these labels."""
        total = 0.0
        for line in (await self.exposition()).splitlines():
            sample, _, value = line.rpartition(" ")
            if sample.partition("{")[0] == name and all(f'{k}="{v}"' in sample for k, v in labels.items()):
                total += float(value)
        return total

    async def exposition(self) -> str:
        """All metrics, as they are scraped."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.admin_url}/metrics") as response:
            return await response.text()

    async def until_logged(self, words: str, within: float = 10.0) -> None:
        """Returns when the log holds these words."""
        async with asyncio.timeout(within):
            while words not in self.log.read_text():
                await asyncio.sleep(0.02)

    async def until_drained(self, within: float = 60.0) -> None:
        """Returns when every sink has everything."""
        async with asyncio.timeout(within):
            while await self.metric("relay_publish_lag_events"):
                await asyncio.sleep(0.1)
