"""Whose certificates relay accepts of the upstream and its egress proxy: ``upstream.ssl_cafile``, or the system's."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Final

from relay.core.errors import RelayError
from relay.threads import call

_KEY: Final = "upstream.ssl_cafile"


class Trust:
    """The certificate authorities for the next handshake. Those of a file can be renewed while relay runs."""

    key = _KEY

    def __init__(self, cafile: Path | None) -> None:
        """Reads the file, where there is one; raises ``RelayError`` for one without certificates."""
        self._cafile = cafile
        self._held = b""
        self._context: ssl.SSLContext | None = None
        self._reading: asyncio.Future[ssl.SSLContext] | None = None
        self.renew()

    def renew(self) -> bool:
        """Reads the file again, which may block; whether it has changed. Raises ``RelayError``: the former ones stay.

        A new context, and not more certificates in the old one, since that would keep trusting those of before.
        """
        if self._cafile is None:
            return False
        try:
            held = self._cafile.read_bytes()  # before OpenSSL reads it: a change in between is seen the next time
        except OSError as error:
            raise _unusable(self._cafile, error) from None
        if self._context is not None and held == self._held:
            return False
        self._context = _trusting(self._cafile)
        self._held = held
        return True

    async def context(self) -> ssl.SSLContext:
        """For one handshake, TLS 1.2 or newer."""
        if self._context is None:
            # The system's authorities are 140 or so: tens of milliseconds, in which the loop goes on. They are read
            # once, even if the first who waits leaves, and by a thread that no exit waits for.
            if self._reading is None:
                self._reading = asyncio.wrap_future(call(_trusting, None))
            reading = self._reading
            try:
                self._context = await asyncio.shield(reading)
            finally:
                if reading.done() and self._reading is reading:
                    self._reading = None  # the next one tries again, should it have failed
        return self._context


def trust_advice(error: OSError, whose: str) -> str:
    """What to do about a certificate that is not trusted, as the end of a sentence; nothing for other failures.

    ``whose``: the setting with the address.
    """
    if not isinstance(error, ssl.SSLCertVerificationError):
        return ""
    return f"check {whose}; renew the certificate if it has ended, or name the file of its CA in {_KEY}"


def _trusting(cafile: Path | None) -> ssl.SSLContext:
    """``None``: the system's certificate authorities."""
    try:
        return ssl.create_default_context(cafile=cafile)
    except OSError as error:
        raise _unusable(cafile, error) from None


def _unusable(cafile: Path | None, error: OSError) -> RelayError:
    return RelayError(
        "bad_certificates",
        f"{_KEY}, {cafile}, cannot be used: {error.strerror or error}.",
        hint="Set it to a readable file of certificates in PEM.",
    )
