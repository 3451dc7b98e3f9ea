"""One HTTP exchange of a command, over TCP, TLS or a unix socket: synchronous, over the standard library."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

from relay.core.network import UNIX, authority

if TYPE_CHECKING:
    from relay.settings.model import AdminSettings, ServerSettings
    from relay.settings.tls import TlsSettings

NETWORK_ERRORS: Final = (OSError, http.client.HTTPException)

_ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not bound


@dataclass(frozen=True, slots=True)
class Address:
    """Where a command asks. ``tls``: whom it trusts at an ``https`` address; ``None``: whom the system trusts.

    ``preface``: what is sent before TLS and HTTP.
    """

    parts: SplitResult
    tls: ssl.SSLContext | None = None
    preface: bytes = b""


def parts_of(url: str, example: str) -> SplitResult:
    """The parts of ``http(s)://host[:port][/path]``, or ``unix:/path``. Raises ``ValueError`` for anything else."""
    parts = urlsplit(url)
    _ = parts.port  # says by itself that it is no number
    known = bool(parts.hostname) if parts.scheme in ("http", "https") else parts.scheme == "unix" and bool(parts.path)
    if not known or parts.query or parts.fragment:
        raise ValueError(f"must look like {example}")
    return parts


def address_of(listener: ServerSettings | AdminSettings) -> Address:
    """A listener of the configuration, as it is reached from this machine.

    Raises ``OSError`` where the files of its certificate cannot be read.
    """
    preface = _preface() if getattr(listener, "proxy_protocol", False) else b""
    if listener.host.startswith(UNIX):
        return Address(urlsplit(listener.host), None, preface)
    reachable = authority(_ANY_ADDRESS.get(listener.host, listener.host).strip("[]"), listener.port)
    if listener.tls is None:
        return Address(urlsplit(f"http://{reachable}"), None, preface)
    return Address(urlsplit(f"https://{reachable}"), _trusting(listener.tls), preface)


def _preface() -> bytes:
    from relay.edge.http.proxy_protocol import OWN_NAME  # which few relays need

    return OWN_NAME


def _trusting(tls: TlsSettings) -> ssl.SSLContext:
    """Trusts the configured certificate and no other, under whatever name it is asked for.

    Where clients need one, it is shown as well: who can read its key owns the listener.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(tls.cert_file)
    if tls.client_ca_file is not None:
        context.load_cert_chain(tls.cert_file, tls.key_file, password="")
    return context


class _Connection(http.client.HTTPConnection):
    def __init__(self, address: Address, timeout: float) -> None:
        self._address = address
        host, port = address.parts.hostname or "localhost", address.parts.port
        super().__init__(host, port or (443 if address.parts.scheme == "https" else 80), timeout=timeout)

    def connect(self) -> None:
        """Connects, sends the preface, and has TLS around the rest. Raises ``OSError``."""
        parts = self._address.parts
        if parts.scheme == "unix":
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(self.timeout)
            self.sock.connect(parts.path)
        else:
            self.sock = socket.create_connection((self.host, self.port), self.timeout)
        self.sock.sendall(self._address.preface)
        if parts.scheme == "https":
            context = self._address.tls or ssl.create_default_context()
            self.sock = context.wrap_socket(self.sock, server_hostname=self.host)


@contextmanager
def exchange(
    address: Address | SplitResult,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    timeout: float,
    silent_for: float | None = None,
) -> Iterator[http.client.HTTPResponse]:
    """Asks an address, below the path of its URL, for one answer.

    ``timeout``: seconds for the connection, and for each wait for bytes if ``silent_for`` says nothing else.
    Raises ``NETWORK_ERRORS``.
    """
    address = address if isinstance(address, Address) else Address(address)
    below = "" if address.parts.scheme == "unix" else address.parts.path.rstrip("/")
    with closing(_Connection(address, timeout)) as connection:
        connection.connect()
        connection.sock.settimeout(silent_for or timeout)
        connection.request(method, below + path, body, headers or {})
        yield connection.getresponse()
