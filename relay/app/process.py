"""One relay as a process: signals, exit code, memory."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import signal
from contextlib import suppress
from typing import Any

from relay.app.relay import Relay
from relay.app.reload import Reloader, Reread
from relay.core.errors import RelayError
from relay.settings import Settings
from relay.systemd import notify
from relay.telemetry.signals.process import ProcessSignals
from relay.telemetry.telemetry import Telemetry

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h of glibc
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def run(settings: Settings, telemetry: Telemetry | None = None, *, reread: Reread | None = None) -> int:
    """Runs one relay until SIGTERM, SIGINT or a failure. Answers the exit code.

    ``reread`` reads the configuration again, on SIGHUP and when the file of a secret has changed.
    """
    _give_memory_back()
    relay = Relay(settings, telemetry)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stopping.set)
    reload_wanted = asyncio.Event()  # set once it runs, too, where nothing is read again
    loop.add_signal_handler(signal.SIGHUP, reload_wanted.set)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    loop.set_exception_handler(lambda _, context: _tell(relay.signals, context))
    try:
        await relay.start()
    except RelayError as error:
        relay.signals.failed(error)
        return 1
    _calm_the_collector()
    notify("READY=1")
    reloader = Reloader(relay, reread, wanted=reload_wanted) if reread is not None else None
    reloading = asyncio.create_task(reloader.run()) if reloader is not None else None
    failure = asyncio.create_task(relay.failure())
    signalled = asyncio.create_task(stopping.wait())
    await asyncio.wait((failure, signalled), return_when=asyncio.FIRST_COMPLETED)
    if reloading is not None:
        reloading.cancel()
    notify("STOPPING=1")
    for number in _SIGNALS:
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)  # a second one ends the process at once, without a traceback
    return await _end(relay, failure if failure.done() else None)


def _tell(signals: ProcessSignals, context: dict[str, Any]) -> None:
    """asyncio's own log is off, since it quotes requests; what it has to say comes out as a signal."""
    message = str(context.get("message", ""))
    signals.task_failed(message, context.get("exception") or RuntimeError(message))


def _calm_the_collector() -> None:
    """Events make no reference cycles: looking for some often costs 2 % of a core under load."""
    gc.collect()
    gc.freeze()  # what start-up made stays
    gc.set_threshold(20_000, 20, 50)


def _give_memory_back() -> None:
    """Has glibc return what large bodies took; other C libraries do so by themselves, or have no such switch.

    Otherwise its thresholds follow the largest block that was freed, and up to 64 MiB of each arena stay.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in ((_M_MMAP_THRESHOLD, 256 << 10), (_M_TRIM_THRESHOLD, 1 << 20), (_M_ARENA_MAX, 2)):
            mallopt(option, value)


async def _end(relay: Relay, failure: asyncio.Task[RelayError] | None) -> int:
    if failure is not None:
        relay.signals.failed(failure.result())
    else:
        relay.signals.draining("signal")
    try:
        await relay.stop()
    except RelayError as error:
        relay.signals.failed(error)
        return 1
    return 1 if failure is not None else 0
