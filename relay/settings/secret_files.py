"""Secrets in files, the way Kubernetes and Docker mount them: ``api_key_file: /run/secrets/key``.

A single secret is the file's text without the line break at its end; of a list of secrets (``tokens_file``) each line
that is not empty is one, and of secrets with names (``archive.secrets_file``) each is ``name=value``. Relative paths
start from the working directory, like every other path of the configuration.
"""

from __future__ import annotations

from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from typing import Any

from relay.settings.document import Written
from relay.settings.errors import KeyPath
from relay.settings.shape import FILE_SUFFIX, Kind, Shape, sections
from relay.threads import call

MAX_BYTES = 64 * 1024

READ_WITHIN = 5.0
"""Seconds for one file: a mount that is gone, or a FIFO that nobody writes to, never answers."""


MAX_HANGING = 8
"""Threads that hang in one file. A file that hung so often is read again once one of them has come back."""


class SecretFiles:
    """Reads files that may hang, and knows what each held: a file that hangs later on keeps its last contents.

    Otherwise one dead mount would keep every other secret from being exchanged, and a revoked one valid.
    """

    def __init__(self, within: float = READ_WITHIN) -> None:
        self._within = within
        self._held: dict[str, bytes] = {}
        self._hanging: dict[str, list[Future[bytes]]] = {}
        self.late: tuple[str, ...] = ()
        """Those that did not answer when they were last read."""

    def read(self, file: str) -> bytes:
        """Raises ``OSError``; ``TimeoutError`` for a file that hangs and was never read before."""
        hanging = [reading for reading in self._hanging.pop(file, ()) if not reading.done()]
        self.late = tuple(other for other in self.late if other != file)
        if len(hanging) < MAX_HANGING:  # it may be another file by now, which hangs nobody
            reading = call(_content, Path(file))
            try:
                self._held[file] = content = reading.result(self._within)
            except FutureTimeoutError:
                hanging.append(reading)
            else:
                return content
        self._hanging[file] = hanging
        self.late += (file,)
        if file not in self._held:
            raise TimeoutError(f"it did not answer within {self._within:g} s")
        return self._held[file]


def read_secret_files(written: Written, shape: Shape, files: SecretFiles) -> None:
    """Puts the secrets in the place of their ``<key>_file``; what cannot be read is added to ``written.problems``."""
    for path, section, known in list(sections(written.value, shape)):
        for key, secret in known.keys.items():
            if secret.holds_secrets and key + FILE_SUFFIX in section:
                _replace(written, path, section, key, secret, files)


def secrets_in(value: Any, shape: Shape) -> set[str]:
    """Every secret that was written, for taking them out of texts."""
    found: set[str] = set()
    for _path, section, known in sections(value, shape):
        for key, inner in known.keys.items():
            if inner.holds_secrets:
                written = section.get(key)
                many = list(written.values()) if isinstance(written, dict) else written
                found |= {str(one) for one in (many if isinstance(many, list) else [many])}
    return {secret for secret in found if len(secret) >= 4} - {"None", "null"}


def _replace(
    written: Written, path: KeyPath, section: dict[str, Any], key: str, secret: Shape, files: SecretFiles
) -> None:
    file_key = key + FILE_SUFFIX
    file = section.pop(file_key)
    place = (*path, file_key)
    if file is None:
        return
    beside = section.get(key)
    if beside is not None and not (secret.kind == "mapping" and isinstance(beside, dict)):
        written.report(place, f"is set together with {key}", "give one of them")
        return
    written.secret_files.append(str(file))
    try:
        section[key] = _read(file, secret.kind, files)
        if isinstance(beside, dict):
            section[key] = {**beside, **section[key]}
        written.origins[(*path, key)] = written.origin(place)
    except ValueError as error:
        written.unusable.add(path)
        written.report(place, str(error))


def _read(file: object, kind: Kind, files: SecretFiles) -> str | list[str] | dict[str, str]:
    """The secret, or the secrets, in a file. ``ValueError`` says why there is none, without quoting the file."""
    if not isinstance(file, str) or not file or "\0" in file:
        raise ValueError("must be the path of a file that holds the secret")
    text = _text(file, files)
    if kind in ("list", "mapping"):
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if not lines:
            raise ValueError(f"the file {file} is empty: write one secret on each line")
        return lines if kind == "list" else _named(lines, file)
    secret = text.rstrip("\r\n")
    if not secret:
        raise ValueError(f"the file {file} is empty: write the secret into it")
    return secret


def _named(lines: list[str], file: str) -> dict[str, str]:
    pairs = [line.partition("=") for line in lines]
    if not all(separator for _, separator, _ in pairs):
        raise ValueError(f"the file {file} has a line that is not name=value")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _content(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(MAX_BYTES + 1)


def _text(file: str, files: SecretFiles) -> str:
    try:
        content = files.read(file)
    except OSError as error:
        raise ValueError(f"the file {file} cannot be read: {error.strerror or error}") from error
    if len(content) > MAX_BYTES:
        raise ValueError(f"the file {file} is larger than 64 KiB, so it is no secret")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"the file {file} is not UTF-8 text") from None
