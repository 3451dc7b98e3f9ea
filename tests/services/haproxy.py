"""HAProxy as users put it before relay: it passes TCP on, and says by the PROXY protocol for whom."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Final, Self

from tests.services.ports import free_port
from tests.services.programs import executable

_CONFIG: Final = """
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen relay
  bind 127.0.0.1:{port}
  server relay 127.0.0.1:{target} send-proxy-v2 check inter 200ms
"""


class Haproxy:
    """``async with``: what connects to ``port`` gets to ``target``, with a header of version 2 before it."""

    def __init__(self, folder: Path, target: int) -> None:
        self.port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self._config = folder / "haproxy.cfg"
        self._config.write_text(_CONFIG.format(port=self.port, target=target))
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        self._process = subprocess.Popen([executable("haproxy"), "-db", "-f", str(self._config)])  # noqa: ASYNC220
        async with asyncio.timeout(10):
            while not await self._listens():
                await asyncio.sleep(0.02)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        await asyncio.to_thread(self._process.wait, 10)

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True
