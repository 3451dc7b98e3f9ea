"""nginx as users put it before several relays: deals requests out in turn, passes over who does not listen."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from tests.services.ports import free_port

_CONFIG = """
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log {directory}/access.log;
  client_body_buffer_size 2m;  # of root's nginx the worker is another user, who may not write to a test's folder
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
{site}
}}
"""

_SITE = """
  upstream relays {{
{servers}
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://relays;
      proxy_connect_timeout 5s;
    }}
  }}
"""


class Nginx:
    """``async with``: it answers. With its defaults: a request goes to another relay only if it was not sent yet."""

    def __init__(self, directory: Path, ports: Sequence[int] = (), *, site: str = "", port: int = 0) -> None:
        """``site``: a configuration of its own, which listens on ``port``."""
        self.directory = directory
        self.port = port or free_port()
        servers = "\n".join(f"    server 127.0.0.1:{port} max_fails=0;" for port in ports)
        self._site = site or _SITE.format(servers=servers, port=self.port)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        config = self.directory / "nginx.conf"
        config.write_text(_CONFIG.format(directory=self.directory, site=self._site))
        self._process = subprocess.Popen(["nginx", "-c", str(config), "-e", str(self.directory / "error.log")])  # noqa: ASYNC220
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
