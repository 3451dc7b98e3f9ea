"""Reads the certificates again that relay's connections show and trust, and how long its own are valid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from relay.core.errors import RelayError

if TYPE_CHECKING:
    from relay.core.certificates import Validity

MAX_FILE: Final = 1 << 20
"""Bytes that are read of a file, at most."""


class Renewable(Protocol):
    """``key``: the setting whose files it reads."""

    key: str

    def renew(self) -> bool:
        """Reads them again, which may block; whether they have changed. Raises ``RelayError``."""
        ...


@dataclass(frozen=True, slots=True)
class Renewal:
    """``changed``: settings whose new files are in force; ``refused``: why the former ones of others stay."""

    changed: Sequence[str]
    refused: Mapping[str, RelayError]


def renew(all_of_them: Sequence[Renewable]) -> Renewal:
    """Reads all of them, which may block: one that cannot be used holds none of the others up."""
    changed: list[str] = []
    refused: dict[str, RelayError] = {}
    for each in all_of_them:
        try:
            if each.renew():
                changed.append(each.key)
        except RelayError as error:
            refused[each.key] = error
    return Renewal(changed, refused)


def validities(files: Mapping[str, Path]) -> Iterator[tuple[str, Validity]]:
    """How long each of these is valid, by what it is used for; without those that cannot be read."""
    for use, file in files.items():
        with suppress(OSError, ValueError):
            yield use, validity_in(file)


def validity_in(file: Path) -> Validity:
    """How long the certificate in a file is valid. Raises ``OSError``, and ``ValueError`` where there is none."""
    from relay.core.certificates import validity_of_pem  # which few relays need

    with file.open("rb") as opened:
        return validity_of_pem(opened.read(MAX_FILE))
