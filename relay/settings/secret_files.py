"""Secrets that are given as files, the way Kubernetes and Docker mount them: ``api_key_file: /run/secrets/key``.

A single secret is the file's text without the line break at its end; of a list of secrets (``tokens_file``) each line
that is not empty is one. Relative paths start from the working directory, like every other path of the configuration.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from relay.settings.document import Written
from relay.settings.errors import KeyPath
from relay.settings.shape import FILE_SUFFIX, Shape, sections

MAX_BYTES = 64 * 1024


def read_secret_files(written: Written, shape: Shape) -> None:
    """Puts the secrets in the place of their ``<key>_file``; what cannot be read is added to ``written.problems``."""
    for path, section, known in list(sections(written.value, shape)):
        for key, secret in known.keys.items():
            if secret.holds_secrets and key + FILE_SUFFIX in section:
                _replace(written, path, section, key, secret)


def secrets_in(value: Any, shape: Shape) -> set[str]:
    """Every secret that was written, for taking them out of texts."""
    found: set[str] = set()
    for _path, section, known in sections(value, shape):
        for key, inner in known.keys.items():
            if inner.holds_secrets:
                written = section.get(key)
                found |= {str(one) for one in (written if isinstance(written, list) else [written])}
    return {secret for secret in found if len(secret) >= 4} - {"None", "null"}


def _replace(written: Written, path: KeyPath, section: dict[str, Any], key: str, secret: Shape) -> None:
    file_key = key + FILE_SUFFIX
    file = section.pop(file_key)
    place = (*path, file_key)
    if file is None:
        return
    if section.get(key) is not None:
        written.report(place, f"stands beside {key}", "give one of them")
        return
    written.secret_files.append(str(file))
    try:
        section[key] = _read(file, secret.kind == "list")
        written.origins[(*path, key)] = written.origin(place)
    except ValueError as error:
        written.unusable.add(path)
        written.report(place, str(error))


def _read(file: object, many: bool) -> str | list[str]:
    """The secret, or the secrets, in a file. ``ValueError`` says why there is none, without quoting the file."""
    if not isinstance(file, str) or not file or "\0" in file:
        raise ValueError("must be the path of a file that holds the secret")
    text = _text(Path(file))
    if many:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if not lines:
            raise ValueError(f"the file {file} is empty: write one secret on each line")
        return lines
    secret = text.rstrip("\r\n")
    if not secret:
        raise ValueError(f"the file {file} is empty: write the secret into it")
    return secret


def _text(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"the file {file} cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise ValueError(f"the file {file} is larger than 64 KiB, so it is no secret")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"the file {file} is not UTF-8 text") from None
