"""nginx as users put it before several relays: deals requests out in turn, passes over who does not listen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.services.ports import free_port
from tests.services.programs import Listening, executable

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


class Nginx(Listening):
    """With its defaults: a request goes to another relay only if it was not sent yet."""

    def __init__(self, directory: Path, ports: Sequence[int] = (), *, site: str = "", port: int = 0) -> None:
        """``site``: a configuration of its own, which listens on ``port``."""
        super().__init__(port or free_port())
        self.directory = directory
        servers = "\n".join(f"    server 127.0.0.1:{port} max_fails=0;" for port in ports)
        self._site = site or _SITE.format(servers=servers, port=self.port)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        self.directory.mkdir(parents=True, exist_ok=True)
        config = self.directory / "nginx.conf"
        config.write_text(_CONFIG.format(directory=self.directory, site=self._site))
        return [executable("nginx"), "-c", str(config), "-e", str(self.directory / "error.log")]
