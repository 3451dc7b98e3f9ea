"""How an address is written, and why a connection failed, in a few words.

Clients wrap the reason in class names, numbers and places in C files.
"""

from __future__ import annotations

from typing import Final

UNIX: Final = "unix:"
"""With what the host of a listener begins that is the path of a socket, as nginx writes it."""

_NO_TLS: Final = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}
"""OpenSSL's reasons for an answer that is not TLS."""
_OUR_CERTIFICATE: Final = (
    "BAD_CERTIFICATE",
    "CERTIFICATE_REQUIRED",
    "CERTIFICATE_UNKNOWN",
    "CERTIFICATE_EXPIRED",
    "CA",
)
"""The ends of OpenSSL's reasons, all of them alerts, for a server that wants another certificate of its client."""
_OLD_TLS: Final = {"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION"}
"""OpenSSL's reasons for versions of TLS that have no match: relay speaks 1.2 and 1.3."""
_HUNG_UP: Final = {"UNEXPECTED_EOF_WHILE_READING"}


def authority(host: str, port: int) -> str:
    """Host and port as they stand in a URL (RFC 3986, 3.2), and in ``CONNECT``."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def why(error: BaseException) -> str:
    """The reason of a failed exchange, without a capital and a full stop: it goes on a sentence."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ConnectionRefusedError):  # of which asyncio says "Connect call failed ('192.0.2.1', 443)"
        return "Connection refused"
    reason = getattr(error, "reason", None)
    if verdict := getattr(error, "verify_message", None):
        return f"its certificate is not trusted ({str(verdict).rstrip('.')})"
    if speaks_no_tls(error):
        return "it does not speak TLS"
    if reason in _OLD_TLS:
        return "it does not speak TLS 1.2 or newer"
    if refuses_our_certificate(error):
        return f"it does not accept relay's certificate, or misses one ({reason})"
    if reason in _HUNG_UP:
        return "it closed the connection during the TLS handshake"
    if isinstance(reason, str) and reason:
        return f"TLS failed ({reason})"
    if isinstance(error, OSError) and error.strerror:
        # By its name, since the core imports no sockets.
        return (
            f"its name cannot be resolved ({error.strerror})" if type(error).__name__ == "gaierror" else error.strerror
        )
    ours = isinstance(error, ConnectionError)  # asyncio's own have no text
    return "it closed the connection" if ours else f"{type(error).__name__} {error}".strip()


def refuses_our_certificate(error: BaseException) -> bool:
    """Whether the other side has ended a TLS handshake because of the client's certificate."""
    reason = str(getattr(error, "reason", ""))
    return "_ALERT_" in reason and reason.endswith(_OUR_CERTIFICATE)


def speaks_no_tls(error: BaseException) -> bool:
    """Whether the other side answered a TLS handshake with something else."""
    return getattr(error, "reason", None) in _NO_TLS
