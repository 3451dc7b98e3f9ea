"""Takes over changed secrets, clients and log level while a relay runs: on SIGHUP, and when a secret's file changes.

Kubernetes replaces mounted secrets in place and tells nobody, so the files are looked at now and then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from relay.app.relay import Relay
from relay.core.errors import RelayError
from relay.settings import Settings, take_over
from relay.telemetry import set_log_level

LOOK_EVERY = 10.0
"""Seconds between two looks at the files of secrets."""

Reread = Callable[[], Settings]
"""Reads the configuration again. Raises ``RelayError`` where it is not valid."""

_Mark = tuple[int, int, int] | None


class Reloader:
    """Reloads one relay; a configuration that is not valid changes nothing. ``wanted`` is set by SIGHUP."""

    def __init__(
        self, relay: Relay, reread: Reread, look_every: float = LOOK_EVERY, wanted: asyncio.Event | None = None
    ) -> None:
        self._relay = relay
        self._reread = reread
        self._look_every = look_every
        self._wanted = wanted or asyncio.Event()

    async def run(self) -> None:
        """Reloads whenever it is wanted or a secret's file has changed, for as long as it runs."""
        seen: list[_Mark] | None = None  # a file may have changed since the start: the first look reads it again
        while True:
            try:
                async with asyncio.timeout(self._look_every):
                    await self._wanted.wait()
            except TimeoutError:
                files = self._relay.settings.secret_files
                if not files or await asyncio.to_thread(_marks, files) == seen:
                    continue
            asked = self._wanted.is_set()
            self._wanted.clear()
            seen = await asyncio.to_thread(_marks, self._relay.settings.secret_files)
            await self.reload(asked=asked)

    async def reload(self, *, asked: bool = True) -> None:
        """Reads the configuration and takes over what may be. ``asked``: says so even if that is nothing."""
        relay = self._relay
        try:
            written = await asyncio.to_thread(self._reread)
        except RelayError as error:
            relay.telemetry.reload_refused(error.message)
            return
        reloaded = take_over(relay.settings, written)
        set_log_level(reloaded.settings.log.level)
        relay.exchange(reloaded.settings)
        relay.telemetry.reread()
        if asked or reloaded.changed:
            relay.telemetry.reloaded(reloaded.changed, reloaded.waiting)


def _marks(files: tuple[Path, ...]) -> list[_Mark]:
    """What changes when a file is written or replaced; ``None`` for one that is not there."""
    return [_mark(file) for file in files]


def _mark(file: Path) -> _Mark:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
