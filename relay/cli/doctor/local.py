"""Checks on this machine: the journal, its disk, the file descriptors, the listeners' addresses."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from relay.cli.doctor.findings import Finding, judge_certificate, judge_descriptors, judge_disk, judge_space
from relay.core.errors import RelayError
from relay.core.network import UNIX

if TYPE_CHECKING:
    from relay.settings import Settings

_VERIFIED: Final = 256 << 20
"""Bytes of a journal that is looked through whole: under a second. ``relay journal verify`` takes any size."""
_FSYNCS: Final = 200
_FSYNC_FOR: Final = 3.0
"""Seconds after which no further fsync is begun."""
_BLOCK: Final = bytes(4096)


def check_journal(settings: Settings, *, running: bool) -> list[Finding]:
    """The file, and whether its folder can be written. ``running``: a relay answers on the admin listener."""
    path = settings.journal.path
    folder = _existing(path.parent)
    try:
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        message = f"{folder} cannot be written: {error.strerror or error}"
        hint = "Give relay's user write access, or set another journal.path. Run the doctor as that user."
        return [Finding("journal", "failed", message, hint, "journal_not_writable")]
    if not path.exists():
        return [Finding("journal", "ok", f"{path} does not exist yet; relay creates it at its start")]
    if os.geteuid() == 0 and path.stat().st_uid != 0:
        message = f"{path} belongs to user {path.stat().st_uid}, so the doctor does not open it as root"
        hint = "Run the doctor as that user: relay could not use files that root creates beside the journal."
        return [Finding("journal", "warning", message, hint, "another_user")]
    return list(_inside(path, [sink.label for sink in settings.sinks], running=running))


def _inside(path: Path, sinks: list[str], *, running: bool) -> Iterator[Finding]:
    from relay.journal import inspect
    from relay.journal.errors import JournalInUse

    try:
        store = inspect.open_existing(path)
    except JournalInUse:
        if running:
            yield Finding("journal", "ok", f"{path} is in use by the running relay")
        else:
            hint = "Find it (fuser, lsof) and stop it, or set another journal.path: two relays cannot share a journal."
            message = f"{path} is in use by a process, but no relay answers here"
            yield Finding("journal", "failed", message, hint, "journal_in_use")
        return
    except RelayError as error:
        yield Finding("journal", "failed", error.message, error.hint, error.code)
        return
    try:
        if store.size() > _VERIFIED:
            yield Finding("journal", "ok", f"{path} can be opened; `relay journal verify` checks all of it")
            return
        found, wrong = inspect.verify(store, sinks)
        yield from (Finding("journal", "failed", each.message, each.hint, each.code) for each in wrong)
        if found is not None and not wrong:
            yield Finding("journal", "ok", f"{path}: {found.events} events, nothing wrong")
    finally:
        store.close()


def check_certificates(settings: Settings) -> list[Finding]:
    """Those that relay shows: whether a start would take them, and until when they are valid."""
    from relay.settings import own_certificates

    return [_certificate(settings, use, file) for use, file in own_certificates(settings).items()]


def _certificate(settings: Settings, use: str, file: Path) -> Finding:
    from relay.app.certificates import validity_in
    from relay.edge.http.tls import Certificate

    listening = {"server.tls": settings.server.tls, "admin.tls": settings.admin.tls}.get(use)
    try:
        if listening is not None:
            Certificate(listening, use.partition(".")[0])
        validity = validity_in(file)
    except RelayError as error:
        return Finding(use, "failed", error.message, error.hint, error.code)
    except (OSError, ValueError) as error:
        message = f"{file} cannot be used: {getattr(error, 'strerror', None) or error}"
        return Finding(use, "failed", message, "It must be a readable certificate in PEM.", "bad_certificates")
    return judge_certificate(use, validity, time.time(), f"Renew {file}: relay takes the new one while it runs.")


def check_space(settings: Settings) -> Finding:
    """Whether the journal may grow as far as it is allowed to."""
    path = settings.journal.path
    room = max(0, settings.journal.max_size - (path.stat().st_size if path.exists() else 0))
    return judge_space(shutil.disk_usage(_existing(path.parent)).free, room)


def check_disk(settings: Settings) -> Finding:
    """How fast the journal's volume syncs, by a file that is gone afterwards."""
    try:
        taken = sorted(_fsyncs(_existing(settings.journal.path.parent)))
    except OSError as error:
        message = f"cannot be measured: {error.strerror or error}"
        return Finding("disk", "failed", message, "Fix the journal's folder first.", "disk_unmeasured")
    return judge_disk(taken[len(taken) // 2], taken[(len(taken) * 99) // 100], len(taken))


def _fsyncs(folder: Path) -> list[float]:
    """Seconds that each of some appends took to be on disk."""
    taken: list[float] = []
    ending = time.perf_counter() + _FSYNC_FOR
    with tempfile.TemporaryFile(dir=folder) as file:
        while len(taken) < _FSYNCS and (not taken or time.perf_counter() < ending):
            file.write(_BLOCK)
            file.flush()
            begun = time.perf_counter()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - begun)
    return taken


def check_descriptors(settings: Settings) -> Finding:
    """The limit of this process, which is the relay's where both are started alike."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return judge_descriptors(limit, settings.server.max_connections)


def check_addresses(settings: Settings) -> Finding:
    """Whether a relay that is started now could listen."""
    for key, host, port in (
        ("server", settings.server.host, settings.server.port),
        ("admin", settings.admin.host, settings.admin.port),
    ):
        if host.startswith(UNIX):
            continue  # what an earlier relay has left there is replaced
        try:
            _bind(host, port)
        except OSError as error:
            message = f"no relay answers here, and {host}:{port} cannot be listened on: {error.strerror or error}"
            hint = f"Choose another {key}.port, or stop what uses this one."
            return Finding("relay", "failed", message, hint, "address_unavailable")
    return Finding("relay", "ok", "relay does not run here at the moment; its addresses are free")


def _bind(host: str, port: int) -> None:
    family, kind, protocol, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tried.bind(address)
        tried.listen(1)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there: the relay makes what is missing."""
    folder = folder.absolute()
    return folder if folder.exists() else _existing(folder.parent)
