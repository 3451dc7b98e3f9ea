"""The sections of the configuration that name certificates, and what every section is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from relay.settings.model import Settings


class Section(BaseModel):
    """A part of the configuration: no unknown keys, no changes, no values in error texts."""

    # An error's text reaches the terminal and the log, and the input may be a secret.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class TlsSettings(Section):
    """TLS of a listener, 1.2 and newer. ``client_ca_file``: whose certificates clients must have; ``None``: none."""

    cert_file: Path
    key_file: Path
    client_ca_file: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All that are named."""
        return tuple(filter(None, (self.cert_file, self.key_file, self.client_ca_file)))


class IndexTlsSettings(Section):
    """The certificates of connections to the shared index. ``ca_file``: instead of the system's authorities."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    @property
    def keys(self) -> dict[str, str]:
        """As a Redis sink calls them."""
        named = {"ssl_ca_certs": self.ca_file, "ssl_certfile": self.cert_file, "ssl_keyfile": self.key_file}
        return {key: str(file) for key, file in named.items() if file is not None}


def own_certificates(settings: Settings) -> dict[str, Path]:
    """The files of relay's own certificates, by what shows them: a listener, or the client of a sink or the index."""
    listening = {"server.tls": settings.server.tls, "admin.tls": settings.admin.tls}
    shown = {use: tls.cert_file for use, tls in listening.items() if tls is not None}
    clients = {f"sink {sink.label}": sink.client_certificate for sink in settings.sinks}
    index = settings.dedup.shared_index_tls
    clients["dedup.shared_index"] = str(index.cert_file) if index is not None and index.cert_file is not None else None
    return shown | {use: Path(file) for use, file in clients.items() if file is not None}
