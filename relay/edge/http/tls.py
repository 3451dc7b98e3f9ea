"""The certificate of a listener, which can be renewed while it listens."""

from __future__ import annotations

import ssl
from pathlib import Path

from relay.core.errors import RelayError
from relay.core.network import why
from relay.settings.tls import TlsSettings


class Certificate:
    """What a listener shows, and wants to be shown. ``context`` is that of the next handshake."""

    def __init__(self, settings: TlsSettings, section: str) -> None:
        """``section``: ``server`` or ``admin``. Reads the files; raises ``RelayError`` where they cannot be used."""
        self.key = f"{section}.tls"
        self._section = section
        self._settings = settings
        self._held: list[bytes] = []
        self.renew()

    def renew(self) -> bool:
        """Reads the files again; whether they have changed. Raises ``RelayError``, and what was in force stays.

        Connections go on as they are: each handshake takes the context that is there when it begins. A new context,
        and not new files in the old one, since that would keep trusting the CAs of before.
        """
        context = _context(self._settings, self._section)
        held = [_content(file) for file in self._settings.files]
        changed, self._held, self.context = held != self._held, held, context
        return changed


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # it was there a moment ago, and is being replaced
        return b""


def _context(settings: TlsSettings, section: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        # With a password at hand, OpenSSL does not ask for one on the terminal.
        context.load_cert_chain(settings.cert_file, settings.key_file, password="")
    except (OSError, ValueError) as error:
        raise RelayError(
            "bad_certificates",
            f"{section}.tls.cert_file and key_file cannot be used: {why(error)}.",
            hint="They must be readable files in PEM: the certificate with its chain, and its key without a password.",
        ) from None
    if settings.client_ca_file is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(settings.client_ca_file)
        except OSError as error:
            raise RelayError(
                "bad_certificates",
                f"{section}.tls.client_ca_file cannot be used: {why(error)}.",
                hint="It must be a readable file of CA certificates in PEM.",
            ) from None
    return context
