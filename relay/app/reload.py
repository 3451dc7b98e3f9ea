"""Applies changed secrets, clients and log level while relay runs: on SIGHUP, and when a file with a secret or a
certificate changes.

Kubernetes replaces mounted secrets in place without a signal, so the files are checked now and then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from relay.app.relay import Relay
from relay.core.errors import RelayError
from relay.settings import Settings, take_over
from relay.telemetry.log import set_log_level
from relay.threads import call

P = ParamSpec("P")
T = TypeVar("T")

READ_WITHIN = 30.0
"""Seconds for the whole configuration. Each file of a secret has its own bound; this is for what else may hang."""

CHECK_EVERY = 10.0
"""Seconds between two checks of the files."""

Reread = Callable[[], Settings]
"""Reads the configuration again. Raises ``RelayError`` where it is not valid."""

_Mark = tuple[int, int, int] | None


class Reloader:
    """Reloads one relay; a configuration that is not valid changes nothing. ``wanted`` is set by SIGHUP."""

    def __init__(
        self, relay: Relay, reread: Reread, check_every: float = CHECK_EVERY, wanted: asyncio.Event | None = None
    ) -> None:
        self._relay = relay
        self._reread = reread
        self._check_every = check_every
        self._wanted = wanted or asyncio.Event()
        self._checking: Future[Any] | None = None
        self._seen: list[_Mark] | None = None  # a file may have changed since the start: the first check reads it again
        self._lock = asyncio.Lock()
        self._looking: asyncio.Task[None] | None = None
        self._look_again_at = 0.0
        relay.upstream.renew = self.look

    async def run(self) -> None:
        """Reloads whenever it is wanted or a secret's file has changed, for as long as it runs."""
        while True:
            try:
                async with asyncio.timeout(self._check_every):
                    await self._wanted.wait()
            except TimeoutError:
                async with self._lock:
                    await self._check()
                continue
            self._wanted.clear()
            async with self._lock:
                self._seen = await self._marks()
                await self.reload()

    async def look(self) -> None:
        """Checks the files now: somebody refuses a secret, which may just have been replaced.

        Once a second at most: who comes earlier waits for the next check.
        """
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        await asyncio.shield(self._looking)  # it is for all who ask meanwhile, also if one of them leaves

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await asyncio.sleep(self._look_again_at - loop.time())
            self._look_again_at = loop.time() + 1.0
            async with self._lock:
                await self._check()
        finally:
            self._looking = None

    async def _check(self) -> None:
        """Reads the configuration again if one of its files has changed."""
        if not self._relay.settings.watched_files:
            return
        marks = await self._marks()
        if marks is None or marks != self._seen:
            self._seen = marks
            await self.reload(asked=False)

    async def reload(self, *, asked: bool = True) -> None:
        """Reads the configuration and the certificates, and takes over what may be; neither waits for the other.

        ``asked``: says so even if that is nothing.
        """
        await self._reload_configuration(asked=asked)
        await self._renew_certificates()

    async def _reload_configuration(self, *, asked: bool) -> None:
        relay = self._relay
        try:
            written = await self._answered(self._reread)
        except TimeoutError:
            relay.signals.reload_refused(f"The configuration could not be read within {READ_WITHIN:g} s.")
            return
        except RelayError as error:
            relay.signals.reload_refused(error.message)
            return
        reloaded = take_over(relay.settings, written)
        set_log_level(reloaded.settings.log.level)
        relay.reconfigure(reloaded.settings)
        relay.signals.reread(written.late_files)
        if asked or reloaded.changed:
            relay.signals.reloaded(reloaded.changed, reloaded.waiting)

    async def _renew_certificates(self) -> None:
        try:
            renewal = await self._answered(self._relay.renew_certificates)
        except TimeoutError:
            self._relay.signals.certificates_refused(f"They could not be read within {READ_WITHIN:g} s.")
            return
        if renewal.changed:
            self._relay.signals.certificates_reloaded(renewal.changed)
        if self._relay.upstream.trust.key in renewal.changed:
            self._relay.upstream.reconnect()
        for error in renewal.refused.values():
            self._relay.signals.certificates_refused(error.message)

    async def _marks(self) -> list[_Mark] | None:
        """What changes with a secret; ``None``: a file system hangs, so nothing is known."""
        try:
            return await self._answered(_marks_of, self._relay.settings.watched_files)
        except TimeoutError:
            return None

    async def _answered(self, check: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """In a thread that may hang, one at a time: the reload and the end of the process wait for none."""
        if self._checking is not None and not self._checking.done():
            raise TimeoutError
        self._checking = checking = call(check, *args, **kwargs)
        async with asyncio.timeout(READ_WITHIN):
            return await asyncio.wrap_future(checking)


def _marks_of(files: tuple[Path, ...]) -> list[_Mark]:
    """What changes when a file is written or replaced; ``None`` for one that is not there."""
    return [_mark(file) for file in files]


def _mark(file: Path) -> _Mark:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
