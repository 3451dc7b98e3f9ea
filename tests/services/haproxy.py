"""HAProxy as users put it before relay: it passes TCP on, and says by the PROXY protocol for whom."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.services.ports import free_port
from tests.services.programs import Listening, executable

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


class Haproxy(Listening):
    """What connects to ``port`` gets to ``target``, with a header of version 2 before it."""

    def __init__(self, folder: Path, target: int) -> None:
        super().__init__(free_port())
        folder.mkdir(parents=True, exist_ok=True)
        self._config = folder / "haproxy.cfg"
        self._config.write_text(_CONFIG.format(port=self.port, target=target))

    def command(self) -> list[str]:
        return [executable("haproxy"), "-db", "-f", str(self._config)]
