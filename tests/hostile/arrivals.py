"""What comes before HTTP, as hostile clients send it: the headers of proxies, and TLS by hand."""

from __future__ import annotations

import ctypes
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ctypes import byref, c_void_p
from typing import Final

from relay.edge.http.proxy_protocol import OWN_NAME, SIGNATURE

CLIENT_HELLO: Final = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
"""How a handshake begins: a record of 512 bytes, a ClientHello of 508."""

_ADDRESSES: Final = bytes((127, 0, 0, 1, 127, 0, 0, 1, 0, 80, 0, 80))


def _header(length: int, rest: bytes, *, command: int = 0x21, family: int = 0x11) -> bytes:
    return SIGNATURE + bytes((command, family)) + length.to_bytes(2, "big") + rest


HEADERS: Final[dict[str, bytes]] = {
    "nothing": b"",
    "a byte": b"\r",
    "half a signature": SIGNATURE[:6],
    "another signature": SIGNATURE[:-1] + b"\r" + bytes(4),
    "a signature alone": SIGNATURE,
    "version 1": b"PROXY TCP4 127.0.0.1 127.0.0.1 80 80\r\n",
    "version 1, unknown": b"PROXY UNKNOWN\r\n",
    "version 1 without end": b"PROXY " + b"x" * 100_000,
    "version 3": _header(12, _ADDRESSES, command=0x31),
    "an unknown command": _header(12, _ADDRESSES, command=0x2F),
    "a datagram": _header(12, _ADDRESSES, family=0x12),
    "an unknown family": _header(12, _ADDRESSES, family=0xF1),
    "no address": _header(0, b""),
    "half an address": _header(6, _ADDRESSES[:6]),
    "an address of IPv6 that is one of IPv4": _header(12, _ADDRESSES, family=0x21),
    "a length that lies": _header(2000, _ADDRESSES),
    "the longest length": _header(0xFFFF, _ADDRESSES + b"\4\xff\xff" + b"x" * 100_000),
    "extensions without end": _header(4096, _ADDRESSES + b"\4\xff\xff" + b"x" * 4000),
    "HTTP": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "TLS": CLIENT_HELLO,
    "zeros": b"\0" * 100_000,
    "a header twice": OWN_NAME * 2,
    "a header and HTTP": OWN_NAME + b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
}
"""None of them begins a connection with TLS."""

HELLOS: Final[dict[str, bytes]] = {
    "nothing": b"",
    "a byte": CLIENT_HELLO[:1],
    "half a hello": CLIENT_HELLO,
    "a record of 64 KiB": b"\x16\x03\x01\xff\xff" + b"x" * 65_535,
    "an empty record": b"\x16\x03\x01\x00\x00" * 1000,
    "rubbish in a record": b"\x16\x03\x01\x02\x00" + b"x" * 512,
    "a hello of 16 MiB": b"\x16\x03\x01\x40\x00\x01\xff\xff\xff" + b"x" * 16_380,
    "alerts": b"\x15\x03\x01\x00\x02\x01\x00" * 1000,
    "alerts after a hello": CLIENT_HELLO + b"x" * 506 + b"\x15\x03\x01\x00\x02\x01\x00" * 1000,
    "SSL 2": b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10",
    "HTTP": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "zeros": b"\0" * 100_000,
}
"""None of them is a handshake."""

_INFO, _SET_MAX_VERSION = 3, 124  # BIO_CTRL_INFO of openssl/bio.h, SSL_CTRL_SET_MAX_PROTO_VERSION of openssl/ssl.h


def hello() -> bytes:
    """A whole ClientHello, after which the server signs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    out = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out).do_handshake()
    return out.read()


class Client:
    """One that does what Python's cannot: OpenSSL, called directly."""

    def __init__(self, connection: socket.socket, version: ssl.TLSVersion) -> None:
        self._tls, self._crypto = ctypes.CDLL("libssl.so.3"), ctypes.CDLL("libcrypto.so.3")
        pointers = (self._tls.TLS_client_method, self._tls.SSL_CTX_new, self._tls.SSL_new)
        for function in (*pointers, self._crypto.BIO_s_mem, self._crypto.BIO_new):
            function.restype = c_void_p
        self._context = c_void_p(self._tls.SSL_CTX_new(c_void_p(self._tls.TLS_client_method())))
        self._tls.SSL_CTX_ctrl(self._context, _SET_MAX_VERSION, int(version), None)
        self._ssl = c_void_p(self._tls.SSL_new(self._context))
        self._tls.SSL_set_fd(self._ssl, connection.fileno())
        assert self._tls.SSL_connect(self._ssl) == 1

    def updates(self, number: int) -> bytes:
        """So many changes of keys, each of which asks the server for one of its own (RFC 8446, 4.6.3)."""
        written = c_void_p(self._crypto.BIO_new(c_void_p(self._crypto.BIO_s_mem())))
        self._tls.SSL_set0_wbio(self._ssl, written)
        for _ in range(number):
            assert self._tls.SSL_key_update(self._ssl, 1) == 1
            assert self._tls.SSL_do_handshake(self._ssl) == 1
        content = c_void_p()
        size = self._crypto.BIO_ctrl(written, _INFO, 0, byref(content))
        return ctypes.string_at(content, size)

    def renegotiates(self) -> bool:
        """Whether the server lets it begin again within the connection (RFC 5246, 7.4.1)."""
        assert self._tls.SSL_renegotiate(self._ssl) == 1
        return bool(self._tls.SSL_do_handshake(self._ssl) == 1)

    def free(self) -> None:
        """Forgets it; the socket stays."""
        self._tls.SSL_free(self._ssl)
        self._tls.SSL_CTX_free(self._context)


@contextmanager
def speaking(port: int, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> Iterator[tuple[socket.socket, Client]]:
    """One that is connected, behind the header of a proxy."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(OWN_NAME)
        client = Client(connection, version)
        try:
            yield connection, client
        finally:
            client.free()
